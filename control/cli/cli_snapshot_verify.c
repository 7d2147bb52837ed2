/* SPDX-License-Identifier: Apache-2.0 */
/* `amber snapshot verify`: reads all of it, whether the VM runs or not. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "snapshot/store.h"
#include "snapshot/verify.h"

static json_t *json_of(const struct snapshot_meta *m,
		       const struct verify_figures *f, uint64_t us,
		       const char *error)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:i, s:i, s:I, s:I}", "snapshot",
			 m->name, "id", m->id, "whole", !*error, "error", error,
			 "memory_images", (int)f->images, "layers",
			 (int)f->layers, "leaks", (json_int_t)f->leaks,
			 "duration_us", (json_int_t)us);
}

static void say(const struct cli_vm *vm, const struct snapshot_meta *m,
		const struct verify_figures *f, uint64_t us, const char *error)
{
	char took[TERM_HUMAN_BYTES];

	if (*error)
		cli_error(vm->name, "snapshot %s (%s) is damaged: %s", m->name,
			  m->id, error);
	else
		printf("%s: snapshot %s (%s) is whole (memory images: %u, "
		       "layers: %u, %s)\n",
		       vm->name, m->name, m->id, f->images, f->layers,
		       term_duration_us(us, took));
}

/* Prints the outcome. *bad: one more, unless it is whole and comes back. */
static int verify_one(const struct cli *cli, struct cli_vm *vm,
		      const struct vm_config *config,
		      const struct snapshot_meta *m, size_t *bad, struct err *e)
{
	uint64_t began = clock_mono_ns(), us;
	struct verify_figures figures;
	struct err why = ERR_NONE;
	json_t *out = NULL;
	int r = snapshot_verify(vm->dir, config, m, &figures, &why);
	bool is_whole = !r, is_good = !r;

	/* Its layers are being merged: that says nothing about it. */
	if (r == -EBUSY)
		return err_set(e, r,
			       "snapshot %s (%s) can't be verified now: "
			       "%s",
			       m->name, m->id, why.text);
	r = 0;
	us = (clock_mono_ns() - began) / NS_PER_US;
	if (cli_has(cli, CLI_JSON))
		out = json_of(m, &figures, us, is_whole ? "" : why.text);
	else
		say(vm, m, &figures, us, is_whole ? "" : why.text);
	if (is_whole && cli_has(cli, CLI_TRY))
		r = cli_snapshot_try(cli, vm, m, out, &is_good, e);
	*bad += !is_good;
	if (out)
		cli_print_json(out);
	return r;
}

static int verify_list(const struct cli *cli, struct cli_vm *vm,
		       const struct vm_config *config, size_t *bad,
		       struct err *e)
{
	struct store_list list;
	int r = store_list(vm->dir, &list, e);
	size_t i;

	if (r)
		return r;
	*bad = list.damaged;
	if (list.damaged)
		cli_error(vm->name, "%s", list.why);
	for (i = 0; i < list.count && !r; i++)
		r = verify_one(cli, vm, config, &list.set[i], bad, e);
	store_list_fini(&list);
	return r;
}

static int verify_named(const struct cli *cli, struct cli_vm *vm,
			const struct vm_config *config, size_t *bad,
			struct err *e)
{
	struct snapshot_meta m = { .disks = 0 };
	int r = store_find(vm->dir, cli->args[2], &m, e);

	if (!r)
		r = verify_one(cli, vm, config, &m, bad, e);
	snapshot_meta_fini(&m);
	return r;
}

int cli_snapshot_verify(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	struct vm_config config;
	size_t bad = 0;
	int r;

	config_init(&config);
	r = config_load(&config, vm->dir, e);
	if (!r)
		r = cli->nargs > 2 ? verify_named(cli, vm, &config, &bad, e)
				   : verify_list(cli, vm, &config, &bad, e);
	vm_config_fini(&config);
	if (bad)
		*status = EXIT_CODE_FAILED;
	return r;
}
