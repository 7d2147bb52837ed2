/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine put away into the directory of its VM, and found there again:
 *
 *   suspend/vmstate    the state container (vmm/machine_state.h)
 *   suspend/memory     guest memory (vmm/ram_image.h)
 *   suspend/meta.json  which VM, when, and what its disks were
 *
 * It is there in full, on the disk, or not at all: by one rename. Used up by
 * the start that it is for. Any one thread; they block.
 */
#ifndef AMBER_SNAPSHOT_SUSPEND_H
#define AMBER_SNAPSHOT_SUSPEND_H

#include <stdbool.h>

#include "vmm/vm.h"

/*
 * dir: of the VM. text: what was written, for people. On an error nothing is
 * left and the machine can go on. Errors: those of the disks' flush and of
 * writing; -ENOSPC.
 */
int suspend_save(int dir, const struct vm_config *config, struct machine *m,
		 char text[VM_TEXT_MAX + 1], struct err *e);

bool suspend_exists(int dir);

/*
 * Errors: -EBADMSG (damaged), -EINVAL (another VM), -ESTALE (a disk is not
 * what it was: the text says which), -ENOENT.
 */
int suspend_load(int dir, const struct vm_config *config, struct vm_saved *out,
		 struct err *e);

/* It is there no more, whatever is left of it. */
void suspend_remove(int dir);

#endif
