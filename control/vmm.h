/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process amber-vmm: what it opens, in which order it begins and ends.
 * One per process; the loop's thread.
 */
#ifndef AMBER_CONTROL_VMM_H
#define AMBER_CONTROL_VMM_H

#include "base/err.h"
#include "control/vmm_options.h"

/*
 * Runs the VM of these options and this configuration (ignored with --dir)
 * until it ends. Returns the exit status. Signals are blocked on return.
 */
int vmm_run(const struct vmm_options *options, struct vm_config *config);

#endif
