/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules: what is due next, minute by minute against a plain search. */
#include "tests/unit/seeded.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cron.h"

static struct err e;

static int parse(struct cron *c, const char *text)
{
	e = (struct err)ERR_NONE;
	return cron_parse(c, text, strlen(text), &e);
}

/* "2026-02-28 23:59:30"; UTC */
static int64_t at(const char *text)
{
	struct tm tm = { .tm_sec = 0 };

	ck_assert_msg(strptime(text, "%Y-%m-%d %H:%M:%S", &tm) ||
			      strptime(text, "%Y-%m-%d %H:%M", &tm),
		      "no time: %s", text);
	return (int64_t)timegm(&tm);
}

static const char *text_of(int64_t seconds)
{
	static char text[32];
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return text;
}

static void expect_next(const char *schedule, const char *after,
			const char *next)
{
	struct cron c;
	int64_t got;

	ck_assert_msg(!parse(&c, schedule), "%s: %s", schedule, e.text);
	got = cron_next(&c, at(after));
	ck_assert_msg(got == at(next), "%s after %s: %s, not %s", schedule,
		      after, text_of(got), next);
}

START_TEST(what_is_due_comes_after_and_never_at_the_moment_itself)
{
	expect_next("* * * * *", "2026-01-01 00:00", "2026-01-01 00:01");
	expect_next("* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01");
	expect_next("* * * * *", "2026-12-31 23:59", "2027-01-01 00:00");
	expect_next("0 3 * * *", "2026-01-01 03:00", "2026-01-02 03:00");
	expect_next("0 3 * * *", "2026-01-01 02:59:59", "2026-01-01 03:00");
	expect_next(" 30\t4  * * *  ", "2026-01-01 05:00", "2026-01-02 04:30");
}
END_TEST

START_TEST(words_mean_what_they_mean_in_cron)
{
	expect_next("@hourly", "2026-01-01 10:20", "2026-01-01 11:00");
	expect_next("@daily", "2026-01-01 10:20", "2026-01-02 00:00");
	expect_next("@midnight", "2026-01-01 10:20", "2026-01-02 00:00");
	expect_next("@weekly", "2026-01-01 10:20", "2026-01-04 00:00");
	expect_next("@monthly", "2026-01-31 10:20", "2026-02-01 00:00");
	expect_next("@yearly", "2026-01-01 00:00", "2027-01-01 00:00");
	expect_next("@annually", "2026-06-01 00:00", "2027-01-01 00:00");
}
END_TEST

START_TEST(steps_ranges_lists_and_names_are_understood)
{
	expect_next("*/15 * * * *", "2026-01-01 10:15", "2026-01-01 10:30");
	expect_next("*/15 * * * *", "2026-01-01 10:50", "2026-01-01 11:00");
	expect_next("5-20/5 * * * *", "2026-01-01 10:20", "2026-01-01 11:05");
	expect_next("7,3,59 9-10 * * *", "2026-01-01 10:07",
		    "2026-01-01 10:59");
	expect_next("0 0 1 feb,APR,12 *", "2026-04-02 00:00",
		    "2026-12-01 00:00");
	expect_next("0 12 * * mon-fri", "2026-01-02 12:00", "2026-01-05 12:00");
	expect_next("0 12 * * 7", "2026-01-01 00:00", "2026-01-04 12:00");
	expect_next("0 12 * * 0", "2026-01-01 00:00", "2026-01-04 12:00");
	expect_next("0 12 * * fri-sun", "2026-01-03 12:00", "2026-01-04 12:00");
	expect_next("0 12 * * 6-7", "2026-01-04 12:00", "2026-01-10 12:00");
	expect_next("0 0 * Jan-Mar/2 *", "2026-01-31 00:00",
		    "2026-03-01 00:00");
}
END_TEST

