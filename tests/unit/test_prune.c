/* SPDX-License-Identifier: Apache-2.0 */
/* Which snapshots are kept: a table of cases, and random lists. */
#include "tests/unit/seeded.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "snapshot/prune.h"

#define ITEMS_MAX 64

static uint64_t now(void)
{
	return 1798761600 * NS_PER_S; /* 2027-01-01 */
}

static struct prune_item item[ITEMS_MAX];
static struct prune_verdict verdict[ITEMS_MAX];
static size_t items;

/*
 * "2026-03-29T01:30 ...": UTC; a '!' behind one pins it, '*' is current, of '+'
 * the time is over.
 */
static void read_times(const char *text)
{
	const char *rest;
	struct tm tm;

	items = 0;
	memset(item, 0, sizeof(item));
	while (*text) {
		memset(&tm, 0, sizeof(tm));
		rest = strptime(text, "%Y-%m-%dT%H:%M", &tm);
		ck_assert_msg(rest != NULL, "no time: %s", text);
		item[items].created_ns = (uint64_t)timegm(&tm) * NS_PER_S;
		item[items].bytes = 100;
		for (; *rest && strchr("!*-+", *rest); rest++) {
			item[items].is_pinned |= *rest == '!';
			item[items].is_current |= *rest == '*';
			item[items].is_passed_over |= *rest == '-';
			if (*rest == '+')
				item[items].expires_ns = now();
		}
		items++;
		text = rest + strspn(rest, " ");
	}
}

