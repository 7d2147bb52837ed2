/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber console`. Main thread. Invariant: the terminal is restored before
 * anything is said about the end.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/cli/cli.h"
#include "control/cli/cli_copy.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_vm.h"
#include "control/cli/client_attach.h"
#include "control/cli/term.h"

static int attach(const struct cli *cli, struct cli_vm *vm,
		  struct client_attach *a, struct err *e)
{
	struct client_attach_options options = {
		.readonly = cli_has(cli, CLI_READONLY),
		.history = !cli_has(cli, CLI_NO_HISTORY),
	};
	int r;

	if (!vm->alive)
		return cli_vm_not_running(vm, e);
	r = client_attach(a, vm->socket, &options, e);
	if (r && strcmp(a->problem.code, "console-busy") == 0)
		return err_set(e, r,
			       "another terminal writes to the console already "
			       "(amber console --read-only %s)",
			       vm->name);
	return r ? cli_vm_explain(vm, &a->problem, r, e) : 0;
}

static int copy(const struct cli *cli, struct client_attach *a)
{
	struct cli_copy c = {
		.from_guest = a->fd,
		.to_guest = cli_has(cli, CLI_READONLY) ? -1 : a->fd,
	};
	struct err e = ERR_NONE;
	enum cli_copy_end end;
	const char *name = cli->args[0];

	if (file_write_all(STDOUT_FILENO, a->early.data, a->early.len)) {
		cli_out_broke(errno);
		return EXIT_CODE_FAILED;
	}
	if (cli_copy_wants_keys()) {
		cli_note(name, "attached; Ctrl-] detaches");
		c.keys = term_raw(STDIN_FILENO, &e) == 0;
	}
	end = cli_copy_run(&c);
	term_restore();
	if (end == CLI_COPY_DETACHED)
		fprintf(stderr, "\n");
	if (end == CLI_COPY_DETACHED)
		cli_note(name, "detached");
	else if (end == CLI_COPY_OVER)
		cli_note(name, "the VM's process has ended");
	return EXIT_CODE_OK;
}

int cli_console_command(struct cli *cli)
{
	struct client_attach a = { .fd = -1 };
	struct err e = ERR_NONE;
	struct cli_vm vm;
	int r, status;

	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = attach(cli, &vm, &a, &e);
	cli_vm_close(&vm);
	if (r) {
		cli_error(cli->args[0], "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	status = copy(cli, &a);
	client_attach_end(&a);
	return status;
}
