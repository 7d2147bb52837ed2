/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets with a clock of the test's own: the rate is exact over time,
 * whatever the steps; a debt is waited for; a change of rate keeps it.
 */
#include "base/bucket.h"
#include "base/clock.h"
#include "tests/unit/suite.h"

/* Takes units of step as soon as it may; returns what came until end. */
static uint64_t taken(struct bucket *b, uint64_t step, uint64_t from,
		      uint64_t end)
{
	uint64_t now = from, sum = 0, wait;

	while (now < end) {
		wait = bucket_wait_ns(b, now);
		if (wait) {
			ck_assert_uint_le(wait, NS_PER_S);
			now += wait;
			continue;
		}
		bucket_take(b, step);
		sum += step;
	}
	return sum;
}

START_TEST(the_rate_is_exact_over_time)
{
	static const struct {
		uint64_t rate, step;
	} runs[] = { { 1, 1 },
		     { 3, 1 },
		     { 7, 5 },
		     { 1000, 1 },
		     { 999983, 1500 },
		     { 1000000, 65536 },
		     { 1u << 30, 1u << 20 } };
	struct bucket b;
	uint64_t sum, ideal;
	size_t i;

	for (i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		bucket_init(&b, runs[i].rate, 12345);
		sum = taken(&b, runs[i].step, 12345, 12345 + 100 * NS_PER_S);
		ideal = 100 * runs[i].rate;
		/* The first burst, and the debt of the last one taken. */
		ck_assert_uint_ge(sum, ideal);
		ck_assert_uint_le(sum,
				  ideal + runs[i].rate / 10 + 1 + runs[i].step);
	}
}
END_TEST

START_TEST(looking_often_loses_nothing_to_rounding)
{
	struct bucket b;
	uint64_t now, got = 0;

	bucket_init(&b, 10, 0);
	bucket_take(&b, 1); /* the burst */
	for (now = 0; now <= 10 * NS_PER_S; now += 33333)
		if (!bucket_wait_ns(&b, now)) {
			bucket_take(&b, 1);
			got++;
		}
	ck_assert_uint_ge(got, 99);
	ck_assert_uint_le(got, 100);
}
END_TEST

START_TEST(what_waited_long_is_no_more_than_a_burst)
{
	struct bucket b;

	bucket_init(&b, 1000, 0);
	ck_assert_uint_eq(bucket_wait_ns(&b, 1000 * NS_PER_S), 0);
	ck_assert_int_eq(b.tokens, 100);
	ck_assert_uint_eq(bucket_wait_ns(&b, UINT64_MAX), 0);
	ck_assert_int_eq(b.tokens, 100);
}
END_TEST

START_TEST(a_debt_is_waited_for_to_the_nanosecond)
{
	struct bucket b;
	uint64_t wait;

	bucket_init(&b, 1000, 0);
	bucket_take(&b, 600); /* 500 in debt */
	wait = bucket_wait_ns(&b, 0);
	ck_assert_uint_eq(wait, 501 * NS_PER_MS);
	ck_assert_uint_eq(bucket_wait_ns(&b, wait - 1), 1);
	ck_assert_uint_eq(bucket_wait_ns(&b, wait), 0);
	/* More than a second's worth: asked again after one. */
	bucket_take(&b, 5000);
	ck_assert_uint_eq(bucket_wait_ns(&b, wait), NS_PER_S);
}
END_TEST

START_TEST(no_rate_is_no_limit)
{
	struct bucket b;

	bucket_init(&b, 0, 0);
	bucket_take(&b, UINT64_MAX);
	ck_assert_uint_eq(bucket_wait_ns(&b, 0), 0);
	bucket_set_rate(&b, 100, NS_PER_S); /* begins full */
	ck_assert_int_eq(b.tokens, 10);
	bucket_take(&b, 1000);
	bucket_set_rate(&b, 0, NS_PER_S);
	ck_assert_uint_eq(bucket_wait_ns(&b, NS_PER_S), 0);
}
END_TEST

START_TEST(a_change_of_rate_keeps_the_debt)
{
	struct bucket b;

	bucket_init(&b, 1000, 0);
	bucket_take(&b, 1100);			 /* 1000 in debt */
	bucket_set_rate(&b, 2000, NS_PER_S / 2); /* 500 by now */
	ck_assert_int_eq(b.tokens, -500);
	ck_assert_uint_eq(bucket_wait_ns(&b, NS_PER_S / 2),
			  501 * NS_PER_S / 2000);
	bucket_set_rate(&b, 100000, NS_PER_S);
	bucket_wait_ns(&b, 10 * NS_PER_S);
	ck_assert_int_eq(b.tokens, 10000);
	bucket_set_rate(&b, 10, 10 * NS_PER_S); /* a smaller burst */
	ck_assert_int_eq(b.tokens, 1);
}
END_TEST

START_TEST(extreme_numbers_do_not_wrap)
{
	struct bucket b;
	int i;

	bucket_init(&b, UINT64_MAX, 0);
	for (i = 0; i < 10; i++)
		bucket_take(&b, UINT64_MAX);
	ck_assert_int_lt(b.tokens, 0);
	ck_assert_uint_gt(bucket_wait_ns(&b, 0), 0);
	/* A debt of 2^36 at a rate of 2^38: a quarter of a second. */
	bucket_init(&b, 1ULL << 38, 0);
	bucket_take(&b, (uint64_t)b.tokens + (1ULL << 36));
	ck_assert_uint_ge(bucket_wait_ns(&b, 0), NS_PER_S / 4);
	ck_assert_uint_le(bucket_wait_ns(&b, 0), NS_PER_S / 4 + 1);
	/* A clock that goes back gives nothing. */
	bucket_init(&b, 1000, NS_PER_S);
	bucket_take(&b, 100);
	ck_assert_uint_gt(bucket_wait_ns(&b, 0), 0);
	ck_assert_int_eq(b.tokens, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_rate_is_exact_over_time,
		looking_often_loses_nothing_to_rounding,
		what_waited_long_is_no_more_than_a_burst,
		a_debt_is_waited_for_to_the_nanosecond,
		no_rate_is_no_limit,
		a_change_of_rate_keeps_the_debt,
		extreme_numbers_do_not_wrap,
	};

	return SUITE_RUN("bucket", tests);
}
