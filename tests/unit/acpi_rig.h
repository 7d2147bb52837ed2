/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the ACPI tables share: a small guest memory with tables
 * in it, and the way from a signature to a table that a guest would take.
 * One thread.
 */
#ifndef AMBER_TESTS_UNIT_ACPI_RIG_H
#define AMBER_TESTS_UNIT_ACPI_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/err.h"
#include "devices/gmem.h"
#include "tests/unit/suite.h"
#include "vmm/acpi.h"

#define RIG_RAM_BYTES (2u << 20)
#define TABLE_HEADER  36

struct rig {
	uint8_t *ram; /* fresh zero pages */
	struct gmem mem;
	struct acpi_config config;
	struct acpi_result result;
	struct err e;
};

static inline void rig_init(struct rig *r, uint32_t cpus, uint32_t slots)
{
	unsigned int i;

	*r = (struct rig){ .config = { .cpus = cpus, .virtio_slots = slots } };
	for (i = 0; i < ACPI_GENID_BYTES; i++)
		r->config.genid[i] = (uint8_t)(0xa0 + i);
	r->ram = mmap(NULL, RIG_RAM_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(r->ram, MAP_FAILED);
	ck_assert_int_eq(gmem_add(&r->mem, 0, RIG_RAM_BYTES, r->ram), 0);
}

static inline int rig_build(struct rig *r)
{
	return acpi_build(&r->result, &r->config, &r->mem, &r->e);
}

static inline void rig_make(struct rig *r, uint32_t cpus, uint32_t slots)
{
	rig_init(r, cpus, slots);
	ck_assert_msg(rig_build(r) == 0, "%s", r->e.text);
}

static inline void rig_fini(struct rig *r)
{
	munmap(r->ram, RIG_RAM_BYTES);
}

static inline uint8_t sum_of(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *bytes++);
	return sum;
}

/* A table at an address that a guest has read somewhere; checked. */
static inline const uint8_t *table_at(const struct rig *r, uint64_t gpa)
{
	uint32_t bytes;

	ck_assert_uint_ge(gpa, ACPI_TABLES);
	ck_assert_uint_lt(gpa + TABLE_HEADER, ACPI_TABLES_END);
	bytes = get_le32(r->ram + gpa + 4);
	ck_assert_uint_ge(bytes, TABLE_HEADER);
	ck_assert_uint_le(gpa + bytes, ACPI_TABLES_END);
	ck_assert_uint_eq(sum_of(r->ram + gpa, bytes), 0);
	return r->ram + gpa;
}

/* RSDP, XSDT, then the table with this signature; fails if it is absent. */
static inline const uint8_t *find_table(const struct rig *r, const char *name)
{
	const uint8_t *xsdt, *t;
	uint32_t at;

	xsdt = table_at(r, get_le64(r->ram + r->result.rsdp + 24));
	ck_assert_mem_eq(xsdt, "XSDT", 4);
	for (at = TABLE_HEADER; at < get_le32(xsdt + 4); at += 8) {
		t = table_at(r, get_le64(xsdt + at));
		if (memcmp(t, name, 4) == 0)
			return t;
	}
	ck_abort_msg("no table %s", name);
	return NULL;
}

/* The DSDT as the FADT names it. */
static inline const uint8_t *find_dsdt(const struct rig *r)
{
	const uint8_t *dsdt;

	dsdt = table_at(r, get_le64(find_table(r, "FACP") + 140));
	ck_assert_mem_eq(dsdt, "DSDT", 4);
	return dsdt;
}

#endif
