/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a schedule: refused with a text, or accepted; then what is
 * next is later, a whole minute, and nothing lies between.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fine)
{
	if (!fine)
		abort();
}

/* The first eight bytes are a time, what follows is the schedule. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_NONE;
	int64_t after = 0, next;
	struct cron c;

	if (size < sizeof(after))
		return 0;
	memcpy(&after, data, sizeof(after));
	if (cron_parse(&c, (const char *)data + sizeof(after),
		       size - sizeof(after), &e)) {
		must(e.code == -EINVAL && *e.text);
		return 0;
	}
	must(c.minutes && c.hours && c.days && c.months && c.weekdays);
	must(!(c.minutes >> 60) && !(c.hours >> 24) && !(c.weekdays >> 7));
	must(!(c.days & 1) && !(c.months & ~0x1ffeU));
	next = cron_next(&c, after);
	if (next == CRON_NEVER) {
		must(after > 200000000000);
		return 0;
	}
	must(next > after && next % 60 == 0);
	must(cron_next(&c, next - 1) == next);
	return 0;
}
