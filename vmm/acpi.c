/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed ACPI tables; sections are those of ACPI 6.4. Same threads as
 * acpi_build(). Everything is put together in one buffer whose offset 0 is
 * ACPI_TABLES and goes into guest memory in one step at the end. Invariant:
 * a table is written after everything it points to, except for the RSDP,
 * whose place is the first and which is filled in last.
 */
#include "vmm/acpi.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "vmm/acpi_dsdt.h"

#define TABLE_BYTES_MAX (ACPI_GENID - ACPI_TABLES)
#define TABLE_ALIGN	16

#define OEM_ID	     "AMBER "
#define OEM_TABLE_ID "AMBERVMM"
#define CREATOR_ID   "AMBR"
#define HYPERVISOR   "AMBERVMM"

#define RSDP_BYTES	  36
#define RSDP_OLD_BYTES	  20 /* what the first checksum covers */
#define HEADER_LENGTH_AT  4
#define HEADER_SUM_AT	  9
#define SPACE_SYSTEM_IO	  1
#define ACCESS_BYTE	  1
#define ALL_PROCESSORS	  UINT32_MAX
#define LINT_NMI	  1
#define MADT_ENABLED	  1
#define SPCR_FULL_16550	  0
#define SPCR_IRQ_IOAPIC	  2
#define SPCR_BAUD_115200  7
#define SPCR_ONE_STOP_BIT 1
#define SPCR_NO_PCI	  0xffff

/* Types of MADT entries (5.2.12) */
enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

/* Offsets in the FADT (5.2.9) */
enum {
	FADT_DSDT = 40,
	FADT_C2_LATENCY = 96,
	FADT_C3_LATENCY = 98,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
	FADT_BYTES = 276,
};

/*
 * 5.2.9.3: a keyboard controller, no VGA, no CMOS clock. The namespace lists
 * every device, so "legacy devices" is clear; there is no PCI, so nothing is
 * said about MSI and ASPM.
 */
#define BOOT_ARCH_8042	 (1u << 1)
#define BOOT_ARCH_NO_VGA (1u << 2)
#define BOOT_ARCH_NO_RTC (1u << 5)

/* Table 5.10; a set button bit says that there is no fixed-hardware one. */
#define FADT_WBINVD	(1u << 0)
#define FADT_C1		(1u << 2)
#define FADT_PWR_BUTTON (1u << 4)
#define FADT_SLP_BUTTON (1u << 5)
#define FADT_RESET	(1u << 10)
#define FADT_HW_REDUCED (1u << 20)

/* Above 100 and 1000 microseconds: no C2 and no C3 */
#define C2_NONE 0x0065
#define C3_NONE 0x03e9

struct builder {
	struct buf out;
	struct acpi_result result;
	size_t start; /* offset of the table that is being written */
};