static const struct prune_case {
	const char *name, *times, *kept; /* one letter each: k or - */
	struct prune_policy policy;
} cases[] = {
	{ "nothing there", "", "", { .keep[PRUNE_LAST] = 3 } },
	{ "fewer than are to be kept",
	  "2026-01-01T00:00 2026-01-02T00:00",
	  "kk",
	  { .keep[PRUNE_LAST] = 3 } },
	{ "the last two",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00",
	  "-kk",
	  { .keep[PRUNE_LAST] = 2 } },
	{ "order does not matter",
	  "2026-01-03T00:00 2026-01-01T00:00 2026-01-02T00:00",
	  "k-k",
	  { .keep[PRUNE_LAST] = 2 } },
	{ "of equal times the later in the list is newer",
	  "2026-01-01T00:00 2026-01-01T00:00 2026-01-01T00:00",
	  "--k",
	  { .keep[PRUNE_LAST] = 1 } },
	{ "the newest of each hour",
	  "2026-01-01T10:05 2026-01-01T10:55 2026-01-01T11:00 "
	  "2026-01-01T12:10 2026-01-01T12:20",
	  "-kk-k",
	  { .keep[PRUNE_HOURLY] = 3 } },
	{ "a clock that people put forward: hours are UTC's",
	  "2026-03-29T00:30 2026-03-29T01:30 2026-03-29T02:30",
	  "kkk",
	  { .keep[PRUNE_HOURLY] = 3 } },
	{ "and back: there are 25 hours, none is there twice",
	  "2026-10-25T00:30 2026-10-25T01:30 2026-10-25T02:30",
	  "-kk",
	  { .keep[PRUNE_HOURLY] = 2 } },
	{ "the newest of each day, days without any do not count",
	  "2026-01-01T08:00 2026-01-05T08:00 2026-01-05T09:00 "
	  "2026-02-01T23:59 2026-02-02T00:00",
	  "--kkk",
	  { .keep[PRUNE_DAILY] = 3 } },
	{ "the oldest stays while a rule could keep more",
	  "2026-01-01T08:00 2026-01-01T09:00 2026-01-01T10:00",
	  "k-k",
	  { .keep[PRUNE_DAILY] = 2 } },
	{ "and goes when it could not",
	  "2026-01-01T08:00 2026-01-01T09:00 2026-01-01T10:00",
	  "--k",
	  { .keep[PRUNE_DAILY] = 1 } },
	{ "weeks are ISO 8601's: Monday, 29 December 2025 is of 2026's first",
	  "2025-12-28T12:00 2025-12-29T12:00 2026-01-01T12:00 "
	  "2026-01-04T23:59 2026-01-05T00:00",
	  "k--kk",
	  { .keep[PRUNE_WEEKLY] = 3 } },
	{ "months",
	  "2025-11-30T00:00 2025-12-01T00:00 2025-12-31T23:59 "
	  "2026-01-01T00:00",
	  "--kk",
	  { .keep[PRUNE_MONTHLY] = 2 } },
	{ "years",
	  "2023-06-01T00:00 2024-02-29T00:00 2024-12-31T23:59 "
	  "2025-01-01T00:00 2026-01-01T00:00",
	  "--kkk",
	  { .keep[PRUNE_YEARLY] = 3 } },
	{ "rules add up",
	  "2024-01-01T00:00 2025-06-01T00:00 2025-12-31T00:00 "
	  "2026-01-01T10:00 2026-01-01T11:00",
	  "--kkk",
	  { .keep[PRUNE_LAST] = 2, .keep[PRUNE_YEARLY] = 2 } },
	{ "within two days of the newest",
	  "2026-01-01T10:00 2026-01-03T10:00 2026-01-03T10:01 "
	  "2026-01-05T10:00",
	  "--kk",
	  { .has_within = true, .within = { .days = 2 } } },
	{ "within a month, which is of 28 days then",
	  "2026-02-15T00:00 2026-02-15T00:01 2026-03-15T00:00",
	  "-kk",
	  { .has_within = true, .within = { .months = 1 } } },
	{ "the newest is none of the future's",
	  "2026-01-01T00:00 2026-06-01T00:00 2039-01-01T00:00",
	  "-kk",
	  { .has_within = true, .within = { .hours = 1 } } },
	{ "pinned and current ones stay, and count",
	  "2026-01-01T00:00! 2026-01-02T00:00* 2026-01-03T00:00 "
	  "2026-01-04T00:00 2026-01-05T00:00!",
	  "kk--k",
	  { .keep[PRUNE_LAST] = 1 } },
	{ "who is not asked about stays, and does not count",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00-",
	  "-kk",
	  { .keep[PRUNE_LAST] = 1 } },
	{ "whose time is over goes, and takes no place",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00+",
	  "-k-",
	  { .keep[PRUNE_LAST] = 1 } },
	{ "unless it is pinned, current or not asked about",
	  "2026-01-01T00:00!+ 2026-01-02T00:00*+ 2026-01-03T00:00-+",
	  "kkk",
	  { .only_expired = true } },
	{ "nothing else goes without a rule",
	  "2026-01-01T00:00 2026-01-02T00:00+ 2026-01-03T00:00",
	  "k-k",
	  { .only_expired = true } },
	{ "bytes alone: the oldest go",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00",
	  "--k",
	  { .max_bytes = 199 } },
	{ "bytes: exactly enough",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00",
	  "-kk",
	  { .max_bytes = 200 } },
	{ "bytes: whoever is pinned takes its part",
	  "2026-01-01T00:00! 2026-01-02T00:00 2026-01-03T00:00*",
	  "k-k",
	  { .max_bytes = 1 } },
	{ "bytes after the rules",
	  "2026-01-01T00:00 2026-01-02T00:00 2026-01-03T00:00 "
	  "2026-01-04T00:00",
	  "--kk",
	  { .keep[PRUNE_LAST] = 3, .max_bytes = 200 } },
};

#define CASES (int)(sizeof(cases) / sizeof(cases[0]))

START_TEST(rules_keep_what_they_say)
{
	const struct prune_case *c = &cases[_i];
	char kept[ITEMS_MAX + 1] = "";
	size_t i;

	/* Times are UTC, whatever a person's clock shows. */
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	read_times(c->times);
	ck_assert_int_eq(prune_decide(&c->policy, item, items, now(), verdict),
			 0);
	for (i = 0; i < items; i++) {
		kept[i] = verdict[i].keeps ? 'k' : '-';
		ck_assert_msg(verdict[i].reasons != 0, "%s: no reason",
			      c->name);
	}
	ck_assert_msg(!strcmp(kept, c->kept), "%s: %s is not %s", c->name, kept,
		      c->kept);
}
END_TEST

START_TEST(every_reason_is_told)
{
	const struct prune_policy policy = {
		.keep = { 1, 1, 1, 1, 1, 2 },
		.has_within = true,
		.within = { .hours = 1 },
	};

	read_times("2026-01-01T00:00 2026-01-01T01:00!*");
	ck_assert_int_eq(prune_decide(&policy, item, items, now(), verdict), 0);
	ck_assert_uint_eq(verdict[1].reasons, 0x3f | 1u << PRUNE_WITHIN |
						      1u << PRUNE_PINNED |
						      1u << PRUNE_CURRENT);
	ck_assert_uint_eq(verdict[0].reasons,
			  1u << (PRUNE_AS_OLDEST + PRUNE_YEARLY));
	ck_assert_str_eq(prune_reason_text(PRUNE_AS_OLDEST + PRUNE_YEARLY),
			 "oldest yearly snapshot");
}
END_TEST

