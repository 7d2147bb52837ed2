/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes of this VM that were killed have left in its directory and
 * beside its disks, taken away before anything is opened. Under the VM's lock.
 */
#ifndef AMBER_CONTROL_LEFTOVERS_H
#define AMBER_CONTROL_LEFTOVERS_H

#include "base/err.h"
#include "vmm/config.h"

#define LEFTOVERS_TEXT 256

/*
 * dir: the VM's; config: checked. text: one line for people, "" when there was
 * nothing. What can't be removed stays for the next start.
 */
void leftovers_remove(int dir, const struct vm_config *config,
		      char text[LEFTOVERS_TEXT]);

#endif
