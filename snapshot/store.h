/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of a VM, as directories in its own:
 *
 *   snapshots/ID/meta.json  what it is (snapshot/meta.h)
 *   snapshots/ID/vmstate    the state container (vmm/machine_state.h)
 *   snapshots/ID/memory     guest memory (vmm/ram_image.h)
 *   snapshots/ID/memory.map what is where in it (vmm/ram_map.h)
 *   snapshots/ID/config     config.json, as it was
 *   snapshots/ID/working-set the pages that the guest used when it was last
 *                           restored (vmm/ram_warm.h); advice, may be missing
 *   snapshots/current       the ID that the VM has come from
 *
 * A set becomes visible, and goes away, by one rename. dir is the VM's
 * directory; who changes something holds the VM's lock. Any thread, one at a
 * time; they block.
 */
#ifndef AMBER_SNAPSHOT_STORE_H
#define AMBER_SNAPSHOT_STORE_H

#include "base/file.h"
#include "snapshot/meta.h"

#define STORE_DIR      "snapshots"
#define STORE_META     "meta.json"
#define STORE_STATE    "vmstate"
#define STORE_MEMORY   "memory"
#define STORE_MAP      "memory.map"
#define STORE_CONFIG   "config"
#define STORE_SETS_MAX 4096

struct store_list {
	struct snapshot_meta *set; /* owned, the oldest first */
	size_t count;
	size_t damaged;		  /* directories that could not be read */
	char why[ERR_TEXT_BYTES]; /* of the first of them */
};

/* All that can be read; no snapshots yet: none. */
int store_list(int dir, struct store_list *out, struct err *e);
void store_list_fini(struct store_list *list);

/*
 * The one of this name or ID into m; snapshot_meta_fini() in each case. what
 * NULL or "": the current one. Errors: -ENOENT (with the nearest name),
 * -EBADMSG.
 */
int store_find(int dir, const char *what, struct snapshot_meta *m,
	       struct err *e);

/* Opens the directory of a set; a descriptor. */
int store_open(int dir, const char *id, struct err *e);

/*
 * meta.json of the set whose directory is open. Reading: into an empty m,
 * snapshot_meta_fini() in each case; -EBADMSG also when it is of another ID.
 */
int store_read_meta(int set, const char *id, struct snapshot_meta *m,
		    struct err *e);
int store_write_meta(int set, const struct snapshot_meta *m, struct err *e);

/* The ID of the current one, "": none, or one that is not there. */
void store_current(int dir, char id[SNAPSHOT_ID_CHARS + 1]);
/* FILE_ATOMIC writes nothing when it is. */
int store_set_current(int dir, const char *id, enum file_durability how,
		      struct err *e);

/*
 * A new set, not visible yet: makes up an ID that nobody has and returns the
 * descriptor of its directory. store_publish() or store_drop() ends it.
 */
int store_begin(int dir, char id[SNAPSHOT_ID_CHARS + 1], struct err *e);
/* The same of this ID, which the VM has not: for a copy of another's set. */
int store_begin_as(int dir, const char *id, struct err *e);
/* Opens one that was begun; a descriptor. */
int store_open_begun(int dir, const char *id, struct err *e);
/* From here on it is there: all in it is on the disk. */
int store_publish(int dir, const char *id, struct err *e);
void store_drop(int dir, const char *id);

/* The description of a set that is there becomes m, in one step. */
int store_rewrite(int dir, const struct snapshot_meta *m, struct err *e);

/*
 * Takes a set away; what came from it has come from its parent then. -EPERM:
 * the memory of another one is an increment of it; the text names it.
 */
int store_remove(int dir, const struct snapshot_meta *m, struct err *e);

/*
 * Removes what was begun and not ended by a process that is dead; how much
 * there was.
 */
unsigned int store_sweep(int dir);

#endif
