/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: so much per second on average, with bursts of up to a
 * tenth of a second's worth. What is taken may exceed what is there: the
 * debt delays the next one, so that any size passes in the end. The owner
 * serialises.
 */
#ifndef AMBER_BASE_BUCKET_H
#define AMBER_BASE_BUCKET_H

#include <stdatomic.h>
#include <stdint.h>

struct bucket {
	uint64_t rate;	/* units per second; 0: no limit */
	int64_t tokens; /* below 0: a debt */
	uint64_t last_ns;
	uint64_t rest; /* of the last refill, in units * ns per s */
};

/* Full, with that rate. A change of the rate at run time keeps the debt. */
void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ns);
void bucket_set_rate(struct bucket *b, uint64_t rate, uint64_t now_ns);

/* 0: something may be taken now; else the nanoseconds until then. */
uint64_t bucket_wait_ns(struct bucket *b, uint64_t now_ns);
void bucket_take(struct bucket *b, uint64_t units);

/*
 * A limit of bytes and of a number per second, as disks and network cards
 * have: the rates may be set by any thread at any time.
 */
struct limits {
	_Atomic uint64_t bytes_per_s, number_per_s; /* 0: no limit */
};

/* What was used of them, one way. */
struct limiter {
	struct bucket bytes, number;
};

/* 0: one may be taken now; else the nanoseconds until then. */
uint64_t limiter_wait_ns(struct limiter *l, const struct limits *limits);
/* One of so many bytes was taken. */
void limiter_take(struct limiter *l, uint64_t bytes);

#endif
