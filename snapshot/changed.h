/* SPDX-License-Identifier: Apache-2.0 */
/* Has a VM without a process anything that its last snapshot has not? */
#ifndef AMBER_SNAPSHOT_CHANGED_H
#define AMBER_SNAPSHOT_CHANGED_H

#include "snapshot/meta.h"

/*
 * *changed is false when every disk that the VM may write to stands on the
 * layer that its current snapshot froze, and nothing was written since. Reads
 * the images' tables, no data. The VM's lock is the caller's; it blocks.
 * Errors: disk_open()'s, store_find()'s but -ENOENT.
 */
int snapshot_disks_changed(int dir, const struct vm_config *config,
			   bool *changed, struct err *e);

#endif
