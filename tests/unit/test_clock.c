/* SPDX-License-Identifier: Apache-2.0 */
/* Times and durations as texts. */
#include "tests/unit/suite.h"

#include <string.h>

#include "base/clock.h"
#include "snapshot/expires.h"

START_TEST(a_time_that_is_written_is_read_back)
{
	static const uint64_t times[] = { 0,	      1,	  951782400,
					  1709164800, 1795685225, 9214646399 };
	char text[CLOCK_TEXT_BYTES];
	uint64_t ns, want;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		want = times[i] * NS_PER_S + 123 * NS_PER_MS;
		clock_rfc3339(want, text);
		ck_assert_msg(clock_rfc3339_parse(text, &ns), "%s", text);
		ck_assert_uint_eq(ns, want);
	}
	ck_assert(clock_rfc3339_parse("1970-01-01T00:00:01Z", &ns));
	ck_assert_uint_eq(ns, NS_PER_S);
	ck_assert(clock_rfc3339_parse("1970-01-01T00:00:01.000000001Z", &ns));
	ck_assert_uint_eq(ns, NS_PER_S + 1);
}
END_TEST

START_TEST(what_is_no_time_is_not_read)
{
	static const char *const bad[] = {
		"",
		"now",
		"2026-12-24",
		"2026-12-24T18:00:00",
		"2026-12-24T18:00:00+01:00",
		"2026-12-24T18:00:00.Z",
		"2026-12-24T18:00:00.1234567890Z",
		"2026-12-24T18:00:00Z ",
		" 2026-12-24T18:00:00Z",
		"2026-02-30T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-12-24T18:00:60Z",
		"2026-12-24T24:00:00Z",
		"1969-12-31T23:59:59Z",
		"2262-01-01T00:00:00Z",
		"26-1-1T1:0:0Z",
	};
	uint64_t ns = 7;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!clock_rfc3339_parse(bad[i], &ns), "%s", bad[i]);
	ck_assert_uint_eq(ns, 7);
}
END_TEST

START_TEST(durations_have_a_unit_and_an_hour_is_the_most)
{
	static const struct {
		const char *text;
		uint64_t us;
	} good[] = { { "0us", 0 },
		     { "500us", 500 },
		     { "50ms", 50000 },
		     { "1s", 1000000 },
		     { "3600s", 3600000000 } };
	static const char *const bad[] = { "",	  "5",	   "ms",
					   "-1s", "1.5s",  "1 s",
					   "1m",  "3601s", "99999999999us" };
	uint64_t us;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert(clock_us_parse(good[i].text, &us));
		ck_assert_uint_eq(us, good[i].us);
	}
	us = 7;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!clock_us_parse(bad[i], &us), "%s", bad[i]);
	ck_assert_uint_eq(us, 7);
}
END_TEST

/* "now" is 2026-11-26T12:00:00Z. */
START_TEST(what_expires_does_so_in_the_future)
{
	static const struct {
		const char *text, *at; /* NULL: refused */
	} cases[] = {
		{ "2h", "2026-11-26T14:00:00.000Z" },
		{ "7d", "2026-12-03T12:00:00.000Z" },
		{ "3m", "2027-02-26T12:00:00.000Z" },
		{ "1y1h", "2027-11-26T13:00:00.000Z" },
		{ "2026-11-26T12:00:01Z", "2026-11-26T12:00:01.000Z" },
		{ "2026-11-26T12:00:00Z", NULL },
		{ "0h", NULL },
		{ "7", NULL },
		{ "tomorrow", NULL },
	};
	char text[CLOCK_TEXT_BYTES];
	struct err e = ERR_NONE;
	uint64_t now, ns;
	size_t i;

	ck_assert(clock_rfc3339_parse("2026-11-26T12:00:00Z", &now));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!cases[i].at) {
			ck_assert_int_eq(
				expires_parse(&ns, cases[i].text, now, &e),
				-EINVAL);
			ck_assert(strstr(e.text, cases[i].text));
			continue;
		}
		ck_assert_int_eq(expires_parse(&ns, cases[i].text, now, &e), 0);
		ck_assert_str_eq(clock_rfc3339(ns, text), cases[i].at);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_time_that_is_written_is_read_back,
		what_is_no_time_is_not_read,
		durations_have_a_unit_and_an_hour_is_the_most,
		what_expires_does_so_in_the_future,
	};

	return SUITE_RUN("clock", tests);
}
