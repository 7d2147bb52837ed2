/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot pin|unpin|label`: by the VM's process, or here under
 * the lock of a VM that has none. Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/text.h"
#include "snapshot/change.h"

static int change_offline(const struct cli *cli, struct cli_vm *vm,
			  const struct snapshot_change *change, struct err *e)
{
	int lock = cli_snapshot_lock(vm, e), r;
	struct snapshot_changed done;

	if (lock < 0)
		return lock;
	r = snapshot_change(vm->dir, change, &done, e);
	if (!r)
		cli_snapshot_print(cli, vm,
				   json_pack("{s:b, s:s, s:o*}", "changed",
					     done.changed, "text", done.text,
					     "snapshot", done.set));
	close(lock);
	return r;
}

/* What the row of the API takes. */
static json_t *body_of(const struct cli *cli,
		       const struct snapshot_change *change)
{
	json_t *body = json_pack("{s:s}", "snapshot", change->what), *labels;
	size_t i;

	if (change->kind != CHANGE_LABEL)
		return body;
	labels = json_array();
	for (i = 3; i < cli->nargs; i++)
		json_array_append_new(labels, json_string(cli->args[i]));
	json_object_set_new(body, "labels", labels);
	return body;
}

static int run(const struct cli *cli, struct cli_vm *vm,
	       struct snapshot_change *change, struct err *e)
{
	static const char *const target[] = {
		"/v1/vm/snapshot/pin",
		"/v1/vm/snapshot/unpin",
		"/v1/vm/snapshot/label",
	};

	if (strlen(cli->args[2]) > SNAPSHOT_NAME_MAX)
		return err_set(e, -ENOENT, "no snapshot '%.64s...'",
			       cli->args[2]);
	text_copy(change->what, sizeof(change->what), cli->args[2]);
	if (!vm->alive)
		return change_offline(cli, vm, change, e);
	return cli_snapshot_post(cli, vm, target[change->kind],
				 body_of(cli, change), e);
}

int cli_snapshot_pin(const struct cli *cli, struct cli_vm *vm, int *status,
		     struct err *e)
{
	struct snapshot_change change = { .kind = CHANGE_PIN };

	(void)status;
	return run(cli, vm, &change, e);
}

int cli_snapshot_unpin(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e)
{
	struct snapshot_change change = { .kind = CHANGE_UNPIN };

	(void)status;
	return run(cli, vm, &change, e);
}

/* The labels are behind VM and snapshot. */
static int parse_labels(const struct cli *cli, struct snapshot_change *change,
			struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 3; i < cli->nargs && !r; i++)
		r = label_change_parse(&change->label[change->labels++],
				       cli->args[i], e);
	return r;
}

int cli_snapshot_label_check(const struct cli *cli, struct err *e)
{
	struct snapshot_change change = { .labels = 0 };

	return parse_labels(cli, &change, e) ? err_prefix(e, "snapshot label")
					     : 0;
}

int cli_snapshot_label(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e)
{
	struct snapshot_change change = { .kind = CHANGE_LABEL };
	int r = parse_labels(cli, &change, e);

	(void)status;
	return r ? r : run(cli, vm, &change, e);
}
