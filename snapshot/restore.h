/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going back to a snapshot. The set is read and checked before the machine
 * that is there is given up; then the disks are put back as one transaction
 * and a machine is built from state and memory:
 *
 *   restore_open()                    everything that can be checked is
 *   restore_load(), restore_done()    a vm_source's
 *   restore_close()
 *
 * A kill in between leaves disks as they were before, or as in the snapshot:
 * restore_recover() at the next start sees to that. One thread at a time;
 * they block. Who calls holds the VM's lock.
 */
#ifndef AMBER_SNAPSHOT_RESTORE_H
#define AMBER_SNAPSHOT_RESTORE_H

#include "snapshot/meta.h"
#include "vmm/vm.h"

struct restore;

enum restore_part {
	RESTORE_ALL,
	RESTORE_DISKS, /* the VM boots from them */
	RESTORE_MEMORY /* and devices; the disks stay what they are */
};

struct restore_order {
	const char *what; /* name or ID; NULL: the current one; borrowed */
	enum restore_part part;
	const char *disk; /* RESTORE_DISKS: only the one of this id; or NULL */
	bool force;	  /* memory alone although disks have changed */
};

/* "all", "disk", "disk:ID", "ram"; -EINVAL. *disk points into text. */
int restore_part_parse(const char *text, enum restore_part *part,
		       const char **disk, struct err *e);

/*
 * dir (the VM's), config: borrowed until restore_close(); order for the call
 * only. Errors: -ENOENT (no
 * such snapshot, a layer is missing), -EBADMSG (damaged: says what), -EINVAL
 * (another VM's, other disks; no such part), -ESTALE (memory alone, but a disk
 * was changed).
 */
int restore_open(struct restore **out, int dir, const struct vm_config *config,
		 const struct restore_order *order, struct err *e);

const struct snapshot_meta *restore_meta(const struct restore *r);

/*
 * Can the disks be put back: are the layers images, is there room beside the
 * disks? Changes nothing; while the machine that is to be given up runs.
 */
int restore_try(struct restore *r, struct err *e);

/* ctx: the restore. No process has the disks open. */
int restore_load(void *ctx, struct vm_saved *out, struct err *e);
void restore_done(void *ctx, bool is_built);

void restore_close(struct restore *r);

/*
 * In place, for a machine whose disks stand on the snapshot's layers and a
 * full snapshot: rewind_prepare() while the guest runs, rewind_moment() as a
 * vm_still's work. The machine is lost where it fails half-way. Errors: -EINVAL
 * (not a full one), -ESTALE (a disk stands on another layer).
 */
int rewind_prepare(struct restore *r, struct err *e);
int rewind_moment(void *ctx, struct machine *m, bool *is_lost, struct err *e);

/*
 * Ends what a process that was killed had begun. Errors: those of renaming;
 * then the disks are not to be used.
 */
int restore_recover(int dir, struct err *e);

/* Is there something that restore_recover() would end? */
bool restore_is_open(int dir);

#endif
