/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two snapshots of a VM differ in. Files are only read: it may run
 * meanwhile. Any thread; it blocks.
 */
#ifndef AMBER_SNAPSHOT_DIFF_H
#define AMBER_SNAPSHOT_DIFF_H

#include "base/progress.h"
#include "snapshot/meta.h"

#define DIFF_PAGE    4096u
#define DIFF_CLUSTER 65536u

/* Pages; those that are zero in both count nowhere. */
struct diff_memory {
	bool is_there;				/* both have memory */
	uint64_t same, changed, only_a, only_b; /* only: zero in the other */
};

struct diff_disk {
	char id[DEVICE_ID_MAX + 1];
	bool is_there; /* both have it */
	uint64_t bytes_a, bytes_b;
	uint64_t clusters; /* that differ */
	uint64_t bytes;	   /* of these */
};

struct snapshot_diff {
	struct snapshot_meta a, b;
	struct diff_memory memory;
	struct diff_disk disk[VM_DISKS_MAX];
	unsigned int disks;
	json_t *config; /* owned: {KEY: {"a": VALUE, "b": VALUE}}, null: none */
	/* Bytes on the disk: layers under both, and what one has alone. */
	uint64_t shared, only_a, only_b;
};

/*
 * a, b: names or IDs, as store_find(). config: the VM's, for where backing
 * files may be. snapshot_diff_fini() in each case. Errors: store_find()'s, a
 * layer is missing or damaged, those of reading; -ECANCELED by progress (of
 * memory and disks), which may be NULL.
 */
int snapshot_diff(struct snapshot_diff *out, int dir,
		  const struct vm_config *config, const char *a, const char *b,
		  struct progress *progress, struct err *e);
void snapshot_diff_fini(struct snapshot_diff *d);

/* docs/snapshots.md; NULL: no memory. */
json_t *snapshot_diff_json(const struct snapshot_diff *d);

/* --- its parts ------------------------------------------------------- */

/* Of any lengths; behind an end are zeroes. */
struct memory_view;
int diff_memory(const struct memory_view *a, const struct memory_view *b,
		struct diff_memory *out, struct progress *progress,
		struct err *e);

/* Counts into out what two open disks differ in. */
struct disk;
int diff_disks(struct disk *a, struct disk *b, struct diff_disk *out,
	       struct progress *progress, struct err *e);

#endif
