/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules. A snapshot that no rule keeps changes no rule's count: that is
 * why INV-2 holds.
 */
#include "snapshot/prune.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static const char *const rules[PRUNE_RULES] = {
	"last", "hourly", "daily", "weekly", "monthly", "yearly",
};

static const char *const reasons[PRUNE_REASONS] = {
	"last snapshot",
	"hourly snapshot",
	"daily snapshot",
	"weekly snapshot",
	"monthly snapshot",
	"yearly snapshot",
	"oldest snapshot",
	"oldest hourly snapshot",
	"oldest daily snapshot",
	"oldest weekly snapshot",
	"oldest monthly snapshot",
	"oldest yearly snapshot",
	[PRUNE_WITHIN] = "within",
	[PRUNE_PINNED] = "pinned",
	[PRUNE_CURRENT] = "current",
	[PRUNE_PASSED_OVER] = "not asked about",
	[PRUNE_STOOD_ON] = "memory stands on it",
	[PRUNE_FREE] = "fits",
	[PRUNE_UNEXPIRED] = "not expired",
	[PRUNE_EXPIRED] = "expired",
	[PRUNE_NO_RULE] = "no rule keeps it",
	[PRUNE_TOO_MUCH] = "too many bytes",
};

const char *prune_rule_text(enum prune_rule rule)
{
	return rules[rule];
}

const char *prune_reason_text(enum prune_reason reason)
{
	return reasons[reason];
}

/* --- spans ----------------------------------------------------------- */

static unsigned int *part_of(struct prune_span *s, char unit)
{
	switch (unit) {
	case 'y':
		return &s->years;
	case 'm':
		return &s->months;
	case 'd':
		return &s->days;
	case 'h':
		return &s->hours;
	default:
		return NULL;
	}
}

/* Returns what is behind "7d", NULL: there is no such thing. */
static const char *take_part(struct prune_span *s, const char *text,
			     uint32_t *seen)
{
	unsigned int value = 0, *part;

	if (!isdigit((unsigned char)*text))
		return NULL;
	for (; isdigit((unsigned char)*text); text++) {
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > PRUNE_SPAN_MAX)
			return NULL;
	}
	part = part_of(s, *text);
	if (!part || *seen & 1u << (*text - 'a'))
		return NULL;
	*seen |= 1u << (*text - 'a');
	*part = value;
	return text + 1;
}

int prune_span_parse(struct prune_span *out, const char *text, struct err *e)
{
	struct prune_span span = { 0 };
	const char *at = text;
	uint32_t seen = 0;

	do
		at = take_part(&span, at, &seen);
	while (at && *at);
	if (!at)
		return err_set(e, -EINVAL,
			       "'%.40s' is not of the form 1y5m7d2h, numbers "
			       "up to %d",
			       text, PRUNE_SPAN_MAX);
	*out = span;
	return 0;
}

const char *prune_span_text(const struct prune_span *span,
			    char text[PRUNE_SPAN_TEXT])
{
	const unsigned int part[] = { span->years, span->months, span->days,
				      span->hours };
	size_t i, len = 0;

	*text = '\0';
	for (i = 0; i < 4; i++)
		if (part[i])
			len += (size_t)snprintf(text + len,
						PRUNE_SPAN_TEXT - len, "%u%c",
						part[i], "ymdh"[i]);
	return len ? text : "0h";
}

/* --- time ------------------------------------------------------------ */

/* The same for all of one hour, day...; larger for later ones. */
static int64_t bucket_of(enum prune_rule rule, uint64_t ns)
{
	static const int64_t less[PRUNE_RULES] = { [PRUNE_HOURLY] = 1,
						   [PRUNE_DAILY] = 100,
						   [PRUNE_MONTHLY] = 10000,
						   [PRUNE_YEARLY] = 1000000 };
	time_t seconds = (time_t)(ns / NS_PER_S);
	char text[24] = "";
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (rule == PRUNE_WEEKLY) {
		strftime(text, sizeof(text), "%G%V", &tm);
		return strtoll(text, NULL, 10);
	}
	strftime(text, sizeof(text), "%Y%m%d%H", &tm);
	return strtoll(text, NULL, 10) / less[rule];
}

uint64_t prune_span_after(uint64_t ns, const struct prune_span *span)
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	tm.tm_year += (int)span->years;
	tm.tm_mon += (int)span->months;
	tm.tm_mday += (int)span->days;
	tm.tm_hour += (int)span->hours;
	seconds = timegm(&tm);
	if ((uint64_t)seconds >= CLOCK_TEXT_LAST_NS / NS_PER_S)
		return CLOCK_TEXT_LAST_NS;
	return (uint64_t)seconds * NS_PER_S + ns % NS_PER_S;
}

/* The moment that lies span before ns; 0: before the epoch. */
static uint64_t before(uint64_t ns, const struct prune_span *span)
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	tm.tm_year -= (int)span->years;
	tm.tm_mon -= (int)span->months;
	tm.tm_mday -= (int)span->days;
	tm.tm_hour -= (int)span->hours;
	seconds = timegm(&tm);
	return seconds < 0 ? 0 : (uint64_t)seconds * NS_PER_S + ns % NS_PER_S;
}

/* --- deciding -------------------------------------------------------- */

struct decision {
	const struct prune_policy *policy;
	const struct prune_item *items;
	struct prune_verdict *out;
	size_t *order, count; /* those asked about, the newest first */
	unsigned int left[PRUNE_RULES];
	int64_t bucket[PRUNE_RULES]; /* of the one that was kept last */
	uint64_t within_ns;	     /* what is later is kept */
	bool has_rules;
};