static void checksum(uint8_t *bytes, size_t len, size_t at)
{
	uint8_t sum = 0;
	size_t i;

	bytes[at] = 0;
	for (i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[at] = (uint8_t)-sum;
}

static void pad_to(struct buf *out, size_t align)
{
	while (!out->error && out->len % align)
		buf_put_u8(out, 0);
}

static void record(struct builder *b, const char *name, size_t at, size_t bytes)
{
	struct acpi_table *t = &b->result.table[b->result.tables++];

	memcpy(t->name, name, 4);
	t->name[4] = 0;
	t->gpa = ACPI_TABLES + at;
	t->bytes = (uint32_t)bytes;
}

/* 5.2.6: the header that all tables but the RSDP share. */
static void table_begin(struct builder *b, const char *name, uint8_t revision)
{
	struct buf *out = &b->out;

	pad_to(out, TABLE_ALIGN);
	b->start = out->len;
	buf_put(out, name, 4);
	buf_put_u32(out, 0); /* length */
	buf_put_u8(out, revision);
	buf_put_u8(out, 0); /* checksum */
	buf_put(out, OEM_ID, 6);
	buf_put(out, OEM_TABLE_ID, 8);
	buf_put_u32(out, 1);
	buf_put(out, CREATOR_ID, 4);
	buf_put_u32(out, 1);
}

/* Fills in what only the whole table tells; returns where it is. */
static gpa_t table_end(struct builder *b)
{
	size_t bytes = b->out.len - b->start;
	uint8_t *table = b->out.data + b->start;

	if (b->out.error)
		return 0;
	put_le32(table + HEADER_LENGTH_AT, (uint32_t)bytes);
	checksum(table, bytes, HEADER_SUM_AT);
	record(b, (const char *)table, b->start, bytes);
	return ACPI_TABLES + b->start;
}

/* 5.2.3.2: a generic address: one 8-bit port. */
static void put_port_address(uint8_t to[12], uint16_t port)
{
	to[0] = SPACE_SYSTEM_IO;
	to[1] = 8;
	to[2] = 0;
	to[3] = ACCESS_BYTE;
	put_le64(to + 4, port);
}

static int write_dsdt(struct builder *b, const struct acpi_config *config,
		      gpa_t *dsdt)
{
	int r;

	/* revision 2: integers have 64 bits */
	table_begin(b, "DSDT", 2);
	r = acpi_dsdt_body(&b->out, config);
	*dsdt = table_end(b);
	return r;
}

/*
 * 5.2.9 and 4.1: hardware-reduced, so every field of the fixed hardware is
 * zero, and there is no FACS.
 */
static gpa_t write_fadt(struct builder *b, gpa_t dsdt)
{
	uint8_t f[FADT_BYTES] = { 0 };
	const size_t header = 36;

	put_le32(f + FADT_DSDT, (uint32_t)dsdt);
	put_le16(f + FADT_C2_LATENCY, C2_NONE);
	put_le16(f + FADT_C3_LATENCY, C3_NONE);
	put_le16(f + FADT_BOOT_ARCH,
		 BOOT_ARCH_8042 | BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_RTC);
	put_le32(f + FADT_FLAGS, FADT_WBINVD | FADT_C1 | FADT_PWR_BUTTON |
					 FADT_SLP_BUTTON | FADT_RESET |
					 FADT_HW_REDUCED);
	put_port_address(f + FADT_RESET_REG, PORT_ACPI_RESET);
	f[FADT_RESET_VALUE] = ACPI_RESET_VALUE;
	f[FADT_MINOR] = 4;
	put_le64(f + FADT_X_DSDT, dsdt);
	put_port_address(f + FADT_SLEEP_CONTROL, PORT_SLEEP_CONTROL);
	put_port_address(f + FADT_SLEEP_STATUS, PORT_SLEEP_STATUS);
	memcpy(f + FADT_HYPERVISOR, HYPERVISOR, 8);
	table_begin(b, "FACP", 6);
	buf_put(&b->out, f + header, sizeof(f) - header);
	return table_end(b);
}

/* 5.2.12.2 and 5.2.12.12: index, _UID and APIC id are the same number. */
static void put_processor(struct buf *out, uint32_t id)
{
	if (id < ACPI_XAPIC_IDS) {
		buf_put_u8(out, MADT_LAPIC);
		buf_put_u8(out, 8);
		buf_put_u8(out, (uint8_t)id);
		buf_put_u8(out, (uint8_t)id);
		buf_put_u32(out, MADT_ENABLED);
		return;
	}
	buf_put_u8(out, MADT_X2APIC);
	buf_put_u8(out, 16);
	buf_put_u16(out, 0);
	buf_put_u32(out, id);
	buf_put_u32(out, MADT_ENABLED);
	buf_put_u32(out, id);
}

/* 5.2.12.7 and 5.2.12.13: NMI at LINT1 of every processor. */
static void put_nmi(struct buf *out, uint32_t cpus)
{
	buf_put_u8(out, MADT_LAPIC_NMI);
	buf_put_u8(out, 6);
	buf_put_u8(out, (uint8_t)ALL_PROCESSORS);
	buf_put_u16(out, 0);
	buf_put_u8(out, LINT_NMI);
	if (cpus <= ACPI_XAPIC_IDS)
		return;
	buf_put_u8(out, MADT_X2APIC_NMI);
	buf_put_u8(out, 12);
	buf_put_u16(out, 0);
	buf_put_u32(out, ALL_PROCESSORS);
	buf_put_u32(out, LINT_NMI); /* one byte and three reserved ones */
}

/*
 * 5.2.12. No 8259 (flags 0), hence no interrupt source overrides: ISA
 * interrupts do not exist, GSIs are pins of the one I/O APIC, whose id is
 * what KVM's has after reset.
 */
static gpa_t write_madt(struct builder *b, uint32_t cpus)
{
	struct buf *out = &b->out;
	uint32_t i;

	table_begin(b, "APIC", 5);
	buf_put_u32(out, LAPIC_BASE);
	buf_put_u32(out, 0);
	for (i = 0; i < cpus; i++)
		put_processor(out, i);
	buf_put_u8(out, MADT_IOAPIC);
	buf_put_u8(out, 12);
	buf_put_u16(out, 0);
	buf_put_u32(out, IOAPIC_BASE);
	buf_put_u32(out, 0); /* first GSI */
	put_nmi(out, cpus);
	return table_end(b);
}

/*
 * Serial Port Console Redirection, revision 2: where the console is, for
 * systems that ask ("earlycon" alone is enough for Linux).
 */
static gpa_t write_spcr(struct builder *b)
{
	struct buf *out = &b->out;
	uint8_t port[12], reserved[12] = { 0 };

	put_port_address(port, PORT_COM1);
	table_begin(b, "SPCR", 2);
	buf_put_u32(out, SPCR_FULL_16550); /* and three reserved bytes */
	buf_put(out, port, sizeof(port));
	buf_put_u8(out, SPCR_IRQ_IOAPIC);
	buf_put_u8(out, 0); /* the 8259's interrupt: none */
	buf_put_u32(out, GSI_COM1);
	buf_put_u8(out, SPCR_BAUD_115200);
	buf_put_u8(out, 0); /* no parity */
	buf_put_u8(out, SPCR_ONE_STOP_BIT);
	buf_put_u8(out, 0); /* no flow control */
	buf_put_u8(out, 0); /* terminal: VT100 */
	buf_put_u8(out, 0); /* reserved */
	buf_put_u16(out, SPCR_NO_PCI);
	buf_put_u16(out, SPCR_NO_PCI);
	buf_put(out, reserved, sizeof(reserved));
	return table_end(b);
}

/* 5.2.8: the tables that the guest is to find; the FADT names the DSDT. */
static gpa_t write_xsdt(struct builder *b, const gpa_t *table, unsigned int n)
{
	unsigned int i;

	table_begin(b, "XSDT", 1);
	for (i = 0; i < n; i++)
		buf_put_u64(&b->out, table[i]);
	return table_end(b);
}

/* 5.2.5.3: the root pointer, at the start, over the bytes left for it. */
static void fill_rsdp(struct builder *b, gpa_t xsdt)
{
	uint8_t *p = b->out.data;

	if (b->out.error)
		return;
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, OEM_ID, 6);
	p[15] = 2; /* revision */
	put_le32(p + 20, RSDP_BYTES);
	put_le64(p + 24, xsdt);
	checksum(p, RSDP_OLD_BYTES, 8);
	checksum(p, RSDP_BYTES, 32);
}

