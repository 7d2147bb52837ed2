/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed ACPI tables, read back from guest memory by the offsets of ACPI
 * 6.4 and not by the code that wrote them. One thread.
 */
#include "tests/unit/acpi_rig.h"
#include "tests/unit/suite.h"

#define PAGE 4096u

struct shape {
	uint32_t cpus, slots;
};

static const struct shape shapes[] = {
	{ 1, 0 },    { 1, 16 },	 { 2, 0 },
	{ 2, 16 },   { 255, 0 }, { 255, 16 },
	{ 256, 16 }, { 300, 1 }, { ACPI_CPUS_MAX, 16 },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static bool overlap(const struct acpi_table *a, const struct acpi_table *b)
{
	return a->gpa < b->gpa + b->bytes && b->gpa < a->gpa + a->bytes;
}

static void check_list(const struct rig *r)
{
	const struct acpi_result *res = &r->result;
	const struct acpi_table *t;
	unsigned int i, k;

	ck_assert_uint_eq(res->tables, 6);
	ck_assert_str_eq(res->table[0].name, "RSDP");
	for (i = 0; i < res->tables; i++) {
		t = &res->table[i];
		ck_assert_uint_ge(t->gpa, res->rsdp);
		ck_assert_uint_le(t->gpa + t->bytes, res->rsdp + res->bytes);
		ck_assert_uint_eq(t->gpa % 16, 0);
		for (k = 0; k < i; k++)
			ck_assert(!overlap(t, &res->table[k]));
		if (i == 0)
			continue;
		ck_assert_ptr_eq(table_at(r, t->gpa), r->ram + t->gpa);
		ck_assert_mem_eq(r->ram + t->gpa, t->name, 4);
		ck_assert_uint_eq(get_le32(r->ram + t->gpa + 4), t->bytes);
	}
	ck_assert_uint_le(res->rsdp + res->bytes, ACPI_GENID);
}

START_TEST(every_table_is_where_the_result_says_and_adds_up_to_zero)
{
	struct rig r;
	size_t i;

	for (i = 0; i < SHAPES; i++) {
		rig_make(&r, shapes[i].cpus, shapes[i].slots);
		check_list(&r);
		rig_fini(&r);
	}
}
END_TEST

START_TEST(the_root_pointer_has_two_good_checksums_and_leads_to_the_xsdt)
{
	const uint8_t *p;
	struct rig r;

	rig_make(&r, 1, 0);
	ck_assert_uint_eq(r.result.rsdp, 0xe0000);
	p = r.ram + 0xe0000;
	ck_assert_mem_eq(p, "RSD PTR ", 8);
	ck_assert_uint_eq(sum_of(p, 20), 0);
	ck_assert_uint_eq(sum_of(p, 36), 0);
	ck_assert_uint_eq(p[15], 2);
	ck_assert_uint_eq(get_le32(p + 16), 0);
	ck_assert_uint_eq(get_le32(p + 20), 36);
	ck_assert_mem_eq(table_at(&r, get_le64(p + 24)), "XSDT", 4);
	find_table(&r, "FACP");
	find_table(&r, "APIC");
	find_table(&r, "SPCR");
	rig_fini(&r);
}
END_TEST

static void check_port(const uint8_t *gas, uint64_t port)
{
	ck_assert_uint_eq(gas[0], 1); /* system I/O */
	ck_assert_uint_eq(gas[1], 8);
	ck_assert_uint_eq(gas[2], 0);
	ck_assert_uint_eq(gas[3], 1); /* byte access */
	ck_assert_uint_eq(get_le64(gas + 4), port);
}

START_TEST(the_fadt_is_hardware_reduced_with_sleep_and_reset_registers)
{
	const uint8_t *f;
	struct rig r;
	unsigned int i;

	rig_make(&r, 2, 3);
	f = find_table(&r, "FACP");
	ck_assert_uint_eq(get_le32(f + 4), 276);
	ck_assert_uint_eq(f[8], 6);
	ck_assert_uint_eq(f[131] & 0xf, 4);
	ck_assert_uint_eq(get_le32(f + 40), get_le64(f + 140));
	find_dsdt(&r);
	/* WBINVD, C1, no fixed buttons, reset register, hardware-reduced */
	ck_assert_uint_eq(get_le32(f + 112), 1u << 0 | 1u << 2 | 1u << 4 |
						     1u << 5 | 1u << 10 |
						     1u << 20);
	/* keyboard controller, no VGA, no CMOS clock */
	ck_assert_uint_eq(get_le16(f + 109), 1u << 1 | 1u << 2 | 1u << 5);
	check_port(f + 116, 0x602);
	ck_assert_uint_eq(f[128], 1);
	check_port(f + 244, 0x600);
	check_port(f + 256, 0x601);
	for (i = 46; i < 96; i++) /* SCI_INT .. GPE1_BASE, _CST */
		ck_assert_uint_eq(f[i], 0);
	for (i = 148; i < 244; i++) /* the same as generic addresses */
		ck_assert_uint_eq(f[i], 0);
	ck_assert_uint_eq(get_le32(f + 36), 0);
	ck_assert_uint_eq(get_le64(f + 132), 0);
	rig_fini(&r);
}
END_TEST

struct madt_count {
	uint32_t xapic, x2apic, ioapic, nmi, x2nmi;
};

static uint32_t xapic_entry(const uint8_t *e)
{
	ck_assert_uint_eq(e[1], 8);
	ck_assert_uint_eq(e[2], e[3]);
	ck_assert_uint_eq(get_le32(e + 4), 1);
	return e[3];
}

static uint32_t x2apic_entry(const uint8_t *e)
{
	ck_assert_uint_eq(e[1], 16);
	ck_assert_uint_eq(get_le16(e + 2), 0);
	ck_assert_uint_eq(get_le32(e + 4), get_le32(e + 12));
	ck_assert_uint_eq(get_le32(e + 8), 1);
	return get_le32(e + 4);
}

static void other_entry(const uint8_t *e, struct madt_count *n)
{
	switch (e[0]) {
	case 1:
		ck_assert_uint_eq(e[1], 12);
		ck_assert_uint_eq(e[2], 0);
		ck_assert_uint_eq(get_le32(e + 4), 0xfec00000);
		ck_assert_uint_eq(get_le32(e + 8), 0);
		n->ioapic++;
		break;
	case 4:
		ck_assert_uint_eq(e[1], 6);
		ck_assert_uint_eq(e[2], 0xff);
		ck_assert_uint_eq(e[5], 1);
		n->nmi++;
		break;
	case 10:
		ck_assert_uint_eq(e[1], 12);
		ck_assert_uint_eq(get_le32(e + 4), 0xffffffff);
		ck_assert_uint_eq(e[8], 1);
		n->x2nmi++;
		break;
	default:
		ck_abort_msg("MADT entry of type %u", e[0]);
	}
}

static void check_madt(const struct rig *r, struct madt_count *n)
{
	const uint8_t *m = find_table(r, "APIC");
	uint32_t at = 44, end = get_le32(m + 4), next = 0;

	ck_assert_uint_eq(get_le32(m + 36), 0xfee00000);
	ck_assert_uint_eq(get_le32(m + 40), 0); /* no 8259 */
	while (at < end) {
		if (m[at] == 0) {
			ck_assert_uint_eq(xapic_entry(m + at), next++);
			n->xapic++;
		} else if (m[at] == 9) {
			ck_assert_uint_eq(x2apic_entry(m + at), next++);
			n->x2apic++;
		} else {
			other_entry(m + at, n);
		}
		ck_assert_uint_ge(m[at + 1], 2);
		at += m[at + 1];
	}
	ck_assert_uint_eq(at, end);
	ck_assert_uint_eq(next, r->config.cpus);
}

START_TEST(the_madt_lists_each_cpu_once_and_x2apic_ids_from_255_on)
{
	struct rig r;
	size_t i;

	for (i = 0; i < SHAPES; i++) {
		struct madt_count n = { 0 };
		uint32_t cpus = shapes[i].cpus;

		rig_make(&r, cpus, shapes[i].slots);
		check_madt(&r, &n);
		ck_assert_uint_eq(n.xapic, cpus < 255 ? cpus : 255);
		ck_assert_uint_eq(n.x2apic, cpus < 255 ? 0 : cpus - 255);
		ck_assert_uint_eq(n.ioapic, 1);
		ck_assert_uint_eq(n.nmi, 1);
		ck_assert_uint_eq(n.x2nmi, cpus > 255 ? 1 : 0);
		rig_fini(&r);
	}
}
END_TEST

START_TEST(the_spcr_names_com1_and_its_gsi)
{
	const uint8_t *s;
	struct rig r;

	rig_make(&r, 1, 0);
	s = find_table(&r, "SPCR");
	ck_assert_uint_eq(get_le32(s + 4), 80);
	ck_assert_uint_eq(s[8], 2);
	ck_assert_uint_eq(s[36], 0);
	check_port(s + 40, 0x3f8);
	ck_assert_uint_eq(s[52], 2); /* through the I/O APIC */
	ck_assert_uint_eq(get_le32(s + 54), 4);
	ck_assert_uint_eq(s[58], 7);			 /* 115200 */
	ck_assert_uint_eq(get_le32(s + 64), 0xffffffff); /* no PCI device */
	rig_fini(&r);
}
END_TEST

START_TEST(the_generation_id_lies_alone_in_reserved_memory)
{
	struct rig r;
	size_t i;

	for (i = 0; i < SHAPES; i++) {
		rig_make(&r, shapes[i].cpus, shapes[i].slots);
		ck_assert_uint_eq(r.result.genid_gpa % PAGE, 0);
		ck_assert_uint_ge(r.result.genid_gpa,
				  r.result.rsdp + r.result.bytes);
		ck_assert_uint_le(r.result.genid_gpa + 16, ACPI_TABLES_END);
		ck_assert_mem_eq(r.ram + r.result.genid_gpa, r.config.genid,
				 16);
		rig_fini(&r);
	}
}
END_TEST

START_TEST(the_bios_entry_writes_the_reset_register)
{
	static const uint8_t code[] = { 0xba, 0x02, 0x06, 0xb0, 0x01,
					0xee, 0xfa, 0xf4, 0xeb, 0xfc };
	struct rig r;

	rig_make(&r, 1, 0);
	ck_assert_mem_eq(r.ram + 0xffff0, code, sizeof(code));
	rig_fini(&r);
}
END_TEST

START_TEST(the_same_configuration_gives_the_same_bytes)
{
	struct rig a, b;

	rig_make(&a, 7, 5);
	rig_make(&b, 7, 5);
	ck_assert_mem_eq(a.ram, b.ram, RIG_RAM_BYTES);
	ck_assert_mem_eq(&a.result, &b.result, sizeof(a.result));
	/* and again over what a guest has scribbled */
	memset(b.ram + ACPI_TABLES, 0x5a, b.result.bytes);
	ck_assert_int_eq(rig_build(&b), 0);
	ck_assert_mem_eq(a.ram + ACPI_TABLES, b.ram + ACPI_TABLES,
			 a.result.bytes);
	rig_fini(&a);
	rig_fini(&b);
}
END_TEST

START_TEST(another_generation_id_changes_these_sixteen_bytes_only)
{
	struct rig a, b;
	uint32_t i;

	rig_make(&a, 2, 2);
	rig_init(&b, 2, 2);
	memset(b.config.genid, 0x11, sizeof(b.config.genid));
	ck_assert_int_eq(rig_build(&b), 0);
	for (i = 0; i < RIG_RAM_BYTES; i++)
		if (i < a.result.genid_gpa || i >= a.result.genid_gpa + 16)
			ck_assert_uint_eq(a.ram[i], b.ram[i]);
	ck_assert_mem_eq(b.ram + b.result.genid_gpa, b.config.genid, 16);
	rig_fini(&a);
	rig_fini(&b);
}
END_TEST

START_TEST(only_the_pages_that_hold_something_are_touched)
{
	unsigned char resident[RIG_RAM_BYTES / PAGE];
	uint64_t page, last, genid;
	struct rig r;
	size_t i;
	bool used;

	for (i = 0; i < SHAPES; i++) {
		rig_make(&r, shapes[i].cpus, shapes[i].slots);
		ck_assert_int_eq(mincore(r.ram, RIG_RAM_BYTES, resident), 0);
		last = (r.result.rsdp + r.result.bytes - 1) / PAGE;
		genid = r.result.genid_gpa / PAGE;
		for (page = 0; page < RIG_RAM_BYTES / PAGE; page++) {
			used = page >= ACPI_TABLES / PAGE && page <= last;
			used = used || page == genid;
			ck_assert_msg((resident[page] & 1) == used, "page %u",
				      (unsigned int)page);
		}
		rig_fini(&r);
	}
}
END_TEST

static void check_refusal(uint32_t cpus, uint32_t slots, const char *text)
{
	struct acpi_result before;
	struct rig r;

	rig_init(&r, cpus, slots);
	before = r.result;
	ck_assert_int_eq(rig_build(&r), -EINVAL);
	ck_assert_int_eq(r.e.code, -EINVAL);
	ck_assert_str_eq(r.e.text, text);
	ck_assert_mem_eq(&before, &r.result, sizeof(before));
	ck_assert_uint_eq(r.ram[ACPI_TABLES], 0);
	ck_assert_int_eq(acpi_build(&r.result, &r.config, &r.mem, NULL),
			 -EINVAL);
	rig_fini(&r);
}

START_TEST(numbers_out_of_range_are_refused_by_name)
{
	check_refusal(0, 0, "acpi: 0 CPUs: not in 1..1024");
	check_refusal(1025, 0, "acpi: 1025 CPUs: not in 1..1024");
	check_refusal(UINT32_MAX, 0, "acpi: 4294967295 CPUs: not in 1..1024");
	check_refusal(1, 17, "acpi: 17 virtio slots: more than 16");
}
END_TEST

START_TEST(a_machine_without_memory_there_is_refused_and_not_written)
{
	struct rig r;

	rig_init(&r, 1, 0);
	r.mem = (struct gmem){ 0 };
	/* one page short of the end of the window */
	ck_assert_int_eq(gmem_add(&r.mem, 0, ACPI_TABLES_END - PAGE, r.ram), 0);
	ck_assert_int_eq(rig_build(&r), -EFAULT);
	ck_assert_str_eq(r.e.text,
			 "acpi: no guest memory at 0xe0000..0x100000");
	ck_assert_uint_eq(r.ram[ACPI_TABLES], 0);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_table_is_where_the_result_says_and_adds_up_to_zero,
		the_root_pointer_has_two_good_checksums_and_leads_to_the_xsdt,
		the_fadt_is_hardware_reduced_with_sleep_and_reset_registers,
		the_madt_lists_each_cpu_once_and_x2apic_ids_from_255_on,
		the_spcr_names_com1_and_its_gsi,
		the_generation_id_lies_alone_in_reserved_memory,
		the_bios_entry_writes_the_reset_register,
		the_same_configuration_gives_the_same_bytes,
		another_generation_id_changes_these_sixteen_bytes_only,
		only_the_pages_that_hold_something_are_touched,
		numbers_out_of_range_are_refused_by_name,
		a_machine_without_memory_there_is_refused_and_not_written,
	};

	return SUITE_RUN("acpi", tests);
}
