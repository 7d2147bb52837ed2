/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal snapshots of an image that somebody brings (qcow2.rst
 * [Snapshots]): listed and counted, never made. The image's thread.
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

#endif
