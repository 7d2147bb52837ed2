/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the check share. Private to disk/qcow2_check*.c. */
#ifndef AMBER_DISK_QCOW2_CHECKING_H
#define AMBER_DISK_QCOW2_CHECKING_H

#include "disk/qcow2_check.h"

struct check {
	struct qcow2 *q;
	struct qcow2_check *c;
	struct err *e;
	uint32_t *refs; /* owned: references found to each cluster */
	uint64_t clusters;
	uint64_t told;
	uint8_t *table; /* owned: a cluster */
	uint64_t last;	/* host cluster of the last data cluster, or 0 */
	/* Of the corruptions those of counts; and those that one count at a
	 * time repairs. */
	uint64_t count_errors, count_fixed;
	bool blocks_are_bad; /* some can't be: counts need new ones */
};

__attribute__((format(printf, 3, 4))) void
check_found(struct check *k, enum qcow2_finding kind, const char *fmt, ...);

/* -ECANCELED: somebody wants to stop. */
int check_progress(struct check *k, uint64_t i, uint64_t n);
/* Refers to the refcount blocks. */
void check_count_blocks(struct check *k);
/*
 * Compares the counts of all clusters with the references, and repairs what
 * may be repaired; if need be with a new refcount table.
 */
int check_counts(struct check *k);

#endif