START_TEST(months_end_where_they_end)
{
	expect_next("0 0 31 * *", "2026-01-31 00:00", "2026-03-31 00:00");
	expect_next("0 0 31 * *", "2026-03-31 00:00", "2026-05-31 00:00");
	expect_next("0 0 30 * *", "2026-01-30 00:00", "2026-03-30 00:00");
	expect_next("59 23 28 2 *", "2026-02-28 23:59", "2027-02-28 23:59");
	expect_next("0 0 31 4,5 *", "2026-04-01 00:00", "2026-05-31 00:00");
}
END_TEST

START_TEST(a_leap_day_comes_in_leap_years_only)
{
	expect_next("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00");
	expect_next("0 0 29 2 *", "2028-02-29 00:00", "2032-02-29 00:00");
	expect_next("0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00");
	expect_next("0 0 29 2 *", "1999-03-01 00:00", "2000-02-29 00:00");
}
END_TEST

START_TEST(a_day_of_either_field_is_due_unless_one_has_a_star)
{
	/* Friday the 13th needs a star: without, it is either. */
	expect_next("0 0 13 * fri", "2026-01-01 00:00", "2026-01-02 00:00");
	expect_next("0 0 13 * fri", "2026-01-09 00:00", "2026-01-13 00:00");
	expect_next("0 0 13 * *", "2026-01-01 00:00", "2026-01-13 00:00");
	expect_next("0 0 * * fri", "2026-01-02 00:00", "2026-01-09 00:00");
	/* As in cron: the star counts, even with a step. */
	expect_next("0 0 */13 * fri", "2026-01-01 00:00", "2026-02-27 00:00");
	expect_next("0 0 29 2 */7", "2026-01-01 00:00", "2032-02-29 00:00");
}
END_TEST

static void expect_bad(const char *text, size_t len, const char *error)
{
	struct cron c = { .minutes = 7 };

	e = (struct err)ERR_NONE;
	ck_assert_int_eq(cron_parse(&c, text, len, &e), -EINVAL);
	ck_assert_str_eq(e.text, error);
	ck_assert_uint_eq(c.minutes, 7);
}

START_TEST(an_error_names_field_place_and_value)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "", "minute: ends at character 1, where a value should be" },
		{ "0 3 * *", "day of week: ends at character 8, where a value "
			     "should be" },
		{ "60 * * * *", "minute: '60' (character 1) is not in 0..59" },
		{ "0 24 * * *", "hour: '24' (character 3) is not in 0..23" },
		{ "0 0 0 * *", "day of month: '0' (character 5) is not in "
			       "1..31" },
		{ "0 0 * 13 *", "month: '13' (character 7) is not in 1..12 or "
				"a name of three letters" },
		{ "0 0 * * 8", "day of week: '8' (character 9) is not in 0..7 "
			       "or a name of three letters" },
		{ "0 0 * january *", "month: 'january' (character 7) is not in "
				     "1..12 or a name of three letters" },
		{ "0 mon * * *", "hour: 'mon' (character 3) is not in 0..23" },
		{ "99999999999999999999 * * * *",
		  "minute: '9999999999999999' (character 1) is not in 0..59" },
		{ "5-1 * * * *", "minute: 5-1 (character 1) goes backwards" },
		{ "*/0 * * * *", "minute: the step '0' (character 3) is not in "
				 "1..59" },
		{ "*/60 * * * *", "minute: the step '60' (character 3) is not "
				  "in 1..59" },
		{ "*/ * * * *", "minute: ' ' (character 3) has no place "
				"there" },
		{ "5/15 * * * *", "minute: a step (character 2) needs a range "
				  "or * before it" },
		{ "1,,2 * * * *", "minute: ',' (character 3) has no place "
				  "there" },
		{ "1-2-3 * * * *", "minute: '-' (character 4) has no place "
				   "there" },
		{ "-1 * * * *", "minute: '-' (character 1) has no place "
				"there" },
		{ "** * * * *", "minute: '*' (character 2) has no place "
				"there" },
		{ "0 0 ? * *", "day of month: '?' (character 5) has no place "
			       "there" },
		{ "0\n0 * * *", "minute: character 2 (0x0a) has no place "
				"there" },
		{ "0 0 * * * *", "there are more than five fields (character "
				 "11)" },
		{ "0 0 30 2 *", "no month has such a day" },
		{ "0 0 31 4,6,9,11 *", "no month has such a day" },
		{ "@often", "what begins with @ is @hourly, @daily, @weekly, "
			    "@monthly or @yearly" },
		{ "@hourly ", "what begins with @ is @hourly, @daily, @weekly, "
			      "@monthly or @yearly" },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_bad(bad[i].text, strlen(bad[i].text), bad[i].error);
	expect_bad("0 0\0* * *", 9,
		   "hour: character 4 (0x00) has no place "
		   "there");
}
END_TEST

