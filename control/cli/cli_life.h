/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifecycle commands as requests, and their outcome as one line or object.
 * Worker threads; results are theirs until handed over.
 */
#ifndef AMBER_CONTROL_CLI_LIFE_H
#define AMBER_CONTROL_CLI_LIFE_H

#include "control/cli/cli_batch.h"
#include "control/cli/cli_vm.h"
#include "vmm/lifecycle.h"

/* Are the options of a lifecycle command in order? -EINVAL if not. */
int cli_life_check(const struct cli *cli, struct err *e);

/* POST /v1/vm/COMMAND with the line's options; fills r. timeout_ms 0: none. */
int cli_life_post(const struct cli *cli, struct cli_vm *vm,
		  enum vm_command command, unsigned int timeout_ms,
		  struct cli_result *r);

/* Fills r with an outcome. detail: how ("acpi power button"), or NULL. */
void cli_life_result(const struct cli *cli, struct cli_result *r,
		     enum vm_command command, bool changed, const char *state,
		     uint64_t duration_us, const char *detail);

#endif
