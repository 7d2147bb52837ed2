/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of the memory, ascending and apart from each other, of which there may
 * only be so many: when there are more, near ones become one. No state; one
 * thread at a time.
 */
#ifndef AMBER_VMM_RAM_RANGES_H
#define AMBER_VMM_RAM_RANGES_H

#include <stdint.h>

struct ram_range {
	uint64_t from, to; /* offsets in the memory */
};

struct ram_ranges {
	struct ram_range *range; /* borrowed; room for max */
	uint32_t count, max;
	uint64_t gap; /* what is nearer than this is one; not 0 */
};

/* from: behind all that are there. */
void ram_ranges_add(struct ram_ranges *r, uint64_t from, uint64_t to);

#endif
