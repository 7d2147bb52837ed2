/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all snapshots of a VM may take up on the disk. Any thread; it asks the
 * file system.
 */
#ifndef AMBER_SNAPSHOT_QUOTA_H
#define AMBER_SNAPSHOT_QUOTA_H

#include "snapshot/store.h"

/* Together; by allocated blocks, as snapshot/size.h counts. */
uint64_t quota_taken(int dir, const struct store_list *list);

/*
 * May one more be taken? What it would add is estimated: the disks' files,
 * which become its layers, and as much memory as the newest of the same sort
 * has. One of memory's first is taken for nothing. -EDQUOT names the figures,
 * and what can be done.
 */
int quota_check(int dir, const struct vm_config *config,
		const struct snapshot_meta *next, bool is_increment,
		const struct store_list *list, struct err *e);

/* "snapshots take up 3 MiB, more than..."; "": they don't, or may. */
void quota_warning(int dir, const struct vm_config *config, char *text,
		   size_t bytes);

#endif
