/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber agent`: what the guest's agent is asked. Main thread. INV-1: what
 * the guest says reaches the terminal without control characters, but for
 * the output of a command that the person asked for, which goes through as
 * it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/base64.h"
#include "control/cli/cli.h"
#include "control/cli/cli_agent.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_status.h"
#include "control/cli/cli_vm.h"
#include "control/limits.h"

#define PATH	     "/v1/vm/agent"
#define EXEC	     "exec"
#define SLACK_MS     5000 /* for the VM's own answer that it took too long */
#define OUTPUT_BYTES (16u << 20)

static const struct ask {
	const char *name;
	const char *method, *target;
	uint32_t timeout_ms; /* as the VM's process has it */
	void (*print)(struct buf *out, const char *vm, const json_t *answer);
} asks[] = {
	{ "status", "GET", PATH, CLIENT_STATUS_MS, cli_agent_print_status },
	{ "ping", "POST", PATH "/ping", LIMIT_AGENT_CALL_MS,
	  cli_agent_print_ping },
	{ "info", "POST", PATH "/info", LIMIT_AGENT_CALL_MS,
	  cli_agent_print_info },
	{ "osinfo", "POST", PATH "/osinfo", LIMIT_AGENT_CALL_MS,
	  cli_agent_print_osinfo },
	{ "interfaces", "POST", PATH "/interfaces", LIMIT_AGENT_CALL_MS,
	  cli_agent_print_interfaces },
	{ "fsfreeze", "POST", PATH "/fsfreeze", LIMIT_AGENT_FREEZE_MS,
	  cli_agent_print_fsfreeze },
	{ "fsthaw", "POST", PATH "/fsthaw", LIMIT_AGENT_FREEZE_MS,
	  cli_agent_print_fsthaw },
	{ "set-time", "POST", PATH "/set-time", LIMIT_AGENT_CALL_MS,
	  cli_agent_print_set_time },
	{ EXEC, "POST", PATH "/exec", LIMIT_AGENT_EXEC_MS, NULL },
};

#define COUNT (sizeof(asks) / sizeof(asks[0]))

static const struct ask *find(const char *word)
{
	const char *names[COUNT];
	size_t i;

	for (i = 0; i < COUNT; i++) {
		names[i] = asks[i].name;
		if (strcmp(asks[i].name, word) == 0)
			return &asks[i];
	}
	cli_no_word("agent", word, names, COUNT);
	return NULL;
}

/* --- the request -------------------------------------------------------- */

static char *body_of(const struct cli *cli, const struct ask *ask, uint32_t ms)
{
	const char *reason = cli_value(cli, CLI_REASON);
	json_t *body, *words;
	char *text;
	size_t i;

	if (strcmp(ask->method, "GET") == 0)
		return NULL;
	body = json_object();
	if (reason)
		json_object_set_new(body, "reason", json_string(reason));
	if (ms)
		json_object_set_new(body, "timeout_ms", json_integer(ms));
	if (!ask->print) {
		words = json_array();
		for (i = 2; i < cli->nargs; i++)
			json_array_append_new(words, json_string(cli->args[i]));
		json_object_set_new(body, "command", words);
	}
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

/* Sends it; *answer is the caller's. */
static int request(const struct cli *cli, const struct ask *ask, uint32_t ms,
		   json_t **answer, struct err *e)
{
	char *body = body_of(cli, ask, ms);
	struct cli_vm vm;
	int r;

	r = cli_vm_open(&vm, &cli->home, cli->args[0], e);
	if (!r)
		r = cli_vm_ask(&vm, ask->method, ask->target, body,
			       (ms ? ms : ask->timeout_ms) + SLACK_MS, answer,
			       e);
	cli_vm_close(&vm);
	free(body);
	return r;
}

/* --- exec --------------------------------------------------------------- */

/* Writes what the command wrote there, byte by byte. */
static bool pass_on(const json_t *answer, const char *name, int fd)
{
	const json_t *text = json_object_get(answer, name);
	char key[32];
	struct buf raw;
	int r;

	buf_init(&raw, OUTPUT_BYTES);
	if (json_is_string(text)) {
		r = buf_put(&raw, json_string_value(text),
			    json_string_length(text));
	} else {
		snprintf(key, sizeof(key), "%s_base64", name);
		text = json_object_get(answer, key);
		r = base64_decode(&raw, json_string_value(text),
				  json_string_length(text));
	}
	if (r)
		cli_error(NULL, "%s can't be read", name);
	else
		r = file_write_all(fd, raw.data, raw.len);
	if (r && fd == STDOUT_FILENO)
		cli_out_broke(-r);
	buf_fini(&raw);
	return !r;
}

static void note_cut(const struct cli *cli, const json_t *answer,
		     const char *key, const char *what)
{
	if (json_is_true(json_object_get(answer, key)))
		cli_error(cli->args[0], "%s was cut by the guest's agent",
			  what);
}

/* As a shell has it: 128 + N for signal N. */
static int status_of(const json_t *answer)
{
	json_int_t status =
		json_integer_value(json_object_get(answer, "status"));
	json_int_t signal =
		json_integer_value(json_object_get(answer, "signal"));

	if (signal)
		return 128 + (int)(signal & 127);
	/* Windows has larger ones: none of them may become a 0. */
	if (status && !(status & 255))
		return EXIT_CODE_FAILED;
	return (int)(status & 255);
}

static int end_exec(const struct cli *cli, json_t *answer)
{
	int status = status_of(answer);
	bool good;

	if (!json_is_integer(json_object_get(answer, "status"))) {
		cli_error(cli->args[0], "the answer has no status");
		return EXIT_CODE_FAILED;
	}
	if (cli_has(cli, CLI_JSON))
		return cli_print_json(json_incref(answer)) ? status
							   : EXIT_CODE_FAILED;
	good = pass_on(answer, "stdout", STDOUT_FILENO);
	good = pass_on(answer, "stderr", STDERR_FILENO) && good;
	note_cut(cli, answer, "stdout_cut", "standard output");
	note_cut(cli, answer, "stderr_cut", "standard error");
	return good ? status : EXIT_CODE_FAILED;
}

/* --- all of them -------------------------------------------------------- */

static int end_ask(const struct cli *cli, const struct ask *ask, json_t *answer)
{
	struct buf out;
	bool good;

	if (!ask->print)
		return end_exec(cli, answer);
	if (cli_has(cli, CLI_JSON))
		good = cli_print_json(json_incref(answer));
	else {
		buf_init(&out, OUTPUT_BYTES);
		ask->print(&out, cli->args[0], answer);
		good = cli_print(&out);
		buf_fini(&out);
	}
	return good ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static const struct ask *check(const struct cli *cli, uint32_t *ms,
			       struct err *e)
{
	const struct ask *ask;

	ask = find(cli->nargs > 1 ? cli->args[1] : "status");
	if (!ask)
		return NULL;
	if (cli_seconds(cli, CLI_AGENT_TIMEOUT, ms, e)) {
		cli_fail_usage(e);
		return NULL;
	}
	if (ask->print && cli->nargs > 2)
		cli_error(NULL, "agent: \"%.64s\" is too much behind %s",
			  cli->args[2], ask->name);
	else if (!ask->print && cli->nargs < 3)
		cli_error(NULL, "agent: exec: which command? (amber agent NAME "
				"exec -- COMMAND [ARGUMENT...])");
	else
		return ask;
	return NULL;
}

int cli_agent_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	const struct ask *ask;
	json_t *answer = NULL;
	uint32_t ms = 0;
	int r, status;

	ask = check(cli, &ms, &e);
	if (!ask)
		return EXIT_CODE_USAGE;
	r = request(cli, ask, ms, &answer, &e);
	if (r) {
		status = cli_fail(cli->args[0], &e);
		if (r == -ETIMEDOUT)
			status = EXIT_CODE_TIMEOUT;
	} else {
		status = end_ask(cli, ask, answer);
	}
	json_decref(answer);
	return status;
}
