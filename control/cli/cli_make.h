/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a VM from a command line: the configuration, its name, its
 * directory. Main thread. Invariant: nothing is left behind by a failure.
 */
#ifndef AMBER_CONTROL_CLI_MAKE_H
#define AMBER_CONTROL_CLI_MAKE_H

#include "control/cli/cli.h"

/* Fills c (config_init() was called) from --config, options, KERNEL. */
int cli_make_config(const struct cli *cli, struct vm_config *c, struct err *e);

/*
 * Makes the directory of the VM; a VM without a name gets a free one, after
 * its kernel. Errors: -EEXIST, what the file system says.
 */
int cli_make_vm(const struct cli *cli, struct vm_config *c, struct err *e);

/* Removes a VM that was just made and never ran. */
void cli_unmake_vm(const struct cli *cli, const char *name);

/* One more than the largest N of the VMs named STEM-N. */
unsigned long cli_make_number(const struct cli *cli, const char *stem);

/* "hello" from "/boot/hello.elf": a valid name of at most max characters. */
void cli_name_from_path(const char *path, char *name, size_t max);

#endif
