/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal snapshots of an image that somebody brings (qcow2.rst
 * [Snapshots]): listed, shown, gone back to, never made. The image's thread.
 */
#ifndef AMBER_DISK_QCOW2_SNAPSHOTS_H
#define AMBER_DISK_QCOW2_SNAPSHOTS_H

#include "disk/qcow2.h"

struct qcow2_snapshot {
	uint64_t l1_offset;
	uint32_t l1_entries;
	char id[256], name[256]; /* cut if longer */
	uint32_t date_s, date_ns;
	uint64_t clock_ns; /* of the guest */
	uint64_t vm_state_bytes;
	uint64_t disk_bytes; /* 0: not said */
};

/*
 * Calls each for every snapshot, until one returns other than 0, which is
 * returned. *table_bytes, if not NULL: of the whole table. Errors: -EINVAL (a
 * row that can't be right), -EIO, -ENOMEM.
 */
int qcow2_each_snapshot(struct qcow2 *q,
			int (*each)(void *ctx, const struct qcow2_snapshot *s),
			void *ctx, uint64_t *table_bytes, struct err *e);

/* The one of that id or, if none has it, of that name. -ENOENT. */
int qcow2_find_snapshot(struct qcow2 *q, const char *name,
			struct qcow2_snapshot *out, struct err *e);
/*
 * From now on q, which was opened to be read and was not read yet, shows what
 * the disk was then; its size, too. -ENOENT, -EINVAL, -EIO.
 */
int qcow2_show_snapshot(struct qcow2 *q, const char *name, struct err *e);

/*
 * The disk is what it was then, and the snapshot stays. What was written
 * since, and is in no other snapshot, is lost. All is flushed, nothing in
 * flight; killed at any moment the disk is the one or the other. Errors:
 * -ENOENT; -EFBIG: a refcount has no room; -ECANCELED. progress may be NULL.
 * (disk/qcow2_apply.c)
 */
struct qcow2_progress {
	/* How far, 0..1000; other than 0 ends it: -ECANCELED. */
	int (*tell)(void *ctx, unsigned int permille);
	void *ctx;
};

int qcow2_apply_snapshot(struct qcow2 *q, const char *name,
			 const struct qcow2_progress *progress, struct err *e);

#endif
