/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber balloon`, `amber limit`, `amber link`: devices of a running VM.
 * Main thread; one VM.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_vm.h"
#include "control/config_table.h"
#include "control/text.h"

#define CHANGE_MS 5000

/* Posts the body (taken over) and prints what the VM's process says. */
static int post(const struct cli *cli, const char *target, json_t *body)
{
	const char *reason = cli_value(cli, CLI_REASON);
	struct err e = ERR_NONE;
	json_t *answer = NULL;
	struct cli_vm vm;
	char *text;
	int r;

	if (reason)
		json_object_set_new(body, "reason", json_string(reason));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return EXIT_CODE_FAILED;
	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = cli_vm_ask(&vm, "POST", target, text, CHANGE_MS, &answer,
			       &e);
	free(text);
	cli_vm_close(&vm);
	if (r)
		return cli_fail(cli->args[0], &e);
	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(answer);
		return EXIT_CODE_OK;
	}
	printf("%s: %s\n", cli->args[0],
	       json_string_value(json_object_get(answer, "text")));
	json_decref(answer);
	return EXIT_CODE_OK;
}

int cli_balloon_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	uint64_t bytes;

	if (config_parse_bytes(cli->args[1], &bytes, &e))
		return cli_fail_usage(&e);
	return post(cli, "/v1/vm/balloon",
		    json_pack("{s:I}", "memory_bytes", (json_int_t)bytes));
}

int cli_link_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	bool up = strcmp(cli->args[2], "up") == 0;

	if (!up && strcmp(cli->args[2], "down") != 0) {
		err_set(&e, -EINVAL, "link: '%.32s' is not up or down",
			cli->args[2]);
		return cli_fail_usage(&e);
	}
	return post(cli, "/v1/vm/link",
		    json_pack("{s:s, s:b}", "device", cli->args[1], "up", up));
}

/* "bps=10M" or "ops=500" */
static int add_limit(json_t *body, const char *word, struct err *e)
{
	const char *equals = strchr(word, '=');
	char key[8] = "";
	uint64_t value;
	int r;

	if (equals && equals - word < (long)sizeof(key))
		snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
	if (strcmp(key, "bps") != 0 && strcmp(key, "ops") != 0)
		return err_set(e, -EINVAL,
			       "limit: '%.32s' is not bps=SIZE or ops=N", word);
	r = config_parse_bytes(equals + 1, &value, e);
	if (!r)
		json_object_set_new(body, key, json_integer((json_int_t)value));
	return r;
}

int cli_limit_command(struct cli *cli)
{
	json_t *body = json_pack("{s:s}", "device", cli->args[1]);
	struct err e = ERR_NONE;
	int i, r = 0;

	for (i = 2; i < (int)cli->nargs && !r; i++)
		r = add_limit(body, cli->args[i], &e);
	if (r) {
		json_decref(body);
		return cli_fail_usage(&e);
	}
	return post(cli, "/v1/vm/limit", body);
}
