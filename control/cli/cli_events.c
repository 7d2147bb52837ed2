/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber events` (from the socket, as they come) and `amber journal` (from
 * the directory). Main thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_record.h"
#include "control/cli/cli_status.h"
#include "control/cli/cli_vm.h"
#include "control/cli/client_sse.h"
#include "control/cli/term.h"

#define JOURNAL_MS  2000
#define LINE_BYTES  (64u << 10)
#define LINES_MAX   1000000000
#define JOURNAL_MAX (64u << 20)

struct follow {
	bool json, colour;
	struct buf out; /* owned */
};

static int on_event(void *ctx, const struct client_sse_event *ev)
{
	struct follow *f = ctx;
	json_t *record = json_loadb(ev->data, ev->data_len, 0, NULL);

	if (f->json && record && strcmp(ev->kind, "gap") == 0)
		json_object_set_new(record, "kind", json_string("gap"));
	if (!json_is_object(record)) {
		json_decref(record);
		return 0;
	}
	if (f->json) {
		cli_print_json(record);
		return cli_out_failed();
	}
	if (strcmp(ev->kind, "gap") == 0)
		buf_printf(&f->out, "(some records are gone: too slow)\n");
	else
		cli_record_line(record, f->colour, &f->out);
	json_decref(record);
	cli_print(&f->out);
	return cli_out_failed();
}

static int stream(const struct cli *cli, struct cli_vm *vm, struct err *e)
{
	struct follow f = {
		.json = cli_has(cli, CLI_JSON),
		.colour = term_has_colour(STDOUT_FILENO),
	};
	struct client_sse sse;
	uint64_t since = 0;
	char target[64];
	int r;

	if (!vm->alive)
		return cli_vm_not_running(vm, e);
	r = cli_number(cli, CLI_SINCE, 0, INT64_MAX, &since, e);
	if (!r)
		r = client_open(&vm->client, vm->socket, e);
	if (r)
		return r;
	snprintf(target, sizeof(target), "/v1/events");
	if (cli_has(cli, CLI_SINCE))
		snprintf(target, sizeof(target), "/v1/events?since=%" PRIu64,
			 since);
	buf_init(&f.out, LINE_BYTES);
	client_sse_init(&sse, on_event, &f);
	r = client_stream(vm->client, target, client_sse_bytes, &sse, 0, e);
	client_sse_fini(&sse);
	buf_fini(&f.out);
	/* The VM's process has ended: that is how a stream ends. */
	if (r == -EPIPE)
		return 0;
	return r ? cli_vm_explain(vm, &vm->reply.problem, r, e) : 0;
}

int cli_events_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	struct cli_vm vm;
	int r;

	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = stream(cli, &vm, &e);
	cli_vm_close(&vm);
	return r ? cli_fail(cli->args[0], &e) : EXIT_CODE_OK;
}

static int print_journal(const struct cli *cli, json_t *records)
{
	bool colour = term_has_colour(STDOUT_FILENO);
	struct buf out;
	size_t i;

	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(records);
		return EXIT_CODE_OK;
	}
	buf_init(&out, JOURNAL_MAX);
	for (i = 0; i < json_array_size(records); i++) {
		cli_record_line(json_array_get(records, i), colour, &out);
		cli_print(&out);
	}
	buf_fini(&out);
	json_decref(records);
	return EXIT_CODE_OK;
}

/*
 * The log on disk may be a moment behind: the process of a VM that lives
 * knows the newest records. Without an answer the log has to do.
 */
static void add_newest(struct cli_vm *vm, json_t *records, uint64_t lines)
{
	size_t have = json_array_size(records);
	uint64_t last = 0;
	json_t *answer;
	char target[64];

	if (have)
		last = cli_status_number(json_array_get(records, have - 1),
					 "seq");
	snprintf(target, sizeof(target), "/v1/journal?since=%" PRIu64, last);
	if (!vm->alive || cli_vm_get(vm, target, JOURNAL_MS, &answer, NULL))
		return;
	json_array_extend(records, json_object_get(answer, "records"));
	json_decref(answer);
	while (lines && json_array_size(records) > lines)
		json_array_remove(records, 0);
}

int cli_journal_command(struct cli *cli)
{
	uint64_t since = 0, lines = 0;
	struct err e = ERR_NONE;
	json_t *records = NULL;
	struct cli_vm vm;
	int r;

	r = cli_number(cli, CLI_SINCE, 0, INT64_MAX, &since, &e);
	if (!r)
		r = cli_number(cli, CLI_LINES, 1, LINES_MAX, &lines, &e);
	if (r)
		return cli_fail_usage(&e);
	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = cli_record_load(vm.dir, since, lines, &records, &e);
	if (!r)
		add_newest(&vm, records, lines);
	cli_vm_close(&vm);
	return r ? cli_fail(cli->args[0], &e) : print_journal(cli, records);
}
