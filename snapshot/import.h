/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream (snapshot/bundle.h) that becomes a snapshot of a VM:
 *
 *   snapshot_import()       reads and checks all of it, into files that
 *                           nobody looks at
 *   snapshot_adopt()        it is there, by one rename
 *   snapshot_import_end()   what was not adopted is gone
 *
 * The first needs no lock, and disturbs no running VM; the second is for who
 * holds the VM's lock. INV-1: a set that was begun has meta.json when all else
 * of it is on the disk. Any thread; they block. The stream is hostile.
 */
#ifndef AMBER_SNAPSHOT_IMPORT_H
#define AMBER_SNAPSHOT_IMPORT_H

#include "base/tar.h"
#include "snapshot/meta.h"

struct snapshot_import;

struct import_order {
	int dir;			/* the VM's */
	const struct vm_config *config; /* the VM's; borrowed until the end */
	const char *name; /* of the snapshot; NULL: as it was; borrowed */
};

/*
 * Disks become frozen layers beside the VM's, which has to have disks of the
 * same IDs. Errors: bundle_read()'s, -EINVAL (another VM's, no such disk),
 * -EEXIST (the name is taken), those of writing.
 */
int snapshot_import(struct snapshot_import **out,
		    const struct import_order *order,
		    const struct tar_source *source, struct err *e);

const struct snapshot_meta *snapshot_imported(const struct snapshot_import *i);

/*
 * The set of this ID that was begun in dir, and is whole, is there from now
 * on; *m is what it is, snapshot_meta_fini() in each case. Errors: -ENOENT,
 * -EBADMSG, -EEXIST (its name is taken).
 */
int snapshot_adopt(int dir, const char *id, struct snapshot_meta *m,
		   struct err *e);

/* NULL is fine. */
void snapshot_import_end(struct snapshot_import *i, bool is_adopted);

#endif
