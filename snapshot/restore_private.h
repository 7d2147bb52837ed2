/* SPDX-License-Identifier: Apache-2.0 */
/* What restore.c and rewind.c share. */
#ifndef AMBER_SNAPSHOT_RESTORE_PRIVATE_H
#define AMBER_SNAPSHOT_RESTORE_PRIVATE_H

#include <jansson.h>

#include "disk/overlay.h"
#include "snapshot/restore.h"

struct restore {
	int dir;			/* borrowed */
	const struct vm_config *config; /* borrowed */
	struct snapshot_meta meta;	/* owned */
	struct restore_order order;	/* but what */
	bool has_machine;		/* it is built from state and memory */
	struct buf state;
	struct ram_images memory; /* owned */
	json_t *undo; /* owned: of each disk that is put back {path, was} */
	bool has_begun;
	struct overlay *fresh[VM_DISKS_MAX]; /* owned: for a rewind */
};

#endif
