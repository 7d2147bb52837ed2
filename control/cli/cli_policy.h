/* SPDX-License-Identifier: Apache-2.0 */
/* `amber policy`: what its two operations share. One thread per struct. */
#ifndef AMBER_CONTROL_CLI_POLICY_H
#define AMBER_CONTROL_CLI_POLICY_H

#include "control/cli/cli_batch.h"
#include "control/cli/cli_vm.h"
#include "snapshot/policy.h"

/* A VM with its policy, and what is known of it at now_ns. */
struct cli_policy {
	struct cli_vm vm;
	struct vm_config config;
	bool has_policy; /* else the rest is empty */
	struct policy policy;
	struct policy_state state; /* settled */
	bool is_settled_anew;	   /* policy.json is to be written */
	json_t *list;		   /* owned: of descriptions */
	uint64_t now_ns, due_ns;
};

/* cli_policy_close() in each case. */
int cli_policy_open(struct cli_policy *p, const struct cli *cli,
		    const char *name, struct err *e);
/* Looks again, under the lock. -EBADMSG: policy.json, which is begun anew. */
int cli_policy_look(struct cli_policy *p, struct err *e);
void cli_policy_close(struct cli_policy *p);

/* A worker's; ctx is not used. */
int cli_policy_run(const struct cli *cli, void *ctx, struct cli_result *r);
/* Main thread; an exit status. */
int cli_policy_show(const struct cli *cli, const char *name);

#endif
