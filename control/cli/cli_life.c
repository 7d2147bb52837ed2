/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause, resume, shutdown, stop, reboot, reset, powerbutton, nmi. Worker
 * threads, one VM each. Invariant: a VM without a process is answered from
 * the lifecycle table, as its process would.
 */
#include "control/cli/cli_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"

int cli_life_check(const struct cli *cli, struct err *e)
{
	const char *reason = cli_value(cli, CLI_REASON);
	uint32_t ms;

	if (reason && strlen(reason) > VM_REASON_MAX)
		return err_set(e, -EINVAL,
			       "%s: --reason is longer than %d bytes",
			       cli->command->name, VM_REASON_MAX);
	return cli_seconds(cli, CLI_RUNG_TIMEOUT, &ms, e);
}

/* The body of the request; NULL when memory is short. To be freed. */
static char *request_body(const struct cli *cli)
{
	const char *reason = cli_value(cli, CLI_REASON);
	json_t *body = json_object();
	uint32_t ms = 0;
	char *text;

	if (reason)
		json_object_set_new(body, "reason", json_string(reason));
	if (cli_has(cli, CLI_PAUSED))
		json_object_set_new(body, "paused", json_true());
	if (cli_has(cli, CLI_VERIFIED))
		json_object_set_new(body, "verified", json_true());
	if (cli_has(cli, CLI_EMERGENCY))
		json_object_set_new(body, "emergency", json_true());
	if (cli_has(cli, CLI_FORCE_RUNG))
		json_object_set_new(body, "force", json_true());
	if (!cli_seconds(cli, CLI_RUNG_TIMEOUT, &ms, NULL) && ms)
		json_object_set_new(body, "timeout_ms", json_integer(ms));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

/* "paused", "already paused", "power button pressed"... */
static const char *done_words(enum vm_command command, bool changed,
			      const char *state, char *text, size_t size)
{
	static const char *const verbs[VM_COMMAND_COUNT] = {
		[VM_CMD_REBOOT] = "rebooted",
		[VM_CMD_RESET] = "reset",
		[VM_CMD_POWERBUTTON] = "power button pressed",
		[VM_CMD_NMI] = "NMI sent",
	};

	if (!changed && !verbs[command])
		snprintf(text, size, "already %s", state);
	else if (!verbs[command])
		snprintf(text, size, "%s", state);
	else if (command == VM_CMD_RESET || command == VM_CMD_REBOOT)
		snprintf(text, size, "%s, %s", verbs[command], state);
	else
		snprintf(text, size, "%s", verbs[command]);
	return text;
}

void cli_life_result(const struct cli *cli, struct cli_result *r,
		     enum vm_command command, bool changed, const char *state,
		     uint64_t duration_us, const char *detail)
{
	char words[64], took[TERM_HUMAN_BYTES];

	if (cli_has(cli, CLI_JSON)) {
		r->json = json_pack("{s:s, s:b, s:s, s:I}", "name", r->name,
				    "changed", changed, "state", state,
				    "duration_us", (json_int_t)duration_us);
		if (r->json && detail)
			json_object_set_new(r->json, "text",
					    json_string(detail));
		return;
	}
	buf_printf(&r->out, "%s: %s", r->name,
		   done_words(command, changed, state, words, sizeof(words)));
	if (changed && detail)
		buf_printf(&r->out, " (%s, %s)", detail,
			   term_duration_us(duration_us, took));
	else if (changed)
		buf_printf(&r->out, " (%s)",
			   term_duration_us(duration_us, took));
	buf_puts(&r->out, "\n");
}

static const char *member(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

/* The answer of the VM's process into r. */
static int take_answer(const struct cli *cli, struct cli_vm *vm,
		       enum vm_command command, struct cli_result *r)
{
	json_t *answer = json_loadb((const char *)vm->reply.body.data,
				    vm->reply.body.len, 0, NULL);
	const char *state = member(answer, "state");
	const char *rung = member(answer, "rung");

	if (!state) {
		json_decref(answer);
		return err_set(&r->e, -EBADMSG, "%s: an answer without state",
			       vm_command_text(command));
	}
	if (cli_has(cli, CLI_JSON)) {
		r->json = json_pack("{s:s}", "name", r->name);
		json_object_update(r->json, answer);
	} else {
		json_int_t us = json_integer_value(
			json_object_get(answer, "duration_us"));

		cli_life_result(
			cli, r, command,
			json_is_true(json_object_get(answer, "changed")), state,
			us > 0 ? (uint64_t)us : 0,
			rung ? rung : member(answer, "text"));
	}
	json_decref(answer);
	return 0;
}

int cli_life_post(const struct cli *cli, struct cli_vm *vm,
		  enum vm_command command, unsigned int timeout_ms,
		  struct cli_result *r)
{
	char *body = request_body(cli);
	char target[64];
	int code;

	if (!body)
		return err_set(&r->e, -ENOMEM, "out of memory");
	snprintf(target, sizeof(target), "/v1/vm/%s", vm_command_text(command));
	code = cli_vm_request(vm, "POST", target, body, timeout_ms, &r->e);
	free(body);
	if (!code)
		code = take_answer(cli, vm, command, r);
	if (!code && (command == VM_CMD_STOP || command == VM_CMD_SHUTDOWN ||
		      command == VM_CMD_SUSPEND))
		cli_vm_settle(vm);
	return code;
}

/* A VM without a process: what would its lifecycle say? */
static int offline(const struct cli *cli, struct cli_vm *vm,
		   enum vm_command command, struct cli_result *r)
{
	const struct lifecycle_rule *rule;
	struct record record;
	int code = cli_vm_record(vm, &record, &r->e);

	if (code)
		return code;
	rule = lifecycle_rule(record.state, command);
	if (rule->verdict != LIFECYCLE_ALREADY)
		return cli_vm_not_running(vm, &r->e);
	cli_life_result(cli, r, command, false, vm_state_text(record.state), 0,
			NULL);
	return 0;
}

static int life(const struct cli *cli, void *ctx, struct cli_result *r)
{
	enum vm_command command = *(const enum vm_command *)ctx;
	struct cli_vm vm;
	int code;

	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	/* A ladder takes what it takes: no deadline but its own. */
	if (!code)
		code = vm.alive ? cli_life_post(cli, &vm, command, 0, r)
				: -ESRCH;
	/* Gone meanwhile, or long ago. */
	if (code == -ESRCH && !vm.alive)
		code = offline(cli, &vm, command, r);
	cli_vm_close(&vm);
	return code;
}

int cli_life_command(struct cli *cli)
{
	int found = vm_command_parse(cli->command->name);
	enum vm_command command = (enum vm_command)found;
	struct err e = ERR_NONE;

	if (found < 0)
		return EXIT_CODE_FAILED;
	if (cli_life_check(cli, &e))
		return cli_fail_usage(&e);
	return cli_batch_command(cli, true, life, &command);
}
