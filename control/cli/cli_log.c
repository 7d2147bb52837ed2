/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber log`. Main thread. The log on disk may be a moment behind a guest
 * that runs: when the VM's process still holds all that it ever printed,
 * that is what is shown.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/cli/cli.h"
#include "control/cli/cli_copy.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_record.h"
#include "control/cli/cli_vm.h"
#include "control/cli/client_attach.h"
#include "control/json_out.h"
#include "control/limits.h"

#define LOG_MS	  5000
#define LOG_BYTES (2 * LIMIT_CONSOLE_LOG_BYTES + 65536u)
#define LINES_MAX 1000000000

/* What is shown, collected for --json, else printed as it comes. */
struct sink {
	bool collects;
	struct buf text; /* owned */
};

static int put(void *ctx, const char *bytes, size_t len)
{
	struct sink *sink = ctx;

	if (sink->collects)
		return buf_put(&sink->text, bytes, len);
	fwrite(bytes, 1, len, stdout);
	return cli_out_failed();
}

/*
 * Asks the VM's process for its console. Returns true when it holds all
 * that the log has, so that its answer can stand for the log. *position is
 * where new output begins.
 */
static bool ask_console(struct cli_vm *vm, uint64_t *position)
{
	const struct client_reply *reply = &vm->reply;

	if (!vm->alive ||
	    cli_vm_request(vm, "GET", "/v1/vm/console", NULL, LOG_MS, NULL))
		return false;
	*position = reply->position;
	return reply->has_position && reply->body.len == reply->position &&
	       cli_log_bytes(vm->dir, VMDIR_CONSOLE_LOG) <= reply->position;
}

/* Its process has ended since it was asked: the log has the rest of it. */
static int print_rest(struct cli_vm *vm, struct sink *sink, uint64_t shown,
		      struct err *e)
{
	int r;

	cli_vm_await_end(vm, LOG_MS);
	r = cli_log_rest(vm->dir, VMDIR_CONSOLE_LOG, shown, put, sink, e);
	return r == -ENOENT ? 0 : r;
}

/*
 * Prints what comes after position, until the VM's process ends. Of the log
 * on disk `shown` bytes were printed before.
 */
static int follow(struct cli_vm *vm, struct sink *sink, uint64_t position,
		  uint64_t shown, struct err *e)
{
	struct client_attach_options options = {
		.readonly = true,
		.has_since = true,
		.since = position,
	};
	struct client_attach a = { .fd = -1 };
	struct cli_copy c;
	int r = client_attach(&a, vm->socket, &options, e);

	if (client_is_gone(r))
		return print_rest(vm, sink, shown, e);
	if (r)
		return cli_vm_explain(vm, &a.problem, r, e);
	put(sink, (const char *)a.early.data, a.early.len);
	c = (struct cli_copy){ .from_guest = a.fd, .to_guest = -1 };
	cli_copy_run(&c);
	client_attach_end(&a);
	return 0;
}

static int console_log(const struct cli *cli, struct cli_vm *vm,
		       struct sink *sink, struct err *e)
{
	uint64_t lines = 0, position = 0, shown;
	size_t from = 0;
	int r;

	r = cli_number(cli, CLI_LINES, 1, LINES_MAX, &lines, e);
	if (r)
		return r;
	if (ask_console(vm, &position)) {
		const char *bytes = buf_text(&vm->reply.body);

		if (lines)
			from = cli_tail(bytes, vm->reply.body.len, lines);
		r = put(sink, bytes + from, vm->reply.body.len - from);
		shown = position;
	} else {
		shown = cli_log_bytes(vm->dir, VMDIR_CONSOLE_LOG);
		r = cli_log_copy(vm->dir, VMDIR_CONSOLE_LOG, lines, put, sink,
				 e);
		/* A VM that has printed nothing has an empty log. */
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		return r;
	if (cli_has(cli, CLI_FOLLOW) && vm->alive && !cli_out_failed())
		return follow(vm, sink, position, shown, e);
	return 0;
}

/* A report of the process if it has one, else of the directory. */
static int report(struct cli_vm *vm, struct sink *sink, const char *target,
		  const char *file, const char *none, struct err *e)
{
	struct buf text;
	int logs, r;

	if (vm->alive &&
	    cli_vm_request(vm, "GET", target, NULL, LOG_MS, NULL) == 0) {
		put(sink, (const char *)vm->reply.body.data,
		    vm->reply.body.len);
		return 0;
	}
	logs = file_open_dir(vm->dir, VMDIR_LOGS, e);
	if (logs < 0)
		return logs;
	buf_init(&text, LIMIT_REPORT_BYTES);
	r = file_read(logs, file, LIMIT_REPORT_BYTES, &text, e);
	close(logs);
	if (r == -ENOENT)
		err_set(e, r, "%s", none);
	else if (!r)
		put(sink, (const char *)text.data, text.len);
	buf_fini(&text);
	return r;
}

static int show(const struct cli *cli, struct cli_vm *vm, struct sink *sink,
		struct err *e)
{
	if (cli_has(cli, CLI_BOOT))
		return report(vm, sink, "/v1/vm/boot", VMDIR_BOOT_LOG,
			      "was never booted", e);
	if (cli_has(cli, CLI_CRASH))
		return report(vm, sink, "/v1/vm/crash", VMDIR_CRASH_LOG,
			      "has never crashed", e);
	return console_log(cli, vm, sink, e);
}

/* {"name", "text"}: bytes that are no UTF-8 become U+FFFD. */
static void print_json(const char *name, struct sink *sink)
{
	struct json_out j;
	struct buf out;

	buf_init(&out, 8 * LOG_BYTES);
	json_out_init(&j, &out, false);
	jout_open(&j, NULL, '{');
	jout_text(&j, "name", name);
	jout_text_n(&j, "text", buf_text(&sink->text), sink->text.len);
	jout_close(&j, '}');
	buf_puts(&out, "\n");
	cli_print(&out);
	buf_fini(&out);
}

static int check_together(const struct cli *cli)
{
	bool boot = cli_has(cli, CLI_BOOT), crash = cli_has(cli, CLI_CRASH);
	bool parts = cli_has(cli, CLI_FOLLOW) || cli_has(cli, CLI_LINES);

	if ((boot && crash) || ((boot || crash) && parts)) {
		cli_error(NULL, "log: --boot and --crash stand alone");
		return EXIT_CODE_USAGE;
	}
	if (cli_has(cli, CLI_JSON) && cli_has(cli, CLI_FOLLOW)) {
		cli_error(NULL, "log: --json and --follow contradict each "
				"other");
		return EXIT_CODE_USAGE;
	}
	return EXIT_CODE_OK;
}

int cli_log_command(struct cli *cli)
{
	struct sink sink = { .collects = cli_has(cli, CLI_JSON) };
	struct err e = ERR_NONE;
	struct cli_vm vm;
	int r;

	if (check_together(cli))
		return EXIT_CODE_USAGE;
	buf_init(&sink.text, LOG_BYTES);
	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = show(cli, &vm, &sink, &e);
	if (r >= 0 && sink.collects)
		print_json(cli->args[0], &sink);
	cli_vm_close(&vm);
	buf_fini(&sink.text);
	return r < 0 ? cli_fail(cli->args[0], &e) : EXIT_CODE_OK;
}