START_TEST(a_moment_before_its_time_is_over_it_is_like_all_others)
{
	const struct prune_policy policy = { .only_expired = true };

	read_times("2026-01-01T00:00+ 2026-01-02T00:00");
	ck_assert_int_eq(prune_decide(&policy, item, items, now() - 1, verdict),
			 0);
	ck_assert_uint_eq(verdict[0].reasons, 1u << PRUNE_UNEXPIRED);
	ck_assert_int_eq(prune_decide(&policy, item, items, now(), verdict), 0);
	ck_assert_uint_eq(verdict[0].reasons, 1u << PRUNE_EXPIRED);
	ck_assert(!prune_is_empty(&policy));
}
END_TEST

START_TEST(what_increments_stand_on_stays)
{
	const struct prune_policy policy = { .keep[PRUNE_LAST] = 1 };

	read_times("2026-01-01T00:00 2026-01-01T01:00 2026-01-01T02:00 "
		   "2026-01-01T03:00");
	item[3].base = 3;
	item[2].base = 1;
	ck_assert_int_eq(prune_decide(&policy, item, items, now(), verdict), 0);
	ck_assert(verdict[3].keeps && verdict[2].keeps && verdict[0].keeps);
	ck_assert(!verdict[1].keeps);
	ck_assert_uint_eq(verdict[0].reasons, 1u << PRUNE_STOOD_ON);
	item[0].base = 4; /* a circle: damaged, but no reason to hang */
	ck_assert_int_eq(prune_decide(&policy, item, items, now(), verdict), 0);
}
END_TEST

START_TEST(spans_are_read_and_written)
{
	static const char *const bad[] = {
		"",    "y",   "7",	"7x",	"1d1d",
		"-1d", "1d ", "10000h", "1.5d", "99999999999999999999d"
	};
	struct prune_span span;
	struct err e = ERR_NONE;
	char text[PRUNE_SPAN_TEXT];
	size_t i;

	ck_assert_int_eq(prune_span_parse(&span, "2h7d5m1y", &e), 0);
	ck_assert_str_eq(prune_span_text(&span, text), "1y5m7d2h");
	ck_assert_int_eq(prune_span_parse(&span, "9999y9999m9999d9999h", &e),
			 0);
	ck_assert_str_eq(prune_span_text(&span, text), "9999y9999m9999d9999h");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(prune_span_parse(&span, bad[i], &e) == -EINVAL,
			      "'%s' is fine", bad[i]);
}
END_TEST

START_TEST(no_span_leads_to_a_time_that_no_text_can_have)
{
	static const char *const spans[] = { "200y", "300y",
					     "9999y9999m9999d9999h" };
	struct prune_span span;
	char text[CLOCK_TEXT_BYTES];
	uint64_t at;
	size_t i;

	for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		ck_assert(!prune_span_parse(&span, spans[i], NULL));
		clock_rfc3339(prune_span_after(now(), &span), text);
		ck_assert_msg(clock_rfc3339_parse(text, &at), "%s", text);
	}
}
END_TEST

/* --- random lists ---------------------------------------------------- */

static void make_list(uint64_t *seed)
{
	/* Close together, or years apart; some at the same moment. */
	static const uint64_t spans[] = { 3600, 86400, 40 * 86400,
					  4000ULL * 86400 };
	uint64_t span = spans[seeded_next(seed) % 4];
	size_t i;

	items = seeded_next(seed) % ITEMS_MAX;
	for (i = 0; i < items; i++) {
		item[i] = (struct prune_item){
			.created_ns =
				now() - seeded_next(seed) % span * NS_PER_S,
			.bytes = seeded_next(seed) % 1000,
			.is_pinned = seeded_next(seed) % 10 == 0,
			.is_current = seeded_next(seed) % 40 == 0,
			.is_passed_over = seeded_next(seed) % 20 == 0,
		};
		if (seeded_next(seed) % 8 == 0)
			item[i].expires_ns = now() + seeded_next(seed) % 3 - 1;
		if (i && seeded_next(seed) % 8 == 0)
			item[i].created_ns = item[i - 1].created_ns;
	}
}

