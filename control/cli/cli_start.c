/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber start`. Worker threads, one VM each. Invariant: a VM gets a new
 * process only when nobody holds its lock.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_branch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_life.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_spawn.h"
#include "control/cli/cli_vm.h"
#include "control/home.h"
#include "snapshot/suspend.h"

#define END_MS 5000 /* for a process that is about to end */

/* Is its process on its way out, so that a new one may be started soon? */
static bool is_ending(const struct cli_vm *vm, int r)
{
	return client_is_gone(r) || r == -ESRCH ||
	       strcmp(vm->reply.problem.code, "ending") == 0;
}

static int spawn(const struct cli *cli, struct cli_vm *vm, bool no_start,
		 struct err *e)
{
	struct cli_spawn s = {
		.home = &cli->home,
		.name = vm->name,
		.no_start = no_start,
		.paused = !no_start && cli_has(cli, CLI_PAUSED),
		.from = cli_value(cli, CLI_FROM),
		.only = cli_has(cli, CLI_FROM) && cli_has(cli, CLI_COLD)
				? "disk"
				: NULL,
	};
	int r = cli_spawn_start(&s, e);

	if (!r)
		r = cli_spawn_started(&s, e);
	cli_spawn_fini(&s);
	cli_vm_look(vm);
	return r;
}

/* Only who holds the lock may touch what is in the directory. */
static int drop_suspended(struct cli_vm *vm, struct err *e)
{
	int lock = vmdir_lock(vm->dir, vm->name, e);

	if (lock < 0)
		return lock;
	suspend_remove(vm->dir);
	close(lock);
	return 0;
}

/* A reason can only be told to a process that is there to hear it. */
static int start_anew(const struct cli *cli, struct cli_vm *vm,
		      struct cli_result *r)
{
	bool asks = cli_has(cli, CLI_REASON) && !cli_has(cli, CLI_FROM);
	uint64_t began_ns = clock_mono_ns();
	int code = cli_has(cli, CLI_COLD) ? drop_suspended(vm, &r->e) : 0;

	if (!code)
		code = spawn(cli, vm, asks, &r->e);
	if (code)
		return code;
	if (asks)
		return cli_life_post(cli, vm, VM_CMD_START, 0, r);
	cli_life_result(cli, r, VM_CMD_START, true,
			cli_has(cli, CLI_PAUSED) ? "paused" : "running",
			(clock_mono_ns() - began_ns) / NS_PER_US, NULL);
	return 0;
}

/* The VM itself is left as it is, running or not. */
static int peek(const struct cli *cli, const struct cli_vm *vm,
		struct cli_result *r)
{
	struct cli_branch b = {
		.what = cli_value(cli, CLI_FROM),
		.use = "peek",
		.is_cold = cli_has(cli, CLI_COLD),
		.paused = cli_has(cli, CLI_PAUSED),
	};
	int code = cli_branch_start(cli, vm, &b, &r->e);

	if (code)
		return code;
	if (cli_has(cli, CLI_JSON))
		r->json = cli_branch_json(&b, vm->name);
	else
		cli_branch_print(&b, vm->name, &r->out);
	return 0;
}

static int start(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct cli_vm vm;
	int code;

	(void)ctx;
	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (!code && cli_has(cli, CLI_PEEK)) {
		code = peek(cli, &vm, r);
	} else if (!code && vm.alive && cli_has(cli, CLI_FROM)) {
		code = err_set(&r->e, -EBUSY,
			       "is there already: amber snapshot restore %s "
			       "%.64s",
			       r->name, cli_value(cli, CLI_FROM));
	} else if (!code && vm.alive) {
		code = cli_life_post(cli, &vm, VM_CMD_START, 0, r);
		if (code && is_ending(&vm, code) &&
		    cli_vm_await_end(&vm, END_MS) == 0)
			code = start_anew(cli, &vm, r);
	} else if (!code) {
		code = start_anew(cli, &vm, r);
	}
	cli_vm_close(&vm);
	return code;
}

static int check(const struct cli *cli, struct err *e)
{
	if (!cli_has(cli, CLI_SET_KEY))
		return 0;
	if (!cli_has(cli, CLI_PEEK))
		return err_set(e, -EINVAL,
			       "start: --set is of a new VM: it needs --peek");
	return cli_branch_check(cli, e);
}

int cli_start_command(struct cli *cli)
{
	struct err e = ERR_NONE;

	if (cli_life_check(cli, &e) || check(cli, &e))
		return cli_fail_usage(&e);
	return cli_batch_command(cli, false, start, NULL);
}
