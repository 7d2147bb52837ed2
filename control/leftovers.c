/* SPDX-License-Identifier: Apache-2.0 */
/* Sets, files beside disks, layers: in that order, as one may free the next. */
#include "control/leftovers.h"

#include <stdio.h>
#include <string.h>

#include "snapshot/store.h"
#include "snapshot/sweep.h"
#include "snapshot/tidy.h"

static void append(char *text, const char *what)
{
	size_t len = strlen(text);

	snprintf(text + len, LEFTOVERS_TEXT - len, "%s%.200s", len ? "; " : "",
		 what);
}

static void append_count(char *text, unsigned int count, const char *what)
{
	char line[64];

	if (!count)
		return;
	snprintf(line, sizeof(line), "%u %s%s", count, what,
		 count == 1 ? "" : "s");
	append(text, line);
}

void leftovers_remove(int dir, const struct vm_config *config,
		      char text[LEFTOVERS_TEXT])
{
	struct tidy_done done = { .removed = 0 };
	struct err e = ERR_NONE;

	*text = '\0';
	append_count(text, store_sweep(dir), "unfinished snapshot");
	append_count(text, sweep_disks(config), "leftover disk file");
	if (tidy_all(dir, config, &done, &e))
		append(text, e.text);
	append_count(text, done.removed, "unused layer");
	if (*done.why)
		append(text, done.why);
}
