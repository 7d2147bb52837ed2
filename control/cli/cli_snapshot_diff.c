/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot diff`: files are only read, whether the VM runs or not.
 * Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "snapshot/diff.h"

#define OUT_BYTES (4u << 20)

static void print_memory(struct buf *out, const struct snapshot_diff *d)
{
	const struct diff_memory *m = &d->memory;
	uint64_t pages = m->changed + m->only_a + m->only_b;
	char bytes[TERM_HUMAN_BYTES];

	if (!m->is_there) {
		buf_printf(out, "%-10s not in both\n", "memory:");
		return;
	}
	buf_printf(out,
		   "%-10s %llu pages differ (%s): %llu changed, %llu only in "
		   "%s, %llu only in %s; %llu the same\n",
		   "memory:", (unsigned long long)pages,
		   term_bytes(pages * DIFF_PAGE, bytes),
		   (unsigned long long)m->changed,
		   (unsigned long long)m->only_a, d->a.name,
		   (unsigned long long)m->only_b, d->b.name,
		   (unsigned long long)m->same);
}

static void print_disk(struct buf *out, const struct snapshot_diff *d,
		       const struct diff_disk *disk)
{
	char bytes[TERM_HUMAN_BYTES], a[TERM_HUMAN_BYTES], b[TERM_HUMAN_BYTES];

	buf_printf(out, "%-10s ", "disk:");
	term_put_safe(out, disk->id, false);
	if (!disk->is_there) {
		buf_puts(out, ": not in both\n");
		return;
	}
	buf_printf(out, ": %llu clusters of %u KiB differ (%s)",
		   (unsigned long long)disk->clusters, DIFF_CLUSTER >> 10,
		   term_bytes(disk->bytes, bytes));
	if (disk->bytes_a != disk->bytes_b)
		buf_printf(out, "; %s in %s, %s in %s",
			   term_bytes(disk->bytes_a, a), d->a.name,
			   term_bytes(disk->bytes_b, b), d->b.name);
	buf_puts(out, "\n");
}

static void print_config(struct buf *out, json_t *config)
{
	void *i;

	if (!json_object_size(config))
		buf_printf(out, "%-10s the same\n", "config:");
	for (i = json_object_iter(config); i;
	     i = json_object_iter_next(config, i)) {
		json_t *two = json_object_iter_value(i);
		char *a = json_dumps(json_object_get(two, "a"),
				     JSON_ENCODE_ANY | JSON_COMPACT);
		char *b = json_dumps(json_object_get(two, "b"),
				     JSON_ENCODE_ANY | JSON_COMPACT);

		buf_printf(out, "%-10s ", "config:");
		term_put_safe(out, json_object_iter_key(i), false);
		buf_puts(out, ": ");
		term_put_safe(out, a ? a : "?", false);
		buf_puts(out, " -> ");
		term_put_safe(out, b ? b : "?", false);
		buf_puts(out, "\n");
		free(a);
		free(b);
	}
}

static void print_diff(const struct snapshot_diff *d)
{
	char shared[TERM_HUMAN_BYTES], a[TERM_HUMAN_BYTES], b[TERM_HUMAN_BYTES];
	struct buf out;
	unsigned int i;

	buf_init(&out, OUT_BYTES);
	buf_printf(&out, "%-10s %s (%s) of %s\n", "from:", d->a.name, d->a.id,
		   d->a.created);
	buf_printf(&out, "%-10s %s (%s) of %s\n", "to:", d->b.name, d->b.id,
		   d->b.created);
	print_memory(&out, d);
	for (i = 0; i < d->disks; i++)
		print_disk(&out, d, &d->disk[i]);
	print_config(&out, d->config);
	buf_printf(&out, "%-10s %s shared, %s only %s's, %s only %s's\n",
		   "on disk:", term_bytes(d->shared, shared),
		   term_bytes(d->only_a, a), d->a.name,
		   term_bytes(d->only_b, b), d->b.name);
	cli_print(&out);
	buf_fini(&out);
}

int cli_snapshot_diff(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	struct snapshot_diff d;
	struct vm_config c;
	int r;

	(void)status;
	config_init(&c);
	r = config_load(&c, vm->dir, e);
	if (r) {
		vm_config_fini(&c);
		return r;
	}
	r = snapshot_diff(&d, vm->dir, &c, cli->args[2], cli->args[3], NULL, e);
	if (!r && cli_has(cli, CLI_JSON))
		cli_print_json(snapshot_diff_json(&d));
	else if (!r)
		print_diff(&d);
	snapshot_diff_fini(&d);
	vm_config_fini(&c);
	return r;
}
