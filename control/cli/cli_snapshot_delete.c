/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot delete`: asked of the VM's process, or done here under the
 * lock of one that has none. Main thread.
 */
#include <stdio.h>
#include <unistd.h>

#include "control/cli/cli_disk.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "snapshot/remove.h"

#define TEXT_BYTES 512

/* --- merging --------------------------------------------------------- */

/* 1: one was merged, 0: there is nothing to merge. */
static int merge_one(int dir, const struct vm_config *config,
		     struct tidy_done *done, struct err *e)
{
	struct tidy_merge merge;
	struct layer_map map;
	int r = layer_map_read(&map, dir, config, e);

	if (!r)
		r = tidy_remove(&map, done, e);
	if (!r && tidy_next(&map, &merge)) {
		r = tidy_merge(&merge, cli_disk_progress, NULL, e);
		if (!r)
			done->merged++;
		r = r ? r : 1;
	}
	layer_map_fini(&map);
	return r;
}

void cli_snapshot_merge(const struct cli_vm *vm, const struct vm_config *config,
			bool says)
{
	struct tidy_done done = { .removed = 0 };
	struct err e = ERR_NONE;
	char text[TEXT_BYTES];
	int r;

	cli_disk_progress_begin("merging layers");
	do
		r = merge_one(vm->dir, config, &done, &e);
	while (r > 0);
	cli_disk_progress_end();
	tidy_describe(&done, text, sizeof(text));
	if (*text && says)
		printf("%s: %s\n", vm->name, text);
	if (r)
		cli_error(vm->name,
			  "%s; the next start goes on with merging layers",
			  e.text);
}

/* --- without a process ------------------------------------------------- */

static int delete_locked(const struct cli *cli, struct cli_vm *vm,
			 const struct vm_config *config, struct err *e)
{
	const struct removal order = { cli->args[2], cli_has(cli, CLI_CHILDREN),
				       cli_has(cli, CLI_FORCE_OLD) };
	struct tidy_done done = { .removed = 0 };
	char text[TEXT_BYTES];
	int r = remove_snapshots(vm->dir, config, &order, &done, text,
				 sizeof(text), e);

	if (r)
		return r;
	printf("%s: %s\n", vm->name, text);
	if (*done.why)
		cli_error(vm->name, "layers stay: %s", done.why);
	if (done.waiting && !cli_has(cli, CLI_NO_MERGE))
		cli_snapshot_merge(vm, config, true);
	return 0;
}

/* Only who holds the lock may touch what is in the directory. */
static int delete_offline(const struct cli *cli, struct cli_vm *vm,
			  struct err *e)
{
	int lock = cli_snapshot_lock(vm, e), r;
	struct vm_config config;

	if (lock < 0)
		return lock;
	config_init(&config);
	r = config_load(&config, vm->dir, e);
	if (!r)
		config_finish(&config, CONFIG_KEPT);
	if (!r)
		r = delete_locked(cli, vm, &config, e);
	vm_config_fini(&config);
	close(lock);
	return r;
}

int cli_snapshot_delete(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	json_t *body;

	(void)status;
	if (!vm->alive)
		return delete_offline(cli, vm, e);
	body = json_pack("{s:s}", "snapshot", cli->args[2]);
	if (cli_has(cli, CLI_FORCE_OLD))
		json_object_set_new(body, "force", json_true());
	if (cli_has(cli, CLI_CHILDREN))
		json_object_set_new(body, "children", json_true());
	return cli_snapshot_post(cli, vm, "/v1/vm/snapshot/delete", body, e);
}
