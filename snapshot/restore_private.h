/* SPDX-License-Identifier: Apache-2.0 */
/* What restore.c and rewind.c share. */
#ifndef AMBER_SNAPSHOT_RESTORE_PRIVATE_H
#define AMBER_SNAPSHOT_RESTORE_PRIVATE_H

#include "disk/overlay.h"
#include "snapshot/restore.h"
#include "snapshot/restore_journal.h"

struct restore {
	int dir;			/* borrowed */
	const struct vm_config *config; /* borrowed */
	struct snapshot_meta meta;	/* owned */
	struct restore_order order;	/* but what; its disk is only */
	char *only;			/* owned; NULL: all of them */
	bool has_machine;		/* it is built from state and memory */
	struct buf state;
	struct ram_images memory; /* owned */
	struct journal undo;	  /* owned: each disk that is put back */
	bool has_begun;		  /* undo is written down */
	struct overlay *fresh[VM_DISKS_MAX]; /* owned: for a rewind */
};

/* Lists the disks that are to be put back; writes nothing. */
int restore_plan(struct restore *r, struct err *e);
/* Writes the list down. */
int restore_begin(struct restore *r, enum file_durability how, struct err *e);
/* The disks are what they were, and there is no list. */
void restore_undo(struct restore *r);

#endif