START_TEST(a_text_of_127_bytes_fits_and_128_do_not)
{
	char text[CRON_TEXT_MAX + 2];
	struct cron c;

	memset(text, ' ', sizeof(text));
	memcpy(text, "0 0 * * *", 9);
	ck_assert_int_eq(cron_parse(&c, text, CRON_TEXT_MAX, NULL), 0);
	expect_bad(text, CRON_TEXT_MAX + 1, "128 bytes, the limit is 127");
}
END_TEST

/* --- against a plain search ------------------------------------------ */

static bool is_due(const struct cron *c, int64_t seconds)
{
	time_t t = (time_t)seconds;
	bool day, weekday;
	struct tm tm;

	gmtime_r(&t, &tm);
	day = c->days >> tm.tm_mday & 1;
	weekday = c->weekdays >> tm.tm_wday & 1;
	return c->minutes >> tm.tm_min & 1 && c->hours >> tm.tm_hour & 1 &&
	       c->months >> (tm.tm_mon + 1) & 1 &&
	       (c->has_star_day ? day && weekday : day || weekday);
}

START_TEST(no_due_minute_is_left_out_and_none_is_made_up)
{
	static const char *const texts[] = {
		"*/7 */5 * * *",   "3,33 1-4,22 */3 * *", "0 0 28-31 * *",
		"15 6 1,15 * mon", "0 12 * feb,nov 6",	  "59 23 31 12 *",
	};
	uint64_t seed = seeded_start(1);
	int64_t from, got, t;
	struct cron c;
	size_t i;
	int n;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(!parse(&c, texts[i]), "%s", e.text);
		for (n = 0; n < 10; n++) {
			from = at("2027-12-01 00:00") +
			       (int64_t)(seeded_next(&seed) % (86400 * 120));
			got = cron_next(&c, from);
			ck_assert_int_gt(got, from);
			ck_assert_msg(is_due(&c, got), "%s: %s", texts[i],
				      text_of(got));
			for (t = from - from % 60 + 60; t < got; t += 60)
				ck_assert_msg(!is_due(&c, t), "%s: left %s out",
					      texts[i], text_of(t));
		}
	}
}
END_TEST

START_TEST(times_that_are_no_times_are_survived)
{
	struct cron c;

	ck_assert_int_eq(parse(&c, "@hourly"), 0);
	ck_assert_int_eq(cron_next(&c, INT64_MIN), 3600);
	ck_assert_int_eq(cron_next(&c, -1), 3600);
	ck_assert_int_eq(cron_next(&c, INT64_MAX), CRON_NEVER);
	ck_assert_int_eq(cron_next(&c, at("9999-12-31 22:30")),
			 at("9999-12-31 23:00"));
	ck_assert_int_eq(cron_next(&c, at("9999-12-31 23:00")), CRON_NEVER);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_due_comes_after_and_never_at_the_moment_itself,
		words_mean_what_they_mean_in_cron,
		steps_ranges_lists_and_names_are_understood,
		months_end_where_they_end,
		a_leap_day_comes_in_leap_years_only,
		a_day_of_either_field_is_due_unless_one_has_a_star,
		an_error_names_field_place_and_value,
		a_text_of_127_bytes_fits_and_128_do_not,
		no_due_minute_is_left_out_and_none_is_made_up,
		times_that_are_no_times_are_survived,
	};

	return SUITE_RUN("cron", tests);
}
