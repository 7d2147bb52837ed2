/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of memory, few enough to be advised about one by one. */
#include "vmm/ram_share.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE 4096ULL

#define MIN(a, b) ((a) < (b) ? (a) : (b))

void ram_share_all(struct ram_share *s, const struct ram *ram)
{
	*s = (struct ram_share){ .range[0] = { 0, ram->bytes }, .count = 1 };
}

static bool has_bit(const uint64_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to; from++) {
		if (!(from % 64) && !bits[from / 64])
			from |= 63;
		else if (bits[from / 64] >> from % 64 & 1)
			return true;
	}
	return false;
}

void ram_share_maybe(struct ram_share *s, const struct ram *ram,
		     const uint64_t *maybe)
{
	struct ram_ranges r = { .range = s->range, .max = RAM_SHARE_RANGES };
	struct ram_map plan;
	uint64_t at, end;
	size_t bytes;

	ram_map_plan(&plan, ram->bytes, &bytes);
	r.gap = plan.granule;
	for (at = 0; at < ram->bytes; at = end) {
		end = MIN(at + plan.granule, ram->bytes);
		if (has_bit(maybe, at / PAGE, end / PAGE))
			ram_ranges_add(&r, at, end);
	}
	s->count = r.count;
}

int ram_share_begin(const struct ram_share *s, const struct ram *ram)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (madvise(ram->host + s->range[i].from,
			    s->range[i].to - s->range[i].from, MADV_DOFORK) < 0)
			return -errno;
	return 0;
}

void ram_share_end(const struct ram *ram)
{
	/* A failure costs memory in the children that there are, no more. */
	madvise(ram->host, ram->bytes, MADV_DONTFORK);
}
