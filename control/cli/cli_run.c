/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber run` and `amber create`. Main thread. Invariants: a VM that never
 * ran is not left behind by `run`; the terminal is restored before anything
 * is said about the end.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/cli_copy.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_make.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_spawn.h"
#include "control/cli/cli_vm.h"
#include "control/cli/term.h"

/* What `run` was asked to do with the VM. */
struct plan {
	bool once, detach;
	struct cli_spawn spawn;
};

static int check_together(const struct cli *cli, struct err *e)
{
	bool once = cli_has(cli, CLI_ONCE);
	bool detach = cli_has(cli, CLI_DETACH);

	if (once && detach)
		return err_set(
			e, -EINVAL,
			"run: --once and --detach contradict each other");
	if (once && cli_has(cli, CLI_PAUSED))
		return err_set(
			e, -EINVAL,
			"run: --once and --paused contradict each other");
	if (cli_has(cli, CLI_JSON) && !detach)
		return err_set(e, -EINVAL,
			       "run: --json needs --detach (otherwise the "
			       "console is what is printed)");
	return 0;
}

static int make_plan(const struct cli *cli, struct plan *p, struct err *e)
{
	uint64_t timeout_s = 0;
	int r = check_together(cli, e);

	if (!r)
		r = cli_number(cli, CLI_RUN_TIMEOUT, 1, VM_SECONDS_MAX,
			       &timeout_s, e);
	if (!r)
		r = cli_regex(cli, CLI_EXPECT, e);
	p->once = cli_has(cli, CLI_ONCE);
	p->detach = cli_has(cli, CLI_DETACH);
	p->spawn = (struct cli_spawn){
		.home = &cli->home,
		.paused = cli_has(cli, CLI_PAUSED),
		.once = p->once,
		.remove = cli_has(cli, CLI_RM),
		.console = !p->once && !p->detach,
		.timeout_s = (uint32_t)timeout_s,
		.expect = cli_value(cli, CLI_EXPECT),
		.notify = -1,
		.to_guest = -1,
		.from_guest = -1,
		.log = -1,
	};
	return r;
}

/* Prints the name of a VM that is there now. */
static void print_made(const struct cli *cli, const char *name,
		       const char *state)
{
	if (cli_has(cli, CLI_JSON))
		cli_print_json(
			json_pack("{s:s, s:s}", "name", name, "state", state));
	else
		printf("%s\n", name);
}

static int detached(const struct cli *cli, struct plan *p)
{
	struct err e = ERR_NONE;
	int r = cli_spawn_start(&p->spawn, &e);

	if (!r)
		r = cli_spawn_started(&p->spawn, &e);
	cli_spawn_fini(&p->spawn);
	if (r) {
		cli_unmake_vm(cli, p->spawn.name);
		cli_error(p->spawn.name, "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	print_made(cli, p->spawn.name, p->spawn.paused ? "paused" : "running");
	return EXIT_CODE_OK;
}

/* Asks the VMM for a graceful end; the second time it forces it. */
static bool pass_on_signal(void *ctx, int number)
{
	const struct cli_spawn *s = ctx;

	(void)number;
	kill(s->pid, SIGTERM);
	return false;
}

/* Did the start fail? Then its line says "error: ...". */
static bool never_ran(const struct cli_spawn *s)
{
	char first = 0;

	return read(s->notify, &first, 1) != 1 || first == 'e';
}

static void say_detached(const char *name)
{
	fprintf(stderr, "\r\n");
	cli_note(name,
		 "detached; it runs on (amber console %s, amber shutdown %s)",
		 name, name);
}

/* Copies until the VM has ended or the person has left. */
static int in_foreground(const struct cli *cli, struct plan *p)
{
	struct cli_spawn *s = &p->spawn;
	struct cli_copy copy = {
		.from_guest = s->from_guest,
		.to_guest = s->to_guest,
		.on_signal = pass_on_signal,
		.ctx = s,
	};
	struct err e = ERR_NONE;
	enum cli_copy_end end;
	int status;

	copy.keys = cli_copy_wants_keys() && term_raw(STDIN_FILENO, &e) == 0;
	end = cli_copy_run(&copy);
	term_restore();
	if (end == CLI_COPY_DETACHED) {
		say_detached(s->name);
		return EXIT_CODE_OK;
	}
	if (end == CLI_COPY_FAILED) {
		/* Nobody sees the console any more: end it in good order. */
		kill(s->pid, SIGTERM);
		cli_copy_drop(s->from_guest);
	}
	status = cli_spawn_reap(s);
	cli_spawn_relay(s);
	if (never_ran(s))
		cli_unmake_vm(cli, s->name);
	return status;
}

static int attached(const struct cli *cli, struct plan *p)
{
	struct err e = ERR_NONE;
	int status;

	term_signals();
	if (cli_spawn_start(&p->spawn, &e)) {
		cli_spawn_fini(&p->spawn);
		cli_unmake_vm(cli, p->spawn.name);
		cli_error(p->spawn.name, "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	cli_note(p->spawn.name, "started; Ctrl-] detaches");
	status = in_foreground(cli, p);
	cli_spawn_fini(&p->spawn);
	return status;
}

static int once(const struct cli *cli, struct plan *p)
{
	struct err e = ERR_NONE;

	cli_spawn_exec(&p->spawn, &e);
	cli_unmake_vm(cli, p->spawn.name);
	cli_error(p->spawn.name, "%s", e.text);
	return EXIT_CODE_FAILED;
}

static int run_planned(struct cli *cli, struct plan *p, struct vm_config *c)
{
	struct err e = ERR_NONE;

	if (cli_make_config(cli, c, &e))
		return cli_fail("run", &e);
	/* A run that nobody named is not kept. */
	if (p->once && !*c->name)
		p->spawn.remove = true;
	if (cli_make_vm(cli, c, &e)) {
		cli_error(NULL, "run: %s", e.text);
		return EXIT_CODE_FAILED;
	}
	p->spawn.name = c->name;
	if (p->once)
		return once(cli, p);
	return p->detach ? detached(cli, p) : attached(cli, p);
}

int cli_run_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	struct vm_config c;
	struct plan plan;
	int status;

	if (make_plan(cli, &plan, &e))
		return cli_fail_usage(&e);
	config_init(&c);
	status = run_planned(cli, &plan, &c);
	vm_config_fini(&c);
	return status;
}

static int create(const struct cli *cli, struct vm_config *c)
{
	struct err e = ERR_NONE;

	if (cli_make_config(cli, c, &e))
		return cli_fail("create", &e);
	if (cli_make_vm(cli, c, &e)) {
		cli_error(NULL, "create: %s", e.text);
		return EXIT_CODE_FAILED;
	}
	print_made(cli, c->name, "defined");
	return EXIT_CODE_OK;
}

int cli_create_command(struct cli *cli)
{
	struct vm_config c;
	int status;

	config_init(&c);
	status = create(cli, &c);
	vm_config_fini(&c);
	return status;
}
