/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something is due, as crontab(5) writes it: five fields, or @hourly,
 * @daily (@midnight), @weekly, @monthly, @yearly (@annually). Pure; any thread.
 * Times are UTC: no hour is there twice or not at all.
 *
 *	minute 0-59   hour 0-23   day of month 1-31   month 1-12 or jan-dec
 *	day of week 0-7 or sun-sat, 0 and 7 are Sunday
 *
 * A field is a list of values, ranges a-b, and * ; behind a range or * there
 * may be a step: * /15 without the blank. As in cron a day is one that either
 * of the two day fields has, unless one of them begins with a * : then both
 * have to have it.
 */
#ifndef AMBER_BASE_CRON_H
#define AMBER_BASE_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CRON_TEXT_MAX 127 /* bytes */
#define CRON_NEVER    (-1)

/* Sets of 1 << value. */
struct cron {
	uint64_t minutes;
	uint32_t hours, days, months, weekdays;
	bool has_star_day; /* one of the two day fields begins with a * */
};

/*
 * Any bytes. out is filled on success only. -EINVAL names field, place and
 * value; also for what never comes (30 February).
 */
int cron_parse(struct cron *out, const char *text, size_t len, struct err *e);

/*
 * The first whole minute after the second `after` (since the epoch) that is
 * due; CRON_NEVER: there is none in the 41 years that follow, or before 10000.
 */
int64_t cron_next(const struct cron *c, int64_t after);

#endif
