/* SPDX-License-Identifier: Apache-2.0 */
/* Where the sockets of a VM's devices lie. One thread, at the start. */
#ifndef AMBER_CONTROL_RUN_DIR_H
#define AMBER_CONTROL_RUN_DIR_H

#include <stdbool.h>

#include "base/err.h"
#include "vmm/config.h"

/*
 * Sets run_dir to the control socket's directory, and hub_dir to .hubs
 * beside it (the VMs of one AMBER_RUN share hubs), and makes what devices
 * need before the socket is there. socket NULL: both stay empty. *is_ours:
 * run_dir was not there before.
 * Errors: -ENAMETOOLONG, and of making directories.
 */
int run_dir_set(struct vm_config *c, const char *socket, bool *is_ours,
		struct err *e);

/* Removes a run directory that is ours, once all sockets in it are gone. */
void run_dir_remove(const struct vm_config *c);

#endif
