/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation of the VM's process that a person waits for: a bar on the
 * terminal, and Ctrl-C ends it. Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli_disk.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/cli_status.h"

#define ASK_MS	  10000
#define FRAME_MS  100 /* the bar is drawn so often; its end is told at once */
#define LONG_MS	  60000
#define ANSWER_MS (LONG_MS + ASK_MS)

static bool is_running(const json_t *op)
{
	return !strcmp(cli_status_text(op, "state"), "running");
}

static unsigned int permille_of(const json_t *op)
{
	const json_t *p = json_object_get(op, "progress");
	uint64_t done = cli_status_number(p, "done");
	uint64_t total = cli_status_number(p, "total");

	return total ? (unsigned int)(done * 1000 / total) : 0;
}

static int look(struct cli_vm *vm, uint64_t id, unsigned int wait_ms,
		json_t **op, struct err *e)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/ops/%llu?wait_ms=%u",
		 (unsigned long long)id, wait_ms);
	return cli_vm_get(vm, target, ANSWER_MS, op, e);
}

static int cancel(struct cli_vm *vm, uint64_t id, struct err *e)
{
	char target[64];
	json_t *op;
	int r;

	snprintf(target, sizeof(target), "/v1/ops/%llu/cancel",
		 (unsigned long long)id);
	r = cli_vm_ask(vm, "POST", target, "{\"reason\":\"Ctrl-C\"}", ASK_MS,
		       &op, e);
	if (!r)
		json_decref(op);
	return r;
}

/* *op: as it begun; as it ended. */
static int await(struct cli_vm *vm, json_t **op, struct err *e)
{
	uint64_t id = cli_status_number(*op, "id");
	bool is_cancelled = false;
	int r = 0;

	cli_disk_progress_begin(vm->name);
	while (!r && is_running(*op)) {
		json_decref(*op);
		*op = NULL;
		r = look(vm, id, is_cancelled ? LONG_MS : FRAME_MS, op, e);
		if (r || !is_running(*op) || is_cancelled)
			continue;
		if (cli_disk_progress(NULL, permille_of(*op))) {
			is_cancelled = true;
			r = cancel(vm, id, e);
		}
	}
	cli_disk_progress_end();
	return r;
}

static int conclude(const json_t *op, json_t **answer, struct err *e)
{
	const json_t *error = json_object_get(op, "error");

	if (error)
		return err_set(e, -EREMOTEIO, "%s",
			       cli_status_text(error, "detail"));
	*answer = json_incref(json_object_get(op, "answer"));
	return *answer ? 0 : err_set(e, -EBADMSG, "an operation without end");
}

int cli_snapshot_ask_long(const struct cli *cli, struct cli_vm *vm,
			  const char *target, json_t *body, json_t **answer,
			  struct err *e)
{
	json_t *op = NULL;
	int r;

	if (!isatty(STDERR_FILENO))
		return cli_snapshot_ask(cli, vm, target, body, answer, e);
	json_object_set_new(body, "background", json_true());
	r = cli_snapshot_ask(cli, vm, target, body, &op, e);
	if (!r)
		r = await(vm, &op, e);
	if (!r)
		r = conclude(op, answer, e);
	json_decref(op);
	return r;
}
