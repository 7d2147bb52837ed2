/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM from a snapshot of another one: to stay, under a name, or thrown away
 * when it ends. Any thread, one at a time per struct. Invariant: nothing is
 * left behind by a failure.
 */
#ifndef AMBER_CONTROL_CLI_BRANCH_H
#define AMBER_CONTROL_CLI_BRANCH_H

#include "clone/branch.h"
#include "control/cli/cli.h"
#include "control/cli/cli_vm.h"

#define CLI_BRANCH_TRY "verify" /* a use: it ends when it crashes */

struct cli_branch {
	/* what is wanted; borrowed */
	const char *what; /* the snapshot; NULL: the current one */
	const char *name; /* the new VM's; NULL: it is thrown away */
	const char *use;  /* of one that is thrown away: "peek", ... */
	bool is_cold;	  /* it boots from the disks */
	bool paused;
	uint32_t timeout_s; /* it ends by itself then; 0: never */

	/* what came of it */
	char made[VM_NAME_MAX + 1];
	char id[SNAPSHOT_ID_CHARS + 1], snapshot[SNAPSHOT_NAME_MAX + 1];
	bool is_warm;	   /* it goes on where the snapshot was taken */
	uint64_t start_ns; /* from its process's beginning to running */
	struct branch_figures figures;
};

/*
 * Makes it from vm's snapshot and starts it. The line's --set KEY=VALUE change
 * its configuration. One that is thrown away has its cards isolated, and is
 * removed by its own process when it ends.
 */
int cli_branch_start(const struct cli *cli, const struct cli_vm *vm,
		     struct cli_branch *b, struct err *e);

/* Are the --set of the line possible? -EINVAL. */
int cli_branch_check(const struct cli *cli, struct err *e);

/* "web-2: running from snapshot one (149fd204) of web" and its JSON. */
void cli_branch_print(const struct cli_branch *b, const char *from,
		      struct buf *out);
json_t *cli_branch_json(const struct cli_branch *b, const char *from);

#endif
