/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshots/unused: layers that a snapshot of this VM names, named, or was
 * about to name, and that none may name now. They are put down before they
 * come to be and before their snapshot goes, so that a kill in between loses
 * none. A line more than needed does no harm: what snapshots name still, or
 * disks stand on, stays. Any thread, one at a time; they block.
 */
#ifndef AMBER_SNAPSHOT_UNUSED_H
#define AMBER_SNAPSHOT_UNUSED_H

#include "snapshot/meta.h"

#define UNUSED_FILE "unused"

struct unused_layer {
	char *layer;  /* owned */
	char *disk;   /* owned: path of the disk whose layer it is */
	bool is_gone; /* it is left out when the list is saved */
};

struct unused {
	struct unused_layer *layer; /* owned */
	size_t count;
};

/* Is there a list? dir: the VM's. */
bool unused_exists(int dir);

/* No list: an empty one. unused_fini() in each case. -EBADMSG. */
int unused_load(int dir, struct unused *out, struct err *e);
/* The same from the list's bytes. */
int unused_parse(struct unused *u, const char *text, size_t len, struct err *e);
void unused_fini(struct unused *u);

/* On the disk when it returns; an empty one is removed. */
int unused_save(int dir, const struct unused *u, struct err *e);

/*
 * Adds the layers of a snapshot to the list that is there: those that have the
 * snapshot's ID in their names, as those that it has frozen do.
 */
int unused_note(int dir, const struct snapshot_meta *m, struct err *e);
/* Takes them off it again: the snapshot is there, and names them. */
int unused_forget(int dir, const struct snapshot_meta *m, struct err *e);

#endif
