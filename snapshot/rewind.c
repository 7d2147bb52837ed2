/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to a snapshot in the process that is there. Fresh layers are made
 * while the guest runs; what the old ones had is freed when it runs again.
 * Of more than one disk the old files keep second names, which are written
 * down, until all have changed: a kill in between must not leave disks of two
 * moments. A power cut may, as the names are not synced.
 */
#include "base/kill_point.h"
#include "snapshot/restore_private.h"
#include "vmm/machine.h"
#include "vmm/machine_state.h"

static int prepare_disk(struct restore *r, unsigned int i, struct err *e)
{
	const struct snapshot_disk *d = &r->meta.disk[i];
	struct overlay_place place = {
		.path = d->path,
		.layer = d->layer,
		.bytes = d->bytes,
		.cache = r->config->disk[i].cache,
	};
	int error;

	if (!d->layer)
		return 0;
	error = overlay_prepare_fresh(&r->fresh[i], &place, e);
	if (error)
		err_prefix(e, "disk %s", d->id);
	return error;
}

static int prepare_disks(struct restore *r, struct err *e)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < r->meta.disks && !error; i++)
		error = prepare_disk(r, i, e);
	return error;
}

int rewind_prepare(struct restore *r, struct err *e)
{
	int error;

	if (r->meta.kind != SNAPSHOT_FULL)
		return err_set(e, -EINVAL,
			       "snapshot %s has no %s: only a full one can be "
			       "rewound to (amber snapshot restore)",
			       r->meta.name,
			       r->meta.kind == SNAPSHOT_DISK ? "memory"
							     : "disks");
	error = prepare_disks(r, e);
	if (!error)
		error = restore_plan(r, e);
	if (!error && json_array_size(r->undo.steps) > 1)
		error = restore_begin(r, FILE_ATOMIC, e);
	return error;
}

static int try_layer(const struct snapshot_disk *d, struct err *e)
{
	const struct disk_config config = { .path = d->layer,
					    .format = DISK_QCOW2,
					    .read_only = true,
					    .is_alone = true };
	struct disk *layer;
	int error = d->layer ? disk_open(&layer, &config, e) : 0;

	if (d->layer && !error)
		disk_close(layer);
	return error ? err_prefix(e, "disk %s", d->id) : 0;
}

int restore_try(struct restore *r, struct err *e)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < r->meta.disks && !error; i++)
		error = try_layer(&r->meta.disk[i], e);
	if (!error)
		error = prepare_disks(r, e);
	for (i = 0; i < VM_DISKS_MAX; i++) {
		overlay_close(r->fresh[i]);
		r->fresh[i] = NULL;
	}
	return error;
}

/* One that can't is found before another one is changed. */
static int check_disks(struct restore *r, struct machine *m, struct err *e)
{
	unsigned int i;
	int error = 0;

	for (i = 0; r->has_begun && i < r->meta.disks && !error; i++)
		if (r->fresh[i]) {
			error = vblk_may_rewind_layer(machine_disk(m, i),
						      r->fresh[i], e);
			if (error)
				err_prefix(e, "disk %s", r->meta.disk[i].id);
		}
	return error;
}

/* *is_lost: a disk is another one, and memory has not followed. */
static int rewind_disks(struct restore *r, struct machine *m, bool *is_lost,
			struct err *e)
{
	unsigned int i, n = 0;
	int error = 0;

	for (i = 0; i < r->meta.disks && !error; i++) {
		if (!r->fresh[i])
			continue;
		if (r->has_begun)
			error = journal_keep(json_array_get(r->undo.steps, n++),
					     e);
		if (!error)
			error = vblk_rewind_layer(machine_disk(m, i),
						  r->fresh[i], e);
		if (error)
			err_prefix(e, "disk %s", r->meta.disk[i].id);
		else
			*is_lost = true;
	}
	return error;
}

/* The first step decides. The last one is for the sweep of a next start. */
static void commit(struct restore *r)
{
	if (!r->has_begun || journal_remove(r->dir, FILE_ATOMIC, NULL))
		return;
	KILL_POINT("rewind-done");
	journal_forget(&r->undo);
	r->has_begun = false;
}

int rewind_moment(void *ctx, struct machine *m, bool *is_lost, struct err *e)
{
	struct restore *r = ctx;
	int error;

	*is_lost = false;
	error = check_disks(r, m, e);
	if (!error)
		error = rewind_disks(r, m, is_lost, e);
	if (!error) {
		*is_lost = true;
		error = machine_rewind(m, r->state.data, r->state.len,
				       &r->memory, e);
	}
	if (error) {
		restore_undo(r);
		return error;
	}
	*is_lost = false;
	commit(r);
	return 0;
}
