/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot OPERATION NAME [SNAPSHOT]`: what changes something is asked
 * of the VM's process. Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "snapshot/expires.h"
#include "snapshot/meta.h"

static const struct operation {
	const char *name;
	unsigned int min, max; /* arguments behind the name */
	const char *usage;
	int (*run)(const struct cli *cli, struct cli_vm *vm, int *status,
		   struct err *e);
	/* Before a VM is looked for: are the values right? Or NULL. */
	int (*check)(const struct cli *cli, struct err *e);
} operations[] = {
	{ "create", 1, 2, "NAME [SNAPSHOT]", cli_snapshot_create,
	  cli_snapshot_create_check },
	{ "list", 1, 1, "NAME", cli_snapshot_list, cli_snapshot_list_check },
	{ "show", 2, 2, "NAME SNAPSHOT", cli_snapshot_show, NULL },
	{ "diff", 3, 3, "NAME SNAPSHOT SNAPSHOT", cli_snapshot_diff, NULL },
	{ "restore", 2, 2, "NAME SNAPSHOT", cli_snapshot_restore,
	  cli_snapshot_restore_check },
	{ "rewind", 1, 1, "NAME", cli_snapshot_rewind, NULL },
	{ "verify", 1, 2, "NAME [SNAPSHOT]", cli_snapshot_verify,
	  cli_snapshot_try_check },
	{ "delete", 2, 2, "NAME SNAPSHOT", cli_snapshot_delete, NULL },
	{ "pin", 2, 2, "NAME SNAPSHOT", cli_snapshot_pin, NULL },
	{ "unpin", 2, 2, "NAME SNAPSHOT", cli_snapshot_unpin, NULL },
	{ "prune", 1, 1, "NAME", cli_snapshot_prune, cli_snapshot_prune_check },
	{ "export", 2, 3, "NAME SNAPSHOT [FILE|-]", cli_snapshot_export,
	  cli_snapshot_export_check },
	{ "import", 1, 2, "NAME [FILE|-]", cli_snapshot_import,
	  cli_snapshot_import_check },
	{ "label", 3, 2 + SNAPSHOT_LABELS_MAX,
	  "NAME SNAPSHOT KEY=VALUE|KEY-...", cli_snapshot_label,
	  cli_snapshot_label_check },
};

#define COUNT (sizeof(operations) / sizeof(operations[0]))

/* --- asking the VM's process ----------------------------------------- */

static void set_text(json_t *body, const char *key, const char *text)
{
	if (text)
		json_object_set_new(body, key, json_string(text));
}

static const char *snapshot_arg(const struct cli *cli)
{
	return cli->nargs > 2 ? cli->args[2] : NULL;
}

void cli_snapshot_print(const struct cli *cli, const struct cli_vm *vm,
			json_t *answer)
{
	const char *text = json_string_value(json_object_get(answer, "text"));

	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(answer);
		return;
	}
	printf("%s: %s\n", vm->name, text ? text : "done");
	text = json_string_value(json_object_get(answer, "warning"));
	if (text)
		cli_error(vm->name, "%s", text);
	json_decref(answer);
}

int cli_snapshot_ask(const struct cli *cli, struct cli_vm *vm,
		     const char *target, json_t *body, json_t **answer,
		     struct err *e)
{
	char *text;
	int r;

	set_text(body, "reason", cli_value(cli, CLI_REASON));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	r = cli_vm_ask(vm, "POST", target, text, 0, answer, e);
	free(text);
	return r;
}

int cli_snapshot_post(const struct cli *cli, struct cli_vm *vm,
		      const char *target, json_t *body, struct err *e)
{
	json_t *answer = NULL;
	int r = cli_snapshot_ask(cli, vm, target, body, &answer, e);

	if (!r)
		cli_snapshot_print(cli, vm, answer);
	return r;
}

int cli_snapshot_post_long(const struct cli *cli, struct cli_vm *vm,
			   const char *target, json_t *body, struct err *e)
{
	json_t *answer = NULL;
	int r = cli_snapshot_ask_long(cli, vm, target, body, &answer, e);

	if (!r)
		cli_snapshot_print(cli, vm, answer);
	return r;
}

json_t *cli_snapshot_labels(const struct cli *cli)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < cli->givens; i++)
		if (cli->given[i].id == CLI_SNAPSHOT_LABEL)
			json_array_append_new(all,
					      json_string(cli->given[i].value));
	return all;
}

int cli_snapshot_limits(const struct cli *cli, struct snapshot_order *o,
			struct err *e)
{
	const char *expires = cli_value(cli, CLI_EXPIRES);
	const char *pause = cli_value(cli, CLI_MAX_PAUSE);
	uint64_t us = 0;

	if (expires &&
	    expires_parse(&o->expires_ns, expires, clock_wall_ns(), e))
		return err_prefix(e, "snapshot create: --expires");
	if (pause && (!clock_us_parse(pause, &us) || !us))
		return err_set(e, -EINVAL,
			       "snapshot create: --max-pause: '%.40s' is no "
			       "time such as 500us, 50ms or 1s",
			       pause);
	o->max_pause_ns = us * NS_PER_US;
	return 0;
}

int cli_snapshot_create_check(const struct cli *cli, struct err *e)
{
	struct snapshot_order o = { .labels = 0 };

	return cli_snapshot_limits(cli, &o, e);
}

int cli_snapshot_create(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	struct snapshot_order o = { .labels = 0 };
	json_t *body;
	int r;

	(void)status;
	if (!vm->alive)
		return cli_snapshot_create_offline(cli, vm, e);
	r = cli_snapshot_limits(cli, &o, e);
	if (r)
		return r;
	body = json_object();
	set_text(body, "expires", cli_value(cli, CLI_EXPIRES));
	json_object_set_new(
		body, "max_pause_us",
		json_integer((json_int_t)(o.max_pause_ns / NS_PER_US)));
	set_text(body, "name", snapshot_arg(cli));
	set_text(body, "kind", cli_value(cli, CLI_KIND));
	set_text(body, "purpose", cli_value(cli, CLI_PURPOSE));
	if (cli_has(cli, CLI_SNAPSHOT_LABEL))
		json_object_set_new(body, "labels", cli_snapshot_labels(cli));
	if (cli_has(cli, CLI_PIN))
		json_object_set_new(body, "pin", json_true());
	if (cli_has(cli, CLI_INCREMENTAL))
		json_object_set_new(body, "incremental", json_true());
	if (cli_has(cli, CLI_QUIESCE))
		json_object_set_new(body, "quiesce", json_true());
	return cli_snapshot_post_long(cli, vm, "/v1/vm/snapshot", body, e);
}

int cli_snapshot_restore(const struct cli *cli, struct cli_vm *vm, int *status,
			 struct err *e)
{
	json_t *body;

	(void)status;
	if (cli_has(cli, CLI_AS))
		return cli_snapshot_restore_as(cli, vm, e);
	if (!vm->alive)
		return cli_snapshot_restore_offline(cli, vm, e);
	body = json_pack("{s:s}", "snapshot", snapshot_arg(cli));
	set_text(body, "only", cli_value(cli, CLI_ONLY));
	if (cli_has(cli, CLI_PAUSED))
		json_object_set_new(body, "paused", json_true());
	if (cli_has(cli, CLI_NO_SAFETY))
		json_object_set_new(body, "safety", json_false());
	if (cli_has(cli, CLI_FORCE_OLD))
		json_object_set_new(body, "force", json_true());
	return cli_snapshot_post_long(cli, vm, "/v1/vm/restore", body, e);
}

int cli_snapshot_rewind(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	json_t *body;

	if (cli_has(cli, CLI_RUNS))
		return cli_snapshot_loop(cli, vm, status, e);
	body = json_object();
	if (cli_has(cli, CLI_PAUSED))
		json_object_set_new(body, "paused", json_true());
	return cli_snapshot_post(cli, vm, "/v1/vm/rewind", body, e);
}

/* --- which ----------------------------------------------------------- */

static const struct operation *find(const char *word)
{
	const char *names[COUNT];
	size_t i;

	for (i = 0; i < COUNT; i++) {
		names[i] = operations[i].name;
		if (strcmp(names[i], word) == 0)
			return &operations[i];
	}
	cli_no_word("snapshot", word, names, COUNT);
	return NULL;
}

int cli_snapshot_command(struct cli *cli)
{
	const struct operation *o = find(cli->args[0]);
	size_t n = cli->nargs - 1;
	struct err e = ERR_NONE;
	int status = EXIT_CODE_OK, r;
	struct cli_vm vm;

	if (!o)
		return EXIT_CODE_USAGE;
	if (n < o->min || n > o->max) {
		err_set(&e, -EINVAL, "snapshot %s: takes %s", o->name,
			o->usage);
		return cli_fail_usage(&e);
	}
	if (o->check && o->check(cli, &e))
		return cli_fail_usage(&e);
	r = cli_vm_open(&vm, &cli->home, cli->args[1], &e);
	if (!r)
		r = o->run(cli, &vm, &status, &e);
	cli_vm_close(&vm);
	if (!r)
		return status;
	cli_error(cli->args[1], "%s", e.text);
	return r == -ETIMEDOUT ? EXIT_CODE_TIMEOUT : EXIT_CODE_FAILED;
}
