/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that a guest uses, its working set, as ranges of the memory. Kept
 * as a state container; hostile when it is read. Any thread, one at a time.
 */
#ifndef AMBER_VMM_RAM_SET_H
#define AMBER_VMM_RAM_SET_H

#include "base/buf.h"
#include "vmm/ram.h"
#include "vmm/ram_ranges.h"

#define RAM_SET_RANGES 16384
#define RAM_SET_BYTES  (512u << 10) /* of a container, at most */

struct ram_set {
	uint64_t bytes;		 /* of the memory */
	struct ram_range *range; /* owned */
	uint32_t count;
};

/*
 * What has been touched since the memory was mapped, and is there still.
 * Also while vCPUs run. ram_set_fini() on success. Errors: -ENOMEM, those of
 * asking the kernel.
 */
int ram_set_look(struct ram_set *set, const struct ram *ram, struct err *e);

/* Appends the container. */
int ram_set_save(struct ram_set *set, struct buf *out, struct err *e);
/* ram_set_fini() on success. Errors: -EBADMSG, -ENOTSUP, -ENOMEM. */
int ram_set_load(struct ram_set *set, const uint8_t *bytes, size_t len,
		 struct err *e);
void ram_set_fini(struct ram_set *set);

#endif
