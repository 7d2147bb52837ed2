/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets in integers: nothing is lost to rounding. */
#include "base/bucket.h"

#include "base/clock.h"

#define BURST_PART  10 /* of a second's worth */
#define UNITS_LIMIT (INT64_MAX / 4)

static int64_t burst(const struct bucket *b)
{
	uint64_t n = b->rate / BURST_PART;

	return n ? (int64_t)n : 1;
}

static void refill(struct bucket *b, uint64_t now_ns)
{
	uint64_t elapsed = now_ns > b->last_ns ? now_ns - b->last_ns : 0;
	__uint128_t sum = (__uint128_t)b->rate * elapsed + b->rest;
	__uint128_t room = (__uint128_t)(burst(b) - b->tokens);
	__uint128_t fresh = sum / NS_PER_S;

	b->tokens += (int64_t)(fresh < room ? fresh : room);
	b->rest = (uint64_t)(sum % NS_PER_S);
	b->last_ns = now_ns;
}

void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ns)
{
	*b = (struct bucket){ .rate = rate, .last_ns = now_ns };
	if (b->rate > UNITS_LIMIT)
		b->rate = UNITS_LIMIT;
	b->tokens = burst(b);
}

void bucket_set_rate(struct bucket *b, uint64_t rate, uint64_t now_ns)
{
	if (!b->rate) {
		bucket_init(b, rate, now_ns);
		return;
	}
	refill(b, now_ns);
	b->rate = rate > UNITS_LIMIT ? UNITS_LIMIT : rate;
	if (b->tokens > burst(b))
		b->tokens = burst(b);
}

uint64_t bucket_wait_ns(struct bucket *b, uint64_t now_ns)
{
	uint64_t missing;

	if (!b->rate)
		return 0;
	refill(b, now_ns);
	if (b->tokens > 0)
		return 0;
	missing = (uint64_t)-b->tokens + 1;
	if (missing > b->rate)
		return NS_PER_S; /* then ask again */
	return (uint64_t)(((__uint128_t)missing * NS_PER_S - b->rest + b->rate -
			   1) /
			  b->rate);
}

void bucket_take(struct bucket *b, uint64_t units)
{
	if (!b->rate)
		return;
	if (units > UNITS_LIMIT)
		units = UNITS_LIMIT;
	b->tokens -= (int64_t)units;
	if (b->tokens < -UNITS_LIMIT)
		b->tokens = -UNITS_LIMIT;
}

static void follow(struct bucket *b, uint64_t rate, uint64_t now_ns)
{
	if (b->rate != rate)
		bucket_set_rate(b, rate, now_ns);
}

uint64_t limiter_wait_ns(struct limiter *l, const struct limits *limits)
{
	uint64_t bytes = atomic_load_explicit(&limits->bytes_per_s,
					      memory_order_relaxed);
	uint64_t number = atomic_load_explicit(&limits->number_per_s,
					       memory_order_relaxed);
	uint64_t now, byte_ns, number_ns;

	/* Mostly there is none: then the clock isn't asked. */
	if (!bytes && !number && !l->bytes.rate && !l->number.rate)
		return 0;
	now = clock_mono_ns();
	follow(&l->bytes, bytes, now);
	follow(&l->number, number, now);
	byte_ns = bucket_wait_ns(&l->bytes, now);
	number_ns = bucket_wait_ns(&l->number, now);
	return byte_ns > number_ns ? byte_ns : number_ns;
}

void limiter_take(struct limiter *l, uint64_t bytes)
{
	bucket_take(&l->bytes, bytes);
	bucket_take(&l->number, 1);
}
