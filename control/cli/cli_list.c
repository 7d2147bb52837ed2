/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber list`. The VMs are asked on worker threads, printed by the main
 * thread. Invariant: one that hangs costs its own time-out, not the list.
 */
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"

#define LIST_MS	   1000 /* for one VM's answer */
#define LIST_BYTES (64u << 20)

static int ask(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct cli_vm vm;
	int code;

	(void)ctx;
	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (!code)
		r->json = cli_status(&vm, LIST_MS);
	cli_vm_close(&vm);
	if (!code && !r->json)
		code = err_set(&r->e, -ENOMEM, "out of memory");
	/* Deleted between the listing and the look: not listed. */
	return code == -ENOENT && !cli->nargs ? 0 : code;
}

static bool is_wanted(const struct cli *cli, const struct cli_result *r)
{
	const char *state = cli_value(cli, CLI_STATE);

	if (!r->json)
		return false;
	return !state || strcmp(cli_status_text(r->json, "state"), state) == 0;
}

static void print_json(const struct cli *cli, struct cli_batch *b)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < b->names.count; i++)
		if (is_wanted(cli, &b->results[i]))
			json_array_append(array, b->results[i].json);
	cli_print_json(array);
}

static void add_row(struct term_table *t, const json_t *s)
{
	const char *state = cli_status_text(s, "state");
	uint64_t memory = cli_status_number(s, "memory_bytes");
	char text[TERM_HUMAN_BYTES];

	term_table_add(t, TERM_PLAIN, "%s", cli_status_text(s, "name"));
	term_table_add(t, term_state_colour(state), "%s", state);
	term_table_add(t, TERM_PLAIN, "%llu",
		       (unsigned long long)cli_status_number(s, "cpus"));
	term_table_add(t, TERM_PLAIN, "%s",
		       memory ? term_bytes(memory, text) : "-");
	term_table_add(t, TERM_PLAIN, "%s", cli_status_uptime(s, text));
	term_table_add(t, TERM_DIM, "%s",
		       *cli_status_text(s, "error")
			       ? cli_status_text(s, "error")
			       : cli_status_text(s, "cause"));
}

static void print_table(const struct cli *cli, struct cli_batch *b)
{
	bool tty = isatty(STDOUT_FILENO);
	struct term_table t;
	unsigned int rows;
	struct buf out;
	size_t i;

	term_table_init(&t, "NAME STATE >CPUS >MEMORY >UPTIME CAUSE",
			term_has_colour(STDOUT_FILENO));
	if (tty)
		term_size(STDOUT_FILENO, &t.width, &rows);
	for (i = 0; i < b->names.count; i++)
		if (is_wanted(cli, &b->results[i]))
			add_row(&t, b->results[i].json);
	buf_init(&out, LIST_BYTES);
	if (term_table_print(&t, &out))
		cli_error(NULL, "out of memory");
	cli_print(&out);
	buf_fini(&out);
	term_table_fini(&t);
}

static void print_names(const struct cli *cli, struct cli_batch *b)
{
	struct buf out;
	size_t i;

	buf_init(&out, LIST_BYTES);
	for (i = 0; i < b->names.count; i++)
		if (is_wanted(cli, &b->results[i]))
			buf_printf(&out, "%s\n", b->results[i].name);
	cli_print(&out);
	buf_fini(&out);
}

static void print_failure(const struct cli *cli, struct cli_result *r)
{
	(void)cli;
	if (r->status)
		cli_error(r->name, "%s", r->e.text);
}

static int check_state(const struct cli *cli, struct err *e)
{
	const char *state = cli_value(cli, CLI_STATE);

	if (!state || vm_state_parse(state) >= 0 ||
	    strcmp(state, CLI_STATE_UNRESPONSIVE) == 0 ||
	    strcmp(state, CLI_STATE_BROKEN) == 0)
		return 0;
	return err_set(e, -EINVAL,
		       "list: --state %.64s: no such state (running, paused, "
		       "stopped, crashed...)",
		       state);
}

int cli_list_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	struct home_names names;
	struct cli_batch b;
	int status;

	if (check_state(cli, &e))
		return cli_fail_usage(&e);
	if (cli_select(cli, false, &names, &e))
		return cli_fail(NULL, &e);
	if (cli_batch_init(&b, cli, &names, &e)) {
		cli_batch_fini(&b);
		return cli_fail(NULL, &e);
	}
	cli_batch_run(&b, cli, ask, NULL, print_failure);
	if (cli_has(cli, CLI_JSON))
		print_json(cli, &b);
	else if (cli_has(cli, CLI_QUIET))
		print_names(cli, &b);
	else
		print_table(cli, &b);
	status = cli_batch_status(&b);
	cli_batch_fini(&b);
	return status;
}
