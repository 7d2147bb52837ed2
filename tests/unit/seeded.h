/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What seeded tests share: repeatable numbers, settings from the environment,
 * and a main with one test that runs many times. One thread.
 */
#ifndef AMBER_TESTS_UNIT_SEEDED_H
#define AMBER_TESTS_UNIT_SEEDED_H

#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/suite.h"

/* The next number (xorshift); *state is never 0. */
static inline uint64_t seeded_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t seeded_start(uint64_t seed)
{
	return seed * 0x9e3779b97f4a7c15ULL | 1;
}

static inline uint64_t seeded_setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Runs loop with _i from 0 to times - 1, then the others, once each. */
static inline int seeded_run(const char *name, double timeout_s,
			     const TTest *loop, int times,
			     const TTest *const *others, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;
	size_t i;

	tcase_set_timeout(tcase, timeout_s);
	tcase_add_loop_test(tcase, loop, 0, times);
	for (i = 0; i < count; i++)
		tcase_add_test(tcase, others[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
