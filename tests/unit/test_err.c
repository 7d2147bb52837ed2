/* SPDX-License-Identifier: Apache-2.0 */
/* Error values: texts, cutting, prefixes; and the clocks they are shown with.
 */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/suite.h"

START_TEST(an_error_carries_code_and_text)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(e.code, 0);
	ck_assert_int_eq(err_set(&e, -EINVAL, "%s: %d", "here", 7), -EINVAL);
	ck_assert_int_eq(e.code, -EINVAL);
	ck_assert_str_eq(e.text, "here: 7");
}
END_TEST

START_TEST(a_system_error_is_said_in_words)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(err_sys(&e, -ENOENT, "open %s", "x"), -ENOENT);
	ck_assert_str_eq(e.text, "open x: No such file or directory");
}
END_TEST

START_TEST(prefixes_are_put_in_front)
{
	struct err e = ERR_NONE;

	err_set(&e, -EIO, "inner");
	ck_assert_int_eq(err_prefix(&e, "disk %d", 1), -EIO);
	ck_assert_int_eq(err_prefix(&e, "vm"), -EIO);
	ck_assert_str_eq(e.text, "vm: disk 1: inner");
}
END_TEST

START_TEST(without_a_struct_the_code_is_passed_on)
{
	ck_assert_int_eq(err_set(NULL, -EPERM, "x"), -EPERM);
	ck_assert_int_eq(err_sys(NULL, -EPERM, "x"), -EPERM);
	ck_assert_int_eq(err_prefix(NULL, "x"), 0);
}
END_TEST

START_TEST(long_texts_are_cut_and_terminated)
{
	char text[2 * ERR_TEXT_BYTES];
	struct err e = ERR_NONE;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	err_set(&e, -EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT_BYTES - 1);
	err_sys(&e, -EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT_BYTES - 1);
	err_prefix(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT_BYTES - 1);
}
END_TEST

START_TEST(wall_time_is_shown_as_rfc_3339)
{
	char text[CLOCK_TEXT_BYTES];

	ck_assert_str_eq(clock_rfc3339(0, text), "1970-01-01T00:00:00.000Z");
	ck_assert_str_eq(
		clock_rfc3339(1600000000ULL * NS_PER_S + 999999999, text),
		"2020-09-13T12:26:40.999Z");
	ck_assert_ptr_nonnull(clock_rfc3339(UINT64_MAX, text));
	ck_assert_uint_gt(clock_wall_ns(), 1600000000ULL * NS_PER_S);
}
END_TEST

START_TEST(monotonic_time_does_not_go_back)
{
	uint64_t last = clock_mono_ns(), now;
	int i;

	for (i = 0; i < 1000; i++, last = now) {
		now = clock_mono_ns();
		ck_assert_uint_ge(now, last);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		an_error_carries_code_and_text,
		a_system_error_is_said_in_words,
		prefixes_are_put_in_front,
		without_a_struct_the_code_is_passed_on,
		long_texts_are_cut_and_terminated,
		wall_time_is_shown_as_rfc_3339,
		monotonic_time_does_not_go_back,
	};

	return SUITE_RUN("err", tests);
}
