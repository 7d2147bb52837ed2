/* SPDX-License-Identifier: Apache-2.0 */
/* What sets take up on the disk. Any thread; it asks the file system. */
#ifndef AMBER_SNAPSHOT_SIZE_H
#define AMBER_SNAPSHOT_SIZE_H

#include "snapshot/store.h"

/* Bytes that are allocated: holes are not counted. What is missing is 0. */
struct snapshot_size {
	uint64_t memory;
	uint64_t state;	 /* and what else is in its directory */
	uint64_t layers; /* the disks' frozen ones */
	uint64_t total;
};

void snapshot_size(int dir, const struct snapshot_meta *m,
		   struct snapshot_size *out);

/* {memory, state, layers, total}; NULL: no memory. */
json_t *snapshot_size_json(const struct snapshot_size *size);

/* A set's description with its "size". */
json_t *snapshot_sized_json(int dir, const struct snapshot_meta *m);

#endif
