/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM of its own that begins at a snapshot of another one:
 *
 *   branch_open()          which snapshot; what its disks stand on
 *   branch_place_disks()   where the new VM's disks will be
 *   branch_make()          they are there, and the set with its memory
 *   branch_close()
 *
 * Nothing is copied that can be shared: frozen layers and memory get hard
 * links in the new VM's directory, so that what becomes of the other one does
 * not matter. Layers on another file system, or that name what they stand on
 * in a way that is right only where they are, are copied into one image. Who
 * calls needs no lock on the other VM, which may run. One thread; they block.
 */
#ifndef AMBER_CLONE_BRANCH_H
#define AMBER_CLONE_BRANCH_H

#include "snapshot/meta.h"

#define BRANCH_DISKS "disks" /* in the VM's directory: ID/root.qcow2 */

struct branch;

struct branch_figures {
	unsigned int linked; /* layers */
	unsigned int copied; /* disks */
	unsigned int sets;
};

/*
 * from: directory of the VM that has the snapshot `what` (name, ID; NULL: the
 * current one); borrowed until branch_close(). is_cold: the disks alone.
 * Errors: store_find()'s, -EINVAL (it has memory, but not its disks), those of
 * headers.
 */
int branch_open(struct branch **out, int from, const char *what, bool is_cold,
		struct err *e);

const struct snapshot_meta *branch_meta(const struct branch *b);
/* Does memory come along, to be gone on with? */
bool branch_is_warm(const struct branch *b);

/*
 * config: as it was in the snapshot; its disks that were frozen get their
 * paths in `path`, the new VM's directory under its later name. -EINVAL: one is
 * missing in config. -EACCES: a base is where the VM it is of may not read.
 */
int branch_place_disks(struct branch *b, struct vm_config *config,
		       const char *path, struct err *e);

/*
 * to, to_path: the new VM's directory, which nobody else uses, as it is called
 * now. config: the new VM's, as json too. On an error the directory is to be
 * removed. Errors: those of linking and writing.
 */
int branch_make(struct branch *b, int to, const char *to_path,
		const struct vm_config *config, const char *json,
		struct branch_figures *figures, struct err *e);

void branch_close(struct branch *b);

#endif
