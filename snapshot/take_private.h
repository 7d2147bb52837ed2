/* SPDX-License-Identifier: Apache-2.0 */
/* What take.c and offline.c share. */
#ifndef AMBER_SNAPSHOT_TAKE_PRIVATE_H
#define AMBER_SNAPSHOT_TAKE_PRIVATE_H

#include "snapshot/take.h"
#include "vmm/ram_freeze.h"

struct overlay;

struct snapshot_take {
	int dir;			/* borrowed */
	const struct vm_config *config; /* borrowed */
	struct snapshot_meta meta;	/* owned */
	int set;			/* owned: its directory; -1: none */
	bool is_published;
	struct overlay *overlay[VM_DISKS_MAX]; /* owned, until it is pushed */
	int memory;			       /* owned: the file; -1: none */
	struct ram base;		       /* of an increment */
	bool is_tracked; /* an increment was asked for, be there a base or not
			  */
	struct ram_freeze freeze;
	struct progress *progress; /* borrowed, or NULL */
	struct buf state;
	uint64_t began_ns;
	uint64_t max_pause_ns;
};

#endif
