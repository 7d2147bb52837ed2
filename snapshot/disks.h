/* SPDX-License-Identifier: Apache-2.0 */
/* Disks as sets know them: their layers, and what they were. Any thread. */
#ifndef AMBER_SNAPSHOT_DISKS_H
#define AMBER_SNAPSHOT_DISKS_H

#include "snapshot/meta.h"

/*
 * The path of the layer that a snapshot freezes of the disk at path, beside
 * its file: root.qcow2 becomes root.ID.qcow2. Symbolic links are followed.
 * *out is the caller's. Errors: -ENOENT..., -ENAMETOOLONG, -ENOMEM.
 */
int snapshot_layer_path(const char *path, const char *id, char **out,
			struct err *e);

/* Fills in what the file at d->path is now. */
int snapshot_disk_identify(struct snapshot_disk *d, struct err *e);

/*
 * Is it that still? Memory remembers what the disk was: another one would be
 * torn by it. -ESTALE.
 */
int snapshot_disk_check(const struct snapshot_disk *d, struct err *e);

/*
 * Opens the frozen layer of d, and what it stands on, to read. config: the
 * VM's, which says where backing files may be. Errors: disk_open()'s.
 */
int snapshot_disk_open(struct disk **out, const struct vm_config *config,
		       const struct snapshot_disk *d, struct err *e);

#endif
