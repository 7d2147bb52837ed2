/* SPDX-License-Identifier: Apache-2.0 */
/* Edit distance over short words; pure, any thread. */
#include "control/nearest.h"

#include <string.h>

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int nearest_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i, j;
	unsigned int row[3][NEAREST_WORD_MAX + 1];
	unsigned int *older = row[0], *old = row[1], *now = row[2], *spare;

	if (la > NEAREST_WORD_MAX || lb > NEAREST_WORD_MAX)
		return NEAREST_WORD_MAX;
	memset(row, 0, sizeof(row));
	for (j = 0; j <= lb; j++)
		old[j] = (unsigned int)j;
	for (i = 1; i <= la; i++) {
		now[0] = (unsigned int)i;
		for (j = 1; j <= lb; j++) {
			unsigned int replace = a[i - 1] != b[j - 1];

			now[j] = least(old[j - 1] + replace,
				       least(old[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j], older[j - 2] + 1);
		}
		spare = older;
		older = old;
		old = now;
		now = spare;
	}
	return old[lb];
}

const char *nearest(const char *word, const char *const *candidates,
		    size_t count)
{
	size_t len = strlen(word), i;
	unsigned int allowed = len < 6 ? 1 : (unsigned int)(len / 3);
	unsigned int best = allowed + 1, distance;
	const char *found = NULL;

	for (i = 0; i < count; i++) {
		distance = nearest_distance(word, candidates[i]);
		if (distance >= best && len > 2 &&
		    strncmp(word, candidates[i], len) == 0)
			distance = allowed;
		if (distance >= best)
			continue;
		best = distance;
		found = candidates[i];
	}
	return found;
}