static void make_policy(uint64_t *seed, struct prune_policy *p)
{
	int rule;

	memset(p, 0, sizeof(*p));
	for (rule = 0; rule < PRUNE_RULES; rule++)
		if (seeded_next(seed) % 3 == 0)
			p->keep[rule] = (unsigned int)(seeded_next(seed) % 12);
	p->has_within = seeded_next(seed) % 4 == 0;
	p->within.days = (unsigned int)(seeded_next(seed) % 50);
	p->within.hours = (unsigned int)(seeded_next(seed) % 30);
	if (seeded_next(seed) % 4 == 0)
		p->max_bytes = 1 + seeded_next(seed) % 20000;
}

static size_t count_kept(bool only_asked)
{
	size_t i, n = 0;

	for (i = 0; i < items; i++)
		n += verdict[i].keeps &&
		     !(only_asked && item[i].is_passed_over);
	return n;
}

static void check_invariants(const struct prune_policy *p)
{
	uint64_t bytes = 0, loose = 0;
	size_t i, asked = 0, kept = count_kept(true);

	for (i = 0; i < items; i++) {
		bool stays = item[i].is_pinned || item[i].is_current ||
			     item[i].is_passed_over;

		asked += !item[i].is_passed_over &&
			 !(verdict[i].reasons & 1u << PRUNE_EXPIRED);
		ck_assert_msg(verdict[i].keeps || !stays, "INV-1: %zu", i);
		ck_assert_uint_ne(verdict[i].reasons, 0);
		if (!verdict[i].keeps || item[i].is_passed_over)
			continue;
		bytes += item[i].bytes;
		loose += stays ? 0 : item[i].bytes;
	}
	if (p->max_bytes)
		ck_assert_msg(bytes <= p->max_bytes || !loose,
			      "%llu bytes are kept", (unsigned long long)bytes);
	else
		ck_assert_uint_ge(kept, asked < p->keep[PRUNE_LAST]
						? asked
						: p->keep[PRUNE_LAST]);
}

/* Removes what is to be removed. */
static void prune(void)
{
	size_t i, n = 0;

	for (i = 0; i < items; i++)
		if (verdict[i].keeps)
			item[n++] = item[i];
	items = n;
}

START_TEST(random_lists_keep_the_invariants)
{
	uint64_t seed = seeded_start(seeded_setting("PRUNE_SEED", 1));
	uint64_t rounds = seeded_setting("PRUNE_ROUNDS", 20000), n;
	struct prune_policy policy;

	for (n = 0; n < rounds; n++) {
		make_list(&seed);
		make_policy(&seed, &policy);
		ck_assert_int_eq(
			prune_decide(&policy, item, items, now(), verdict), 0);
		check_invariants(&policy);
		prune();
		ck_assert_int_eq(
			prune_decide(&policy, item, items, now(), verdict), 0);
		ck_assert_msg(count_kept(false) == items,
			      "INV-2: round %llu removes more the second time",
			      (unsigned long long)n);
	}
}
END_TEST

START_TEST(keep_last_alone_keeps_exactly_that_many)
{
	uint64_t seed = seeded_start(7), n;
	struct prune_policy policy = { .keep = { 0 } };
	size_t i;

	for (n = 0; n < 2000; n++) {
		make_list(&seed);
		for (i = 0; i < items; i++)
			item[i] = (struct prune_item){
				.created_ns = item[i].created_ns
			};
		policy.keep[PRUNE_LAST] =
			1 + (unsigned int)(seeded_next(&seed) % 70);
		prune_decide(&policy, item, items, now(), verdict);
		ck_assert_uint_eq(count_kept(true),
				  items < policy.keep[PRUNE_LAST]
					  ? items
					  : policy.keep[PRUNE_LAST]);
	}
}
END_TEST

int main(void)
{
	const TTest *const others[] = {
		every_reason_is_told,
		a_moment_before_its_time_is_over_it_is_like_all_others,
		what_increments_stand_on_stays,
		spans_are_read_and_written,
		no_span_leads_to_a_time_that_no_text_can_have,
		random_lists_keep_the_invariants,
		keep_last_alone_keeps_exactly_that_many,
	};

	return seeded_run("prune", 60, rules_keep_what_they_say, CASES, others,
			  sizeof(others) / sizeof(others[0]));
}
