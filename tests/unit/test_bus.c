/* SPDX-License-Identifier: Apache-2.0 */
/* The bus: who owns an address, and what nobody owns. */
#include <string.h>

#include "devices/bus.h"
#include "tests/unit/suite.h"

/* A device that remembers the last access. */
struct probe {
	struct device device;
	uint32_t range;
	uint64_t offset, value;
	uint8_t size;
	unsigned int accesses;
};

static void remember(struct probe *p, uint32_t range, uint64_t offset,
		     uint8_t size, uint64_t value)
{
	p->range = range;
	p->offset = offset;
	p->size = size;
	p->value = value;
	p->accesses++;
}

static uint64_t probe_read(struct device *d, uint32_t range, uint64_t offset,
			   uint8_t size)
{
	remember((struct probe *)d, range, offset, size, 0);
	return 0x1122334455667788;
}

static void probe_write(struct device *d, uint32_t range, uint64_t offset,
			uint8_t size, uint64_t value)
{
	remember((struct probe *)d, range, offset, size, value);
}

static const struct device_ops ops = { .name = "probe",
				       .read = probe_read,
				       .write = probe_write };

#define PROBE                            \
	{                                \
		.device = {.ops = &ops } \
	}

static void add(struct bus *b, uint64_t start, uint64_t bytes, struct probe *p,
		uint32_t range)
{
	ck_assert_int_eq(bus_add(b, start, bytes, &p->device, range, NULL), 0);
}

START_TEST(accesses_reach_their_owner_with_range_and_offset)
{
	struct bus b = { .name = "port" };
	struct probe p = PROBE, q = PROBE;
	uint64_t v;

	add(&b, 0x300, 8, &p, 0);
	add(&b, 0x100, 4, &q, 1);
	add(&b, 0x308, 8, &q, 2);
	ck_assert(bus_write(&b, 0x302, 2, 0xabcdef));
	ck_assert_uint_eq(p.offset, 2);
	ck_assert_uint_eq(p.size, 2);
	ck_assert_uint_eq(p.value, 0xcdef);
	ck_assert(bus_read(&b, 0x308, 8, &v));
	ck_assert_uint_eq(q.range, 2);
	ck_assert_uint_eq(q.offset, 0);
	ck_assert_uint_eq(v, 0x1122334455667788);
	ck_assert(bus_read(&b, 0x103, 1, &v));
	ck_assert_uint_eq(q.range, 1);
	ck_assert_uint_eq(v, 0x88);
}
END_TEST

START_TEST(what_nobody_owns_reads_as_ones)
{
	struct bus b = { .name = "mmio" };
	struct probe p = PROBE;
	uint64_t v;

	add(&b, 0x1000, 4, &p, 0);
	ck_assert(!bus_read(&b, 0xfff, 1, &v));
	ck_assert_uint_eq(v, 0xff);
	ck_assert(!bus_read(&b, 0x1004, 2, &v));
	ck_assert_uint_eq(v, 0xffff);
	ck_assert(!bus_read(&b, UINT64_MAX, 4, &v));
	ck_assert_uint_eq(v, 0xffffffff);
	ck_assert(!bus_read(&b, 0, 8, &v));
	ck_assert_uint_eq(v, UINT64_MAX);
	ck_assert(!bus_write(&b, 0xfff, 1, 0));
	ck_assert_uint_eq(p.accesses, 0);
}
END_TEST

START_TEST(an_access_over_the_end_of_a_range_belongs_to_nobody)
{
	struct bus b = { .name = "port" };
	struct probe p = PROBE, q = PROBE;
	uint64_t v;

	add(&b, 0x10, 4, &p, 0);
	add(&b, 0x14, 4, &q, 0);
	ck_assert(!bus_read(&b, 0x13, 2, &v));
	ck_assert(!bus_write(&b, 0x10, 8, 1));
	ck_assert(!bus_read(&b, 0x0f, 2, &v));
	ck_assert(bus_read(&b, 0x10, 4, &v));
	ck_assert_uint_eq(p.accesses, 1);
	ck_assert_uint_eq(q.accesses, 0);
}
END_TEST

START_TEST(overlaps_are_refused_by_name)
{
	struct bus b = { .name = "port" };
	struct probe p = PROBE, q = PROBE;
	struct err e = ERR_NONE;

	add(&b, 0x10, 4, &p, 0);
	ck_assert_int_eq(bus_add(&b, 0x13, 1, &q.device, 0, &e), -EEXIST);
	ck_assert_ptr_nonnull(strstr(e.text, "probe"));
	ck_assert_int_eq(bus_add(&b, 0x0e, 3, &q.device, 0, &e), -EEXIST);
	ck_assert_int_eq(bus_add(&b, 0x00, 64, &q.device, 0, &e), -EEXIST);
	ck_assert_int_eq(bus_add(&b, 0x0c, 4, &q.device, 0, &e), 0);
	ck_assert_int_eq(bus_add(&b, 0x14, 1, &q.device, 0, &e), 0);
}
END_TEST

START_TEST(empty_and_wrapping_ranges_are_refused)
{
	struct bus b = { .name = "mmio" };
	struct probe p = PROBE;
	struct err e = ERR_NONE;

	ck_assert_int_eq(bus_add(&b, 0x10, 0, &p.device, 0, &e), -EINVAL);
	ck_assert_int_eq(bus_add(&b, UINT64_MAX, 2, &p.device, 0, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "mmio"));
}
END_TEST

START_TEST(the_number_of_ranges_is_limited)
{
	struct bus b = { .name = "port" };
	struct probe p = PROBE;
	struct err e = ERR_NONE;
	uint64_t v;
	unsigned int i;

	for (i = BUS_RANGES_MAX; i--;)
		add(&b, 0x1000 + 0x10 * i, 8, &p, i);
	ck_assert_int_eq(bus_add(&b, 0, 1, &p.device, 0, &e), -ENOSPC);
	for (i = 0; i < BUS_RANGES_MAX; i++) {
		ck_assert(bus_read(&b, 0x1007 + 0x10 * i, 1, &v));
		ck_assert_uint_eq(p.range, i);
		ck_assert(!bus_read(&b, 0x1008 + 0x10 * i, 1, &v));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		accesses_reach_their_owner_with_range_and_offset,
		what_nobody_owns_reads_as_ones,
		an_access_over_the_end_of_a_range_belongs_to_nobody,
		overlaps_are_refused_by_name,
		empty_and_wrapping_ranges_are_refused,
		the_number_of_ranges_is_limited,
	};

	return SUITE_RUN("bus", tests);
}
