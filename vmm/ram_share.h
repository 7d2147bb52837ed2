/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the memory is written to an image, roughly: what may have changed,
 * or what the guest ever used. A child of fork() gets no more of it, as each
 * page that it gets lengthens the moment, and where KVM keeps a list for each
 * page of a slot those that nobody used, too. No state; one thread at a time.
 */
#ifndef AMBER_VMM_RAM_SHARE_H
#define AMBER_VMM_RAM_SHARE_H

#include "vmm/ram_image.h"
#include "vmm/ram_ranges.h"

#define RAM_SHARE_RANGES 64 /* each is two more mappings for a while */

struct ram_share {
	struct ram_range range[RAM_SHARE_RANGES];
	uint32_t count;
};

/* All that ram_image_write() looks at for this job. */
void ram_share_for(struct ram_share *s, const struct ram_image_job *job);
bool ram_share_has(const struct ram_share *s, uint64_t from, uint64_t to);

void ram_share_all(struct ram_share *s, const struct ram *ram);

/* -ENOMEM...; ram_share_end() in each case. */
int ram_share_begin(const struct ram_share *s, const struct ram *ram);
void ram_share_end(const struct ram *ram);

#endif
