/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of disks are still needed, and which of those that nobody names
 * any more can go into the one that stands on them. Pure: from facts to
 * decisions; any thread.
 *
 * INV-1  Nothing goes that something needed stands on.
 * INV-2  A file goes, or is merged away, only if a snapshot of this VM named
 *        it once and none does now.
 * INV-3  Nothing is written to that others see as well, or remember.
 */
#ifndef AMBER_SNAPSHOT_LINEAGE_H
#define AMBER_SNAPSHOT_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>

enum lineage_fate {
	LINEAGE_KEEP,	/* it is somebody's, or needed and can't be merged */
	LINEAGE_REMOVE, /* unused, and nothing stands on it */
	LINEAGE_MERGE	/* unused; it can go into the one that stands on it */
};

struct lineage_node {
	/* Facts. below: index of the file it stands on; -1: none. */
	int below;
	bool is_root;	/* a disk's present file, or named by a snapshot */
	bool is_unused; /* a snapshot named it once, none does now */
	bool may_grow;	/* what is below it may be merged into it */

	/* Decisions. */
	bool is_needed;
	size_t children; /* needed ones that stand on it */
	int child;	 /* the last of them; -1: none */
	enum lineage_fate fate;
};

void lineage_decide(struct lineage_node *node, size_t count);

/*
 * What is to be merged first: the nearest one to a file that stays, so that
 * nothing is copied twice. -1: nothing can be.
 */
int lineage_next_merge(const struct lineage_node *node, size_t count);

#endif
