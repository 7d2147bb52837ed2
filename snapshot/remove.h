/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting snapshots, with the layers that only they needed. Who calls holds
 * the VM's lock. One thread at a time; it blocks.
 */
#ifndef AMBER_SNAPSHOT_REMOVE_H
#define AMBER_SNAPSHOT_REMOVE_H

#include "snapshot/tidy.h"

struct removal {
	const char *what; /* name or ID; borrowed */
	bool children;	  /* all that came from it as well */
	bool force;	  /* pinned ones, too; by ID, one that can't be read */
};

/*
 * Those that stand on others go before them. Where the VM is stays as it is:
 * a current snapshot that goes leaves its parent as the current one. text:
 * what was done, for people.
 *
 * Errors: -ENOENT, -EPERM (one is pinned: then nothing was removed; the memory
 * of another one stands on it), those of the store: then text says what went
 * before, if anything.
 */
int remove_snapshots(int dir, const struct vm_config *config,
		     const struct removal *order, struct tidy_done *done,
		     char *text, size_t bytes, struct err *e);

/*
 * All of them, pinned ones too, as their VM goes: of their layers those stay
 * that its disks stand on. Errors: as above.
 */
int remove_every_snapshot(int dir, const struct vm_config *config,
			  struct tidy_done *done, struct err *e);

#endif
