/* SPDX-License-Identifier: Apache-2.0 */
/* The door to guest memory: every address and length from hostile hands. */
#include <errno.h>
#include <string.h>

#include "devices/gmem.h"
#include "tests/unit/suite.h"

#define LOW_BYTES  0x1000
#define HIGH_START 0x100000000ULL
#define HIGH_BYTES 0x800

static uint8_t low[LOW_BYTES], high[HIGH_BYTES];

static struct gmem two_regions(void)
{
	struct gmem mem = { .count = 0 };

	ck_assert_int_eq(gmem_add(&mem, 0, LOW_BYTES, low), 0);
	ck_assert_int_eq(gmem_add(&mem, HIGH_START, HIGH_BYTES, high), 0);
	return mem;
}

START_TEST(addresses_inside_a_region_are_found)
{
	struct gmem mem = two_regions();

	ck_assert_ptr_eq(gmem_slice(&mem, 0, LOW_BYTES), low);
	ck_assert_ptr_eq(gmem_slice(&mem, LOW_BYTES - 1, 1),
			 low + LOW_BYTES - 1);
	ck_assert_ptr_eq(gmem_slice(&mem, HIGH_START, HIGH_BYTES), high);
	ck_assert_ptr_eq(gmem_slice(&mem, HIGH_START + 5, 3), high + 5);
	ck_assert_uint_eq(gmem_bytes(&mem), LOW_BYTES + HIGH_BYTES);
}
END_TEST

START_TEST(addresses_outside_are_not)
{
	struct gmem mem = two_regions(), none = { .count = 0 };

	ck_assert_ptr_null(gmem_slice(&mem, 0, LOW_BYTES + 1));
	ck_assert_ptr_null(gmem_slice(&mem, LOW_BYTES - 1, 2));
	ck_assert_ptr_null(gmem_slice(&mem, LOW_BYTES, 1));
	ck_assert_ptr_null(gmem_slice(&mem, HIGH_START - 1, 1));
	ck_assert_ptr_null(gmem_slice(&mem, HIGH_START - 1, 2));
	ck_assert_ptr_null(gmem_slice(&mem, HIGH_START + HIGH_BYTES, 1));
	ck_assert_ptr_null(gmem_slice(&mem, UINT64_MAX, 1));
	ck_assert_ptr_null(gmem_slice(&mem, 0, 0));
	ck_assert_ptr_null(gmem_slice(&none, 0, 1));
}
END_TEST

START_TEST(lengths_that_wrap_are_refused)
{
	struct gmem mem = two_regions();

	ck_assert_ptr_null(gmem_slice(&mem, 1, UINT64_MAX));
	ck_assert_ptr_null(gmem_slice(&mem, 0, UINT64_MAX));
	ck_assert_ptr_null(gmem_slice(&mem, HIGH_START + 1, UINT64_MAX));
	ck_assert_ptr_null(gmem_slice(&mem, HIGH_START, 1ULL << 63));
	ck_assert_ptr_null(gmem_slice(&mem, UINT64_MAX, UINT64_MAX));
}
END_TEST

START_TEST(copies_happen_whole_or_not_at_all)
{
	struct gmem mem = two_regions();
	char out[8] = "unread!";

	ck_assert_int_eq(gmem_write(&mem, 0x100, "guest", 6), 0);
	ck_assert_int_eq(gmem_read(&mem, 0x100, out, 6), 0);
	ck_assert_str_eq(out, "guest");
	memset(low + LOW_BYTES - 4, 'k', 4);
	ck_assert_int_eq(gmem_write(&mem, LOW_BYTES - 4, "xxxxx", 5), -EFAULT);
	ck_assert_mem_eq(low + LOW_BYTES - 4, "kkkk", 4);
	ck_assert_int_eq(gmem_read(&mem, LOW_BYTES - 4, out, 5), -EFAULT);
	ck_assert_str_eq(out, "guest");
	ck_assert_int_eq(gmem_write(&mem, LOW_BYTES, "", 0), 0);
	ck_assert_int_eq(gmem_read(&mem, UINT64_MAX, out, 0), 0);
}
END_TEST

START_TEST(regions_are_sorted_disjoint_and_few)
{
	struct gmem mem = two_regions();
	uint64_t start = HIGH_START + HIGH_BYTES;
	int i;

	ck_assert_int_eq(gmem_add(&mem, LOW_BYTES, 16, low), -EINVAL);
	ck_assert_int_eq(gmem_add(&mem, start - 1, 16, low), -EINVAL);
	ck_assert_int_eq(gmem_add(&mem, start, 0, low), -EINVAL);
	ck_assert_int_eq(gmem_add(&mem, start, 16, NULL), -EINVAL);
	ck_assert_int_eq(gmem_add(&mem, start, UINT64_MAX, low), -EINVAL);
	for (i = 2; i < GMEM_REGIONS_MAX; i++, start += 16)
		ck_assert_int_eq(gmem_add(&mem, start, 16, low), 0);
	ck_assert_int_eq(gmem_add(&mem, start, 16, low), -ENOSPC);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		addresses_inside_a_region_are_found,
		addresses_outside_are_not,
		lengths_that_wrap_are_refused,
		copies_happen_whole_or_not_at_all,
		regions_are_sorted_disjoint_and_few,
	};

	return SUITE_RUN("gmem", tests);
}
