/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the MADT through RSDP and XSDT (ACPI 6.4, chapter 5.2) and lists the
 * CPUs that may be used. The first CPU at CPL0. Tables are read with limits,
 * but checksums are left to iasl and Linux. No state.
 */
#include "guest-images/runtime/trap.h"

#define RSDP_XSDT      24
#define TABLE_LENGTH   4
#define TABLE_HEADER   36
#define MADT_ENTRIES   44
#define ENTRY_LAPIC    0
#define ENTRY_X2APIC   9
#define MAX_TABLE      0x10000
#define SIGNATURE_APIC 0x43495041 /* "APIC" */

/* Table fields are not aligned. */
static uint64_t get64(uint64_t address)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address));
	return value;
}

static uint32_t get32(uint64_t address)
{
	return (uint32_t)get64(address);
}

static uint8_t get8(uint64_t address)
{
	return (uint8_t)get64(address);
}

static uint64_t table_end(uint64_t table)
{
	uint32_t length = get32(table + TABLE_LENGTH);

	return table + (length < MAX_TABLE ? length : MAX_TABLE);
}

static uint64_t find_madt(void)
{
	uint64_t xsdt, at;

	if (boot_rsdp() == 0)
		return 0;
	xsdt = get64(boot_rsdp() + RSDP_XSDT);
	for (at = xsdt + TABLE_HEADER; at + 8 <= table_end(xsdt); at += 8)
		if (get32(get64(at)) == SIGNATURE_APIC)
			return get64(at);
	return 0;
}

/* True and *id for an entry that describes an enabled CPU. */
static bool entry_cpu(uint64_t entry, uint32_t *id)
{
	switch (get8(entry)) {
	case ENTRY_LAPIC:
		*id = get8(entry + 3);
		return get32(entry + 4) & 1;
	case ENTRY_X2APIC:
		*id = get32(entry + 4);
		return get32(entry + 8) & 1;
	default:
		return false;
	}
}

unsigned acpi_cpus(uint32_t *ids, unsigned max)
{
	uint64_t madt = find_madt();
	unsigned found = 0;
	uint64_t at;
	uint32_t id;

	if (madt == 0)
		return 0;
	at = madt + MADT_ENTRIES;
	while (at + 2 <= table_end(madt) && get8(at + 1) >= 2) {
		if (entry_cpu(at, &id) && found < max)
			ids[found++] = id;
		at += get8(at + 1);
	}
	return found;
}