static int newest_first(const void *a, const void *b, void *ctx)
{
	const struct prune_item *items = ctx;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	if (items[x].created_ns != items[y].created_ns)
		return items[x].created_ns > items[y].created_ns ? -1 : 1;
	return x > y ? -1 : x < y;
}

static void keep(struct decision *d, size_t i, unsigned int reason)
{
	d->out[i].keeps = true;
	d->out[i].reasons |= 1u << reason;
}

static void apply_rule(struct decision *d, enum prune_rule rule, size_t n)
{
	size_t i = d->order[n];
	int64_t bucket = rule == PRUNE_LAST
				 ? (int64_t)n
				 : bucket_of(rule, d->items[i].created_ns);
	bool is_new = bucket != d->bucket[rule];

	if (!d->left[rule] || (!is_new && n + 1 < d->count))
		return;
	d->left[rule]--;
	d->bucket[rule] = bucket;
	keep(d, i, (is_new ? PRUNE_BY_RULE : PRUNE_AS_OLDEST) + rule);
}

static void judge(struct decision *d, size_t n)
{
	size_t i = d->order[n];
	const struct prune_item *item = &d->items[i];
	int rule;

	if (item->is_pinned)
		keep(d, i, PRUNE_PINNED);
	if (item->is_current)
		keep(d, i, PRUNE_CURRENT);
	if (d->policy->has_within && item->created_ns > d->within_ns)
		keep(d, i, PRUNE_WITHIN);
	for (rule = 0; rule < PRUNE_RULES; rule++)
		apply_rule(d, (enum prune_rule)rule, n);
	if (!d->has_rules)
		keep(d, i, d->policy->max_bytes ? PRUNE_FREE : PRUNE_UNEXPIRED);
	if (!d->out[i].keeps)
		d->out[i].reasons = 1u << PRUNE_NO_RULE;
}

/* The oldest go, until the rest is not too much. */
static void limit_bytes(struct decision *d)
{
	uint64_t bytes = 0;
	size_t n, i;

	for (n = 0; n < d->count; n++)
		if (d->out[d->order[n]].keeps)
			bytes += d->items[d->order[n]].bytes;
	for (n = d->count; n-- > 0 && bytes > d->policy->max_bytes;) {
		i = d->order[n];
		if (!d->out[i].keeps || d->items[i].is_pinned ||
		    d->items[i].is_current)
			continue;
		d->out[i] =
			(struct prune_verdict){ .reasons = 1u
							   << PRUNE_TOO_MUCH };
		bytes -= d->items[i].bytes;
	}
}

/* An increment is nothing without what it stands on, and that neither. */
static void keep_bases(struct decision *d, size_t count)
{
	size_t i, base, steps;

	for (i = 0; i < count; i++) {
		if (!d->out[i].keeps)
			continue;
		base = d->items[i].base;
		/* Not for ever, should they stand in a circle. */
		for (steps = 0; base && base <= count && steps < count;
		     steps++) {
			if (!d->out[base - 1].keeps)
				d->out[base - 1].reasons = 0;
			keep(d, base - 1, PRUNE_STOOD_ON);
			base = d->items[base - 1].base;
		}
	}
}

static void find_within(struct decision *d, uint64_t now_ns)
{
	size_t n = 0;

	while (n < d->count && d->items[d->order[n]].created_ns > now_ns)
		n++;
	if (n < d->count)
		d->within_ns = before(d->items[d->order[n]].created_ns,
				      &d->policy->within);
}

bool prune_is_empty(const struct prune_policy *p)
{
	int rule;

	for (rule = 0; rule < PRUNE_RULES; rule++)
		if (p->keep[rule])
			return false;
	return !p->has_within && !p->max_bytes && !p->only_expired;
}

static bool is_over(const struct prune_item *item, uint64_t now_ns)
{
	return item->expires_ns && item->expires_ns <= now_ns &&
	       !item->is_pinned && !item->is_current;
}

static void prepare(struct decision *d, size_t count, uint64_t now_ns)
{
	struct prune_policy rest = *d->policy;
	size_t i;

	rest.max_bytes = 0;
	rest.only_expired = false;
	d->has_rules = !prune_is_empty(&rest);
	memcpy(d->left, d->policy->keep, sizeof(d->left));
	memset(d->bucket, 0xff, sizeof(d->bucket)); /* nobody's */
	memset(d->out, 0, count * sizeof(*d->out));
	for (i = 0; i < count; i++)
		if (d->items[i].is_passed_over)
			keep(d, i, PRUNE_PASSED_OVER);
		else if (is_over(&d->items[i], now_ns))
			d->out[i].reasons = 1u << PRUNE_EXPIRED;
		else
			d->order[d->count++] = i;
}

int prune_decide(const struct prune_policy *policy,
		 const struct prune_item *items, size_t count, uint64_t now_ns,
		 struct prune_verdict *out)
{
	struct decision d = { .policy = policy, .items = items, .out = out };
	size_t n;

	d.order = calloc(count + 1, sizeof(*d.order));
	if (!d.order)
		return -ENOMEM;
	prepare(&d, count, now_ns);
	/* glibc: the last argument is passed on, not changed. */
	qsort_r(d.order, d.count, sizeof(*d.order), newest_first,
		(void *)(uintptr_t)items);
	find_within(&d, now_ns);
	for (n = 0; n < d.count; n++)
		judge(&d, n);
	if (policy->max_bytes)
		limit_bytes(&d);
	keep_bases(&d, count);
	free(d.order);
	return 0;
}
