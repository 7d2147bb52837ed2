/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a VM's snapshots are kept: restic's rules (restic forget), times
 * in UTC. Pure: a list goes in, verdicts come out. Any thread.
 *
 * Each rule walks from the newest to the oldest and keeps the newest of every
 * hour, day..., until it has kept as many as it may; one that could keep more
 * keeps the oldest of all, too. One snapshot may be kept by several rules.
 * One whose time is over goes whatever the rules are, and has no place in them;
 * until then it is one like all others. INV-1: who is pinned or current stays,
 * and what those that stay stand on. INV-2: pruning what pruning has left
 * removes nothing.
 */
#ifndef AMBER_SNAPSHOT_PRUNE_H
#define AMBER_SNAPSHOT_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum prune_rule {
	PRUNE_LAST,
	PRUNE_HOURLY,
	PRUNE_DAILY,
	PRUNE_WEEKLY, /* of ISO 8601: from Monday on */
	PRUNE_MONTHLY,
	PRUNE_YEARLY,
	PRUNE_RULES
};

#define PRUNE_KEEP_MAX	1000000 /* as good as no limit */
#define PRUNE_SPAN_MAX	9999	/* years, months, days or hours */
#define PRUNE_SPAN_TEXT 32

/* By the calendar: a month may have 28 days. */
struct prune_span {
	unsigned int years, months, days, hours;
};

struct prune_policy {
	unsigned int keep[PRUNE_RULES]; /* 0: no such rule */
	bool has_within;
	struct prune_span within; /* of the newest that is not of the future */
	uint64_t max_bytes;	  /* together; 0: no limit */
	bool only_expired;	  /* it is no mistake that there is no rule */
};

struct prune_item {
	uint64_t created_ns, bytes;
	uint64_t expires_ns; /* 0: never */
	bool is_pinned, is_current;
	bool is_passed_over; /* it is not asked about: it stays, uncounted */
	size_t base; /* 1 + the number of the one its memory stands on; 0: none
		      */
};

/* A set of 1 << reason. Those of rules are the rule, and the oldest's. */
enum prune_reason {
	PRUNE_BY_RULE = 0,
	PRUNE_AS_OLDEST = PRUNE_RULES,
	PRUNE_WITHIN = 2 * PRUNE_RULES,
	PRUNE_PINNED,
	PRUNE_CURRENT,
	PRUNE_PASSED_OVER,
	PRUNE_STOOD_ON,	 /* the memory of one that stays stands on it */
	PRUNE_FREE,	 /* there is no rule but that of bytes */
	PRUNE_UNEXPIRED, /* and there is no rule */
	PRUNE_EXPIRED,	 /* removed: its time is over */
	PRUNE_NO_RULE,	 /* removed: no rule keeps it */
	PRUNE_TOO_MUCH,	 /* removed: all together are more than max_bytes */
	PRUNE_REASONS
};

struct prune_verdict {
	bool keeps;
	uint32_t reasons;
};

/* "last", "hourly"... */
const char *prune_rule_text(enum prune_rule rule);
/* "hourly snapshot", "oldest hourly snapshot", "pinned"... */
const char *prune_reason_text(enum prune_reason reason);

/* "1y5m7d2h", any of them. -EINVAL. */
int prune_span_parse(struct prune_span *out, const char *text, struct err *e);
/* The same text back, in that order. */
const char *prune_span_text(const struct prune_span *span,
			    char text[PRUNE_SPAN_TEXT]);

/* The moment that lies span behind ns, by the calendar; at the latest the last
 * one that a text can have. */
uint64_t prune_span_after(uint64_t ns, const struct prune_span *span);

/* Does it say nothing at all? */
bool prune_is_empty(const struct prune_policy *policy);

/*
 * Fills count verdicts. The items are sorted by age, the oldest first, or
 * not; of equal times the later one counts as newer. -ENOMEM.
 */
int prune_decide(const struct prune_policy *policy,
		 const struct prune_item *items, size_t count, uint64_t now_ns,
		 struct prune_verdict *out);

#endif
