/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges that are joined when there is no room. */
#include "vmm/ram_ranges.h"

static void join(struct ram_ranges *r)
{
	uint32_t i, last = 0;

	for (i = 1; i < r->count; i++)
		if (r->range[i].from - r->range[last].to < r->gap)
			r->range[last].to = r->range[i].to;
		else
			r->range[++last] = r->range[i];
	r->count = last + 1;
}

void ram_ranges_add(struct ram_ranges *r, uint64_t from, uint64_t to)
{
	while (!r->count || from - r->range[r->count - 1].to >= r->gap) {
		if (r->count < r->max) {
			r->range[r->count++] = (struct ram_range){ from, to };
			return;
		}
		r->gap *= 2;
		join(r);
	}
	r->range[r->count - 1].to = to;
}
