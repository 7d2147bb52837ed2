/* SPDX-License-Identifier: Apache-2.0 */
/* The byte ring: positions, readers that fall behind, limits. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ring.h"
#include "tests/unit/suite.h"

#define SIZE 16

static struct ring ring_of(size_t size)
{
	struct ring r;

	ck_assert_int_eq(ring_init(&r, size), 0);
	return r;
}

START_TEST(bytes_come_out_as_they_went_in)
{
	struct ring r = ring_of(SIZE);
	uint64_t cursor = 0, dropped;
	char out[SIZE];

	ring_write(&r, "hello", 5);
	ck_assert_uint_eq(ring_read(&r, &cursor, out, 3, &dropped), 3);
	ck_assert_uint_eq(dropped, 0);
	ck_assert_uint_eq(ring_read(&r, &cursor, out + 3, 9, &dropped), 2);
	ck_assert_mem_eq(out, "hello", 5);
	ck_assert_uint_eq(cursor, 5);
	ck_assert_uint_eq(ring_read(&r, &cursor, out, 9, NULL), 0);
	ring_fini(&r);
}
END_TEST

START_TEST(a_full_ring_loses_nothing_and_one_byte_more_loses_one)
{
	struct ring r = ring_of(SIZE);
	uint64_t cursor = 0, dropped;
	char out[SIZE];

	ring_write(&r, "0123456789abcdef", SIZE);
	ck_assert_uint_eq(ring_start(&r), 0);
	ck_assert_uint_eq(ring_behind(&r, 0), SIZE);
	ck_assert_uint_eq(ring_read(&r, &cursor, out, SIZE, &dropped), SIZE);
	ck_assert_uint_eq(dropped, 0);
	ring_write(&r, "g", 1);
	ck_assert_uint_eq(ring_start(&r), 1);
	cursor = 0;
	ck_assert_uint_eq(ring_read(&r, &cursor, out, SIZE, &dropped), SIZE);
	ck_assert_uint_eq(dropped, 1);
	ck_assert_mem_eq(out, "123456789abcdefg", SIZE);
	ring_fini(&r);
}
END_TEST

START_TEST(a_write_larger_than_the_ring_keeps_its_end)
{
	struct ring r = ring_of(4);
	uint64_t cursor = 0, dropped;
	char out[4];

	ring_write(&r, "x", 1);
	ring_write(&r, "0123456789", 10);
	ck_assert_uint_eq(r.end, 11);
	ck_assert_uint_eq(ring_read(&r, &cursor, out, 4, &dropped), 4);
	ck_assert_uint_eq(dropped, 7);
	ck_assert_mem_eq(out, "6789", 4);
	ring_fini(&r);
}
END_TEST

START_TEST(a_cursor_beyond_the_end_is_moved_back)
{
	struct ring r = ring_of(SIZE);
	uint64_t cursor = UINT64_MAX, dropped;
	char out[4];

	ring_write(&r, "abc", 3);
	ck_assert_uint_eq(ring_read(&r, &cursor, out, 4, &dropped), 0);
	ck_assert_uint_eq(cursor, 3);
	ck_assert_uint_eq(dropped, 0);
	ck_assert_uint_eq(ring_behind(&r, UINT64_MAX), 0);
	ring_fini(&r);
}
END_TEST

START_TEST(readers_are_independent)
{
	struct ring r = ring_of(SIZE);
	uint64_t a = 0, b = 0;
	char out[8];

	ring_write(&r, "abcd", 4);
	ring_read(&r, &a, out, 4, NULL);
	ck_assert_uint_eq(ring_read(&r, &b, out, 2, NULL), 2);
	ck_assert_mem_eq(out, "ab", 2);
	ck_assert_uint_eq(a, 4);
	ck_assert_uint_eq(b, 2);
	ring_fini(&r);
}
END_TEST

/* The stream is byte n = n mod 251: any mix of lengths must agree. */
START_TEST(any_mix_of_lengths_keeps_the_stream)
{
	struct ring r = ring_of(64);
	uint64_t cursor = 0, dropped, written = 0, i;
	uint8_t in[96], out[96];
	unsigned int seed = 1, round;

	for (round = 0; round < 20000; round++) {
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 0x3f;
		size_t m = seed >> 8 & 0x3f, got;

		for (i = 0; i < n; i++)
			in[i] = (uint8_t)((written + i) % 251);
		ring_write(&r, in, n);
		written += n;
		got = ring_read(&r, &cursor, out, m, &dropped);
		for (i = 0; i < got; i++)
			ck_assert_uint_eq(out[i], (cursor - got + i) % 251);
	}
	ck_assert_uint_eq(r.end, written);
	ring_fini(&r);
}
END_TEST

START_TEST(sizes_are_checked_on_both_sides)
{
	struct ring r;

	ck_assert_int_eq(ring_init(&r, 0), -EINVAL);
	ck_assert_int_eq(ring_init(&r, 3), -EINVAL);
	ck_assert_int_eq(ring_init(&r, (size_t)RING_BYTES_MAX * 2), -EINVAL);
	ring_fini(&r);
	ck_assert_int_eq(ring_init(&r, 1), 0);
	ring_fini(&r);
	ck_assert_int_eq(ring_init(&r, RING_BYTES_MAX), 0);
	ring_fini(&r);
	ring_fini(&r);
	ring_fini(NULL);
}
END_TEST

START_TEST(an_idle_ring_touches_no_memory)
{
	size_t size = 1u << 20, page = (size_t)sysconf(_SC_PAGESIZE), i;
	struct ring r = ring_of(size);
	unsigned char resident[256];
	size_t touched = 0;

	ck_assert_uint_le(size / page, sizeof(resident));
	ring_write(&r, "x", 1);
	ck_assert_int_eq(mincore(r.bytes, size, resident), 0);
	for (i = 0; i < size / page; i++)
		touched += resident[i] & 1;
	ck_assert_uint_le(touched, 1);
	ring_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bytes_come_out_as_they_went_in,
		a_full_ring_loses_nothing_and_one_byte_more_loses_one,
		a_write_larger_than_the_ring_keeps_its_end,
		a_cursor_beyond_the_end_is_moved_back,
		readers_are_independent,
		any_mix_of_lengths_keeps_the_stream,
		sizes_are_checked_on_both_sides,
		an_idle_ring_touches_no_memory,
	};

	return SUITE_RUN("ring", tests);
}
