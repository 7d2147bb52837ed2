/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to a snapshot in the process that is there. Fresh layers are made
 * while the guest runs; what the old ones had is freed when it runs again.
 */
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

int rewind_prepare(struct restore *r, struct err *e)
{
	unsigned int i;
	int error = 0;

	if (r->meta.kind != SNAPSHOT_FULL)
		return err_set(e, -EINVAL,
			       "snapshot %s has no %s: only a full one can be "
			       "rewound to (amber snapshot restore)",
			       r->meta.name,
			       r->meta.kind == SNAPSHOT_DISK ? "memory"
							     : "disks");
	for (i = 0; i < r->meta.disks && !error; i++)
		error = prepare_disk(r, i, e);
	return error;
}

int rewind_moment(void *ctx, struct machine *m, bool *is_lost, struct err *e)
{
	struct restore *r = ctx;
	unsigned int i;
	int error = 0;

	*is_lost = false;
	for (i = 0; i < r->meta.disks && !error; i++) {
		if (!r->fresh[i])
			continue;
		error = vblk_rewind_layer(machine_disk(m, i), r->fresh[i], e);
		if (error)
			err_prefix(e, "disk %s", r->meta.disk[i].id);
		else
			*is_lost = true; /* until memory follows */
	}
	if (error)
		return error;
	*is_lost = true;
	error = machine_rewind(m, r->state.data, r->state.len, &r->memory, e);
	*is_lost = error != 0;
	return error;
}
