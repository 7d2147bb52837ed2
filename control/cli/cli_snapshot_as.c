/* SPDX-License-Identifier: Apache-2.0 */
/* `amber snapshot restore --as`: another VM goes on from there. */
#include <string.h>

#include "control/cli/cli_branch.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/config_value.h"

#define LINE_BYTES 4096

static int check_as(const struct cli *cli, struct err *e)
{
	static const enum cli_opt never[] = { CLI_NO_SAFETY, CLI_FORCE_OLD };
	const char *name = cli_value(cli, CLI_AS);
	const char *only = cli_value(cli, CLI_ONLY);
	struct err why = ERR_NONE;
	size_t i;

	if (config_name_check(name, &why))
		return err_set(e, -EINVAL, "restore: --as: %s", why.text);
	if (only && strcmp(only, "disk") && strcmp(only, "all"))
		return err_set(e, -EINVAL,
			       "restore: --as takes all of it, or --only disk");
	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (cli_has(cli, never[i]))
			return err_set(e, -EINVAL,
				       "restore: --%s means nothing with --as: "
				       "the VM stays as it is",
				       cli_option(never[i])->name);
	return 0;
}

int cli_snapshot_restore_check(const struct cli *cli, struct err *e)
{
	int r = 0;

	if (cli_has(cli, CLI_AS))
		r = check_as(cli, e);
	else if (cli_has(cli, CLI_SET_KEY))
		r = err_set(e, -EINVAL,
			    "restore: --set is of a new VM: it needs --as NEW");
	return r ? r : cli_branch_check(cli, e);
}

int cli_snapshot_restore_as(const struct cli *cli, struct cli_vm *vm,
			    struct err *e)
{
	const char *only = cli_value(cli, CLI_ONLY);
	struct cli_branch b = {
		.what = cli->args[2],
		.name = cli_value(cli, CLI_AS),
		.is_cold = only && !strcmp(only, "disk"),
		.paused = cli_has(cli, CLI_PAUSED),
	};
	struct buf out;
	int r = cli_branch_start(cli, vm, &b, e);

	if (r)
		return r;
	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(cli_branch_json(&b, vm->name));
		return 0;
	}
	buf_init(&out, LINE_BYTES);
	cli_branch_print(&b, vm->name, &out);
	cli_print(&out);
	buf_fini(&out);
	return 0;
}
