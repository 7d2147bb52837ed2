/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to a handler. Main thread. Invariant: a handler runs only with
 * a parsed line and a home; help is printed without either.
 */
#include "control/cli/cli.h"

#include "control/cli/cli_handlers.h"
#include "control/cli/cli_help.h"
#include "control/cli/cli_out.h"

static int dispatch(struct cli *cli)
{
	struct err e = ERR_NONE;

	if (!cli->command) {
		cli_help_overview(true);
		return EXIT_CODE_USAGE;
	}
	if (cli_has(cli, CLI_HELP)) {
		cli_help_page(cli->command);
		return EXIT_CODE_OK;
	}
	if (cli->command->group != CLI_GROUP_OTHER &&
	    home_find(&cli->home, &e) < 0) {
		cli_fail(NULL, &e);
		return EXIT_CODE_USAGE;
	}
	return cli->command->run(cli);
}

int cli_run(int argc, char **argv)
{
	struct err e = ERR_NONE;
	struct cli cli;
	int status;

	if (cli_parse(&cli, argc, argv, &e))
		status = cli_fail_usage(&e);
	else
		status = dispatch(&cli);
	cli_fini(&cli);
	return cli_out_end(status);
}
