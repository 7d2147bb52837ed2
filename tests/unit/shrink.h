/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence of operations that fails is tried again with fewer of them,
 * until none can be left out. Each try is a process of its own. One thread.
 */
#ifndef AMBER_TESTS_UNIT_SHRINK_H
#define AMBER_TESTS_UNIT_SHRINK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"

#define SHRINK_TRIES	 400
#define SHRINK_TIMEOUT_S 600

/* Ends the process if it fails. ops may be anything, n of them. */
typedef void (*shrink_try)(const void *ops, size_t n, const void *ctx);

static inline bool shrink_fails(const void *ops, size_t n, shrink_try try_ops,
				const void *ctx)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		/* What it says is said when no fewer do. */
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		alarm(SHRINK_TIMEOUT_S);
		try_ops(ops, n, ctx);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status != 0;
}

/* Leaves out half of them, a quarter... as long as it fails; how many stay. */
static inline size_t shrink(void *ops, size_t n, size_t size,
			    shrink_try try_ops, const void *ctx)
{
	uint8_t *all = ops, *fewer = calloc(n, size);
	size_t part, from, rest, tries = 0;

	ck_assert_ptr_nonnull(fewer);
	for (part = n / 2; part && tries < SHRINK_TRIES; part /= 2)
		for (from = 0; from + part <= n && tries < SHRINK_TRIES;
		     tries++) {
			rest = n - from - part;
			memcpy(fewer, all, from * size);
			memcpy(fewer + from * size, all + (from + part) * size,
			       rest * size);
			if (shrink_fails(fewer, n - part, try_ops, ctx)) {
				n -= part;
				memcpy(all, fewer, n * size);
			} else {
				from += part;
			}
		}
	free(fewer);
	return n;
}

#endif
