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

/* Prints the outcome. Returns whether it is whole. */
static bool verify_one(const struct cli *cli, const struct cli_vm *vm,
		       const struct vm_config *config,
		       const struct snapshot_meta *m)
{
	uint64_t began = clock_mono_ns(), us;
	struct verify_figures figures;
	char took[TERM_HUMAN_BYTES];
	struct err e = ERR_NONE;
	int r = snapshot_verify(vm->dir, config, m, &figures, &e);

	us = (clock_mono_ns() - began) / NS_PER_US;
	if (cli_has(cli, CLI_JSON))
		cli_print_json(json_pack(
			"{s:s, s:s, s:b, s:s, s:i, s:i, s:I, s:I}", "snapshot",
			m->name, "id", m->id, "whole", !r, "error", e.text,
			"memory_images", (int)figures.images, "layers",
			(int)figures.layers, "leaks", (json_int_t)figures.leaks,
			"duration_us", (json_int_t)us));
	else if (!r)
		printf("%s: snapshot %s (%s) is whole (memory images: %u, "
		       "layers: %u, %s)\n",
		       vm->name, m->name, m->id, figures.images, figures.layers,
		       term_duration_us(us, took));
	else
		cli_error(vm->name, "snapshot %s (%s) is damaged: %s", m->name,
			  m->id, e.text);
	return !r;
}

static int verify_list(const struct cli *cli, const struct cli_vm *vm,
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
	for (i = 0; i < list.count; i++)
		*bad += !verify_one(cli, vm, config, &list.set[i]);
	store_list_fini(&list);
	return 0;
}

static int verify_named(const struct cli *cli, const struct cli_vm *vm,
			const struct vm_config *config, size_t *bad,
			struct err *e)
{
	struct snapshot_meta m = { .disks = 0 };
	int r = store_find(vm->dir, cli->args[2], &m, e);

	if (!r)
		*bad += !verify_one(cli, vm, config, &m);
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
