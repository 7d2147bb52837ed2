/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded operations on a disk and its layers, as data. One thread. */
#ifndef AMBER_TESTS_UNIT_LAYER_OPS_H
#define AMBER_TESTS_UNIT_LAYER_OPS_H

#include <stdio.h>

#include "tests/unit/seeded.h"

enum kind {
	WRITE,
	ZERO,
	DISCARD,
	READ,
	FLUSH,
	PUSH,
	STREAM,
	MERGE,
	CANCEL,
	WAIT,
	DEATH,
	REOPEN,
	RESIZE,
	COMMIT,
	CLONE,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"write", "zero",   "discard", "read",	"flush",
	"push",	 "stream", "merge",   "cancel", "wait",
	"death", "reopen", "resize",  "commit", "clone",
};

/* Of 1000; they add up. */
static const unsigned int odds[KINDS] = {
	440, 90, 80, 140, 60, 45, 25, 45, 8, 12, 10, 20, 10, 10, 5,
};

struct layer_op {
	enum kind kind;
	uint64_t a, b; /* sectors from where, how many; or any number */
	uint64_t value;
};

static inline enum kind choose_kind(uint64_t n)
{
	unsigned int k = 0;

	for (n %= 1000; n >= odds[k]; k++)
		n -= odds[k];
	return (enum kind)k;
}

static inline void layer_ops_make(struct layer_op *ops, size_t n, uint64_t seed)
{
	static const uint64_t lengths[] = { 1, 8, 8, 16, 130, 400, 1500 };
	uint64_t random = seeded_start(seed);
	size_t i;

	for (i = 0; i < n; i++) {
		ops[i].kind = choose_kind(seeded_next(&random));
		ops[i].a = seeded_next(&random);
		if (seeded_next(&random) % 2)
			ops[i].a &= ~UINT64_C(7);
		ops[i].b = 1 + seeded_next(&random) %
				       lengths[seeded_next(&random) % 7];
		ops[i].value = seeded_next(&random);
	}
}

static inline void layer_ops_print(const struct layer_op *ops, size_t n,
				   uint64_t seed)
{
	size_t i;

	fprintf(stderr, "seed %llu fails with these %zu operations:\n",
		(unsigned long long)seed, n);
	for (i = 0; i < n; i++)
		fprintf(stderr, "  { %s, %llu, %llu, %llu }\n",
			kind_names[ops[i].kind], (unsigned long long)ops[i].a,
			(unsigned long long)ops[i].b,
			(unsigned long long)ops[i].value);
}

#endif
