/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the memory a child of fork() gets: all, or little more than what
 * may have changed, as each page that it gets lengthens the moment. No state;
 * one thread at a time.
 */
#ifndef AMBER_VMM_RAM_SHARE_H
#define AMBER_VMM_RAM_SHARE_H

#include "vmm/ram_map.h"
#include "vmm/ram_ranges.h"

#define RAM_SHARE_RANGES 64 /* each is two more mappings for a while */

struct ram_share {
	struct ram_range range[RAM_SHARE_RANGES];
	uint32_t count;
};

void ram_share_all(struct ram_share *s, const struct ram *ram);
/* Whole granules, with every page whose bit is set in maybe. */
void ram_share_maybe(struct ram_share *s, const struct ram *ram,
		     const uint64_t *maybe);

/* -ENOMEM...; ram_share_end() in each case. */
int ram_share_begin(const struct ram_share *s, const struct ram *ram);
void ram_share_end(const struct ram *ram);

#endif
