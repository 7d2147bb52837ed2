/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a snapshot whole, and what it stands on? Everything is read, whatever
 * else is done with it: state, memory, the layers of its disks down to the
 * lowest. Any thread; it blocks, for long where there is much.
 */
#ifndef AMBER_SNAPSHOT_VERIFY_H
#define AMBER_SNAPSHOT_VERIFY_H

#include "snapshot/meta.h"

struct verify_figures {
	unsigned int images; /* of memory, this one's and those below */
	unsigned int layers; /* of all disks */
	uint64_t leaks;	     /* clusters of them that nobody refers to */
};

/*
 * dir: the VM's. config: for the disks' backing directories. Errors: -EBADMSG
 * (what is damaged, and where), -ENOENT, those of reading.
 */
int snapshot_verify(int dir, const struct vm_config *config,
		    const struct snapshot_meta *m,
		    struct verify_figures *figures, struct err *e);

/* Whole sections of a state container, with the right checksums. */
int snapshot_check_state(const struct buf *state, struct err *e);

#endif
