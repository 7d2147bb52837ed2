/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as a file whose offsets are guest physical addresses; what was
 * never touched, or is zero, is a hole. Any thread, while no vCPU runs and
 * devices are quiet.
 */
#ifndef AMBER_VMM_RAM_IMAGE_H
#define AMBER_VMM_RAM_IMAGE_H

#include <sys/types.h>

#include "vmm/ram.h"

struct ram_image_figures {
	uint64_t pages;	       /* of the guest */
	uint64_t written;      /* pages that are in the file */
	uint64_t zero_skipped; /* touched, but zero */
};

/*
 * Writes all memory into fd, an empty file. Not synced. Errors: those of
 * writing; e says how far it came.
 */
int ram_image_write(const struct ram *ram, int fd,
		    struct ram_image_figures *figures, struct err *e);

/*
 * The same in a child of parent, with its memory: -ECANCELED as soon as it is
 * found to be an orphan; 0: it is no child. Allocates nothing, takes no lock.
 */
int ram_image_write_for(const struct ram *ram, int fd, pid_t parent,
			struct ram_image_figures *figures, struct err *e);

/*
 * Maps fd in place of the memory, privately: nothing is read before it is
 * touched, what the guest writes stays here. fd is borrowed for the call; the
 * file must not change while the memory lives. -EINVAL: it is not as long as
 * the memory's end.
 */
int ram_image_map(struct ram *ram, int fd, struct err *e);

/*
 * Memory shows what is in fd, nothing else: as ram_image_map(), but what shows
 * it already only loses the pages that were written since. The pages that the
 * guest has only read stay mapped.
 */
int ram_image_rewind(struct ram *ram, int fd, struct err *e);

#endif
