/* SPDX-License-Identifier: Apache-2.0 */
/* `amber policy run|show`. Main thread; looking at a VM any thread. */
#include "control/cli/cli_policy.h"

#include <string.h>

#include "base/clock.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/config_json.h"
#include "control/config_value.h"
#include "control/snapshot_op.h"

/* --- a VM's policy --------------------------------------------------- */

int cli_policy_look(struct cli_policy *p, struct err *e)
{
	json_t *all;
	int r = policy_load(&p->state, p->vm.dir, e);

	json_decref(p->list);
	all = snapshot_op_list(p->vm.dir);
	p->list = json_incref(json_object_get(all, "snapshots"));
	json_decref(all);
	p->now_ns = clock_wall_ns();
	p->is_settled_anew = policy_settle(
		&p->state, policy_newest(p->list, p->now_ns), p->now_ns);
	p->due_ns = policy_due(&p->policy, &p->state);
	return r;
}

int cli_policy_open(struct cli_policy *p, const struct cli *cli,
		    const char *name, struct err *e)
{
	int r;

	memset(p, 0, sizeof(*p));
	config_init(&p->config);
	r = cli_vm_open(&p->vm, &cli->home, name, e);
	if (!r)
		r = config_load(&p->config, p->vm.dir, e);
	if (r)
		return r;
	config_finish(&p->config, CONFIG_KEPT);
	p->has_policy = p->config.has_snapshots;
	if (!p->has_policy)
		return 0;
	r = policy_read(&p->policy, &p->config.snapshots, e);
	if (!r)
		r = cli_policy_look(p, e);
	return r == -EBADMSG ? 0 : r; /* it is told when it is written */
}

void cli_policy_close(struct cli_policy *p)
{
	json_decref(p->list);
	vm_config_fini(&p->config);
	cli_vm_close(&p->vm);
}

/* --- which ----------------------------------------------------------- */

static int check_names(const struct cli *cli, struct err *e)
{
	bool selects = cli_has(cli, CLI_ALL) || cli_has(cli, CLI_LABEL);
	size_t i;

	if (selects && cli->nargs)
		return err_set(e, -EINVAL,
			       "policy run: names, or --all and --label, not "
			       "both");
	if (!selects && !cli->nargs)
		return err_set(e, -EINVAL,
			       "policy run: which VMs? (NAME..., --all, "
			       "--label)");
	for (i = 0; i < cli->nargs; i++)
		if (config_name_check(cli->args[i], e))
			return err_prefix(e, "policy run");
	return 0;
}

int cli_policy_command(struct cli *cli)
{
	static const char *const words[] = { "run", "show" };
	const char *word = cli->args[0];
	struct cli rest = *cli; /* what stands behind the word */
	struct err e = ERR_NONE;

	rest.args++;
	rest.nargs--;
	if (!strcmp(word, "run")) {
		if (check_names(&rest, &e))
			return cli_fail_usage(&e);
		return cli_batch_command(&rest, false, cli_policy_run, NULL);
	}
	if (!strcmp(word, "show")) {
		if (rest.nargs == 1 && !cli_has(cli, CLI_ALL) &&
		    !cli_has(cli, CLI_LABEL))
			return cli_policy_show(cli, rest.args[0]);
		err_set(&e, -EINVAL, "policy show: takes NAME");
		return cli_fail_usage(&e);
	}
	cli_no_word("policy", word, words, 2);
	return EXIT_CODE_USAGE;
}
