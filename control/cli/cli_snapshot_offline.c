/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot` on a VM without a process. Main thread. INV-1: only who
 * holds the VM's lock changes what is in its directory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/cli_spawn.h"
#include "control/config_json.h"
#include "control/limits.h"
#include "control/text.h"
#include "control/version.h"
#include "snapshot/quota.h"
#include "snapshot/restore.h"
#include "snapshot/store.h"
#include "snapshot/suspend.h"
#include "snapshot/take.h"

#define WARNING_BYTES 256

int cli_snapshot_lock(struct cli_vm *vm, struct err *e)
{
	int lock = vmdir_lock(vm->dir, vm->name, e), r;

	if (lock < 0)
		return lock;
	r = restore_recover(vm->dir, e);
	if (!r)
		return lock;
	close(lock);
	return r;
}

/* --- taking ---------------------------------------------------------- */

static int check_kind(const struct cli *cli, const struct cli_vm *vm,
		      struct err *e)
{
	const char *kind = cli_value(cli, CLI_KIND);

	if (kind && strcmp(kind, "disk") != 0)
		return err_set(e, -EINVAL,
			       "is not running: it has disks only (--kind "
			       "disk), no memory");
	if (suspend_exists(vm->dir))
		return err_set(e, -EBUSY,
			       "is suspended, and its memory wants its disks "
			       "as they are (amber start %s)",
			       vm->name);
	return 0;
}

int cli_snapshot_take_offline(struct cli_vm *vm, struct snapshot_order *o,
			      struct snapshot_meta *m, struct err *e)
{
	struct vm_config config;
	struct buf json;
	int r;

	config_init(&config);
	buf_init(&json, LIMIT_JSON_CONFIG_BYTES);
	r = config_load(&config, vm->dir, e);
	if (!r && !config.disks)
		r = err_set(e, -EINVAL, "has no disks");
	if (!r) {
		config_finish(&config, CONFIG_KEPT);
		config_to_json(&config, &json);
		o->config_json = buf_text(&json);
		o->version = AMBER_VERSION;
		r = snapshot_offline(vm->dir, &config, o, m, e);
	}
	buf_fini(&json);
	vm_config_fini(&config);
	return r;
}

static void print_taken(const struct cli *cli, const struct cli_vm *vm,
			const struct snapshot_meta *m)
{
	if (cli_has(cli, CLI_JSON))
		cli_print_json(json_pack("{s:b, s:o}", "changed", 1, "snapshot",
					 snapshot_meta_json(m)));
	else
		printf("%s: snapshot %s (%s): disks only\n", vm->name, m->name,
		       m->id);
}

static void warn(const struct cli_vm *vm)
{
	char text[WARNING_BYTES] = "";
	struct vm_config config;

	config_init(&config);
	if (!config_load(&config, vm->dir, NULL))
		quota_warning(vm->dir, &config, text, sizeof(text));
	vm_config_fini(&config);
	if (*text)
		cli_error(vm->name, "%s", text);
}

int cli_snapshot_create_offline(const struct cli *cli, struct cli_vm *vm,
				struct err *e)
{
	const char *name = cli->nargs > 2 ? cli->args[2] : "";
	const char *purpose = cli_value(cli, CLI_PURPOSE);
	struct snapshot_order o = { .is_pinned = cli_has(cli, CLI_PIN) };
	struct snapshot_meta m = { .disks = 0 };
	int lock, r = check_kind(cli, vm, e);

	if (r)
		return r;
	r = cli_snapshot_limits(cli, &o, e);
	if (r)
		return r;
	lock = cli_snapshot_lock(vm, e);
	if (lock < 0)
		return lock;
	text_copy(o.name, sizeof(o.name), name);
	text_copy(o.purpose, sizeof(o.purpose), purpose ? purpose : "");
	r = cli_snapshot_take_offline(vm, &o, &m, e);
	if (!r)
		print_taken(cli, vm, &m);
	if (!r)
		warn(vm);
	snapshot_meta_fini(&m);
	close(lock);
	return r;
}

/* --- going back ------------------------------------------------------ */

/* config.json as it was; nothing else. */
static int restore_config(const struct cli *cli, struct cli_vm *vm,
			  struct err *e)
{
	struct snapshot_meta m = { .disks = 0 };
	struct vm_config config;
	struct buf text;
	int set = -1, r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	config_init(&config);
	r = store_find(vm->dir, cli->args[2], &m, e);
	if (!r)
		r = set = store_open(vm->dir, m.id, e);
	if (r >= 0)
		r = file_read(set, STORE_CONFIG, LIMIT_JSON_CONFIG_BYTES - 1,
			      &text, e);
	if (!r)
		r = config_from_json(&config, buf_text(&text), text.len,
				     STORE_CONFIG, e);
	if (!r)
		r = file_commit(vm->dir, VMDIR_CONFIG, text.data, text.len,
				FILE_DURABLE, e);
	if (!r)
		printf("%s: configuration of snapshot %s (%s)\n", vm->name,
		       m.name, m.id);
	if (set >= 0)
		close(set);
	snapshot_meta_fini(&m);
	vm_config_fini(&config);
	buf_fini(&text);
	return r;
}

/* What the disks are now, if there are any. */
static int take_safety(struct cli_vm *vm, struct err *e)
{
	struct snapshot_order o = { .purpose = "pre-restore",
				    .is_safety = true };
	struct snapshot_meta m = { .disks = 0 };
	int r = cli_snapshot_take_offline(vm, &o, &m, e);

	snapshot_meta_fini(&m);
	if (r == -EINVAL || r == -ENOTSUP)
		return 0;
	return r ? err_prefix(e, "the snapshot before (--no-safety)") : 0;
}

static int prepare(const struct cli *cli, struct cli_vm *vm, bool is_config,
		   struct err *e)
{
	struct snapshot_meta m = { .disks = 0 };
	int lock = cli_snapshot_lock(vm, e), r;

	if (lock < 0)
		return lock;
	r = store_find(vm->dir, cli->args[2], &m, e);
	if (!r && is_config)
		r = restore_config(cli, vm, e);
	else if (!r && !cli_has(cli, CLI_NO_SAFETY))
		r = take_safety(vm, e);
	snapshot_meta_fini(&m);
	close(lock);
	return r;
}

/* Its process starts from the snapshot. */
static int start(const struct cli *cli, struct cli_vm *vm, struct err *e)
{
	struct cli_spawn s = {
		.home = &cli->home,
		.name = vm->name,
		.from = cli->args[2],
		.only = cli_value(cli, CLI_ONLY),
		.paused = cli_has(cli, CLI_PAUSED),
	};
	int r = cli_spawn_start(&s, e);

	if (!r)
		r = cli_spawn_started(&s, e);
	cli_spawn_fini(&s);
	if (!r && cli_has(cli, CLI_JSON))
		cli_print_json(json_pack("{s:b, s:s}", "changed", 1, "state",
					 s.paused ? "paused" : "running"));
	else if (!r)
		printf("%s: restored snapshot %s\n", vm->name, cli->args[2]);
	return r;
}

int cli_snapshot_restore_offline(const struct cli *cli, struct cli_vm *vm,
				 struct err *e)
{
	const char *only = cli_value(cli, CLI_ONLY);
	bool is_config = only && !strcmp(only, "config");
	int r = suspend_exists(vm->dir)
			? err_set(e, -EBUSY,
				  "is suspended: start it, or drop that (amber "
				  "start --cold %s)",
				  vm->name)
			: prepare(cli, vm, is_config, e);

	return r || is_config ? r : start(cli, vm, e);
}