static int write_tables(struct builder *b, const struct acpi_config *config)
{
	static const uint8_t rsdp[RSDP_BYTES];
	gpa_t listed[3], dsdt;
	int r;

	buf_put(&b->out, rsdp, sizeof(rsdp));
	record(b, "RSDP", 0, RSDP_BYTES);
	r = write_dsdt(b, config, &dsdt);
	if (r)
		return r;
	listed[0] = write_fadt(b, dsdt);
	listed[1] = write_madt(b, config->cpus);
	listed[2] = write_spcr(b);
	fill_rsdp(b, write_xsdt(b, listed, 3));
	return b->out.error;
}

static int check_config(const struct acpi_config *c, struct err *e)
{
	if (c->cpus == 0 || c->cpus > ACPI_CPUS_MAX)
		return err_set(e, -EINVAL, "acpi: %u CPUs: not in 1..%u",
			       c->cpus, (unsigned int)ACPI_CPUS_MAX);
	if (c->virtio_slots > VIRTIO_MMIO_MAX)
		return err_set(e, -EINVAL,
			       "acpi: %u virtio slots: more than %u",
			       c->virtio_slots, (unsigned int)VIRTIO_MMIO_MAX);
	return 0;
}

/*
 * For ACPI_BIOS_ENTRY, 16-bit code:
 *	mov dx, PORT_ACPI_RESET; mov al, ACPI_RESET_VALUE; out dx, al
 * again: cli; hlt; jmp again
 */
static const uint8_t bios_entry[] = { 0xba,
				      PORT_ACPI_RESET & 0xff,
				      PORT_ACPI_RESET >> 8,
				      0xb0,
				      ACPI_RESET_VALUE,
				      0xee,
				      0xfa,
				      0xf4,
				      0xeb,
				      0xfc };

_Static_assert(ACPI_BIOS_ENTRY + sizeof(bios_entry) <= ACPI_TABLES_END,
	       "the BIOS entry is inside the window");

/* Into guest memory: all or nothing. */
static int place(const struct builder *b, const struct acpi_config *config,
		 const struct gmem *mem, struct err *e)
{
	uint8_t *window =
		gmem_slice(mem, ACPI_TABLES, ACPI_TABLES_END - ACPI_TABLES);

	if (!window)
		return err_set(e, -EFAULT,
			       "acpi: no guest memory at 0x%x..0x%x",
			       (unsigned int)ACPI_TABLES,
			       (unsigned int)ACPI_TABLES_END);
	memcpy(window, b->out.data, b->out.len);
	memcpy(window + ACPI_GENID - ACPI_TABLES, config->genid,
	       ACPI_GENID_BYTES);
	memcpy(window + ACPI_BIOS_ENTRY - ACPI_TABLES, bios_entry,
	       sizeof(bios_entry));
	return 0;
}

int acpi_build(struct acpi_result *out, const struct acpi_config *config,
	       const struct gmem *mem, struct err *e)
{
	struct builder b = { .result = { .rsdp = ACPI_TABLES,
					 .genid_gpa = ACPI_GENID } };
	int r;

	r = check_config(config, e);
	if (r)
		return r;
	buf_init(&b.out, TABLE_BYTES_MAX);
	r = write_tables(&b, config);
	if (r) {
		err_sys(e, r,
			"acpi: tables of %u CPUs and %u virtio slots in %u "
			"bytes",
			config->cpus, config->virtio_slots,
			(unsigned int)TABLE_BYTES_MAX);
		goto out;
	}
	r = place(&b, config, mem, e);
	if (r)
		goto out;
	b.result.bytes = b.out.len;
	*out = b.result;
out:
	buf_fini(&b.out);
	return r;
}
