/* SPDX-License-Identifier: Apache-2.0 */
/* The main of a unit test: runs a list of Check tests as one suite. */
#ifndef AMBER_TESTS_UNIT_SUITE_H
#define AMBER_TESTS_UNIT_SUITE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define SUITE_TIMEOUT_S 60

/* CPU time of this process, in ns: a busy machine doesn't make it more. */
static inline uint64_t suite_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * How much more memory a test may be seen to use in a build with a sanitizer,
 * which shadows what is touched and keeps what was freed.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SUITE_MEMORY_FACTOR 8
#endif
#endif
#ifndef SUITE_MEMORY_FACTOR
#define SUITE_MEMORY_FACTOR 1
#endif

/*
 * Check writes to a file at each assertion that holds, so that it can say
 * behind which one a test crashed, and reads all of it in the end: a loop over
 * bytes takes seconds. Here each place is written down once.
 */
static inline void suite_mark(bool *is_marked, const char *file, int line)
{
	if (__atomic_load_n(is_marked, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(is_marked, true, __ATOMIC_RELAXED);
	_mark_point(file, line);
}

#undef ck_assert_msg
#define ck_assert_msg(expr, ...)                                          \
	do {                                                              \
		static bool is_marked_;                                   \
		if (expr)                                                 \
			suite_mark(&is_marked_, __FILE__, __LINE__);      \
		else                                                      \
			_ck_assert_failed(__FILE__, __LINE__,             \
					  "Assertion '" #expr "' failed", \
					  ##__VA_ARGS__);                 \
	} while (0)

/* Returns the exit status: 0 when all of them passed. */
static inline int suite_run(const char *name, const TTest *const *tests,
			    size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;
	size_t i;

	tcase_set_timeout(tcase, SUITE_TIMEOUT_S);
	for (i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#define SUITE_RUN(name, tests) \
	suite_run(name, tests, sizeof(tests) / sizeof((tests)[0]))

#endif
