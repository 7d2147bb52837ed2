/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of the disks of a VM that has no process: the same steps, with
 * disks that are opened for it.
 */
#include <string.h>

#include "disk/overlay.h"
#include "snapshot/take.h"
#include "snapshot/take_private.h"

struct offline {
	const struct vm_config *config; /* borrowed */
	struct snapshot_order order;
	struct disk *disk[VM_DISKS_MAX]; /* owned; NULL: read-only */
};

static int open_disk(struct offline *o, unsigned int i, struct err *e)
{
	const struct vm_disk *disk = &o->config->disk[i];
	const char *const allowed[] = { DISK_BESIDE, disk->allow_backing,
					NULL };
	struct disk_config config = {
		.path = disk->path,
		.format = disk->format,
		.allow_backing = allowed,
	};
	int r;

	if (disk->read_only)
		return 0;
	r = disk_open(&o->disk[i], &config, e);
	if (r)
		return r;
	o->order.disk_bytes[i] = disk_get_info(o->disk[i])->bytes;
	return 0;
}

static int push_all(struct offline *o, struct snapshot_take *t, struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < o->config->disks && !r; i++) {
		if (!t->overlay[i])
			continue;
		r = overlay_push(t->overlay[i], o->disk[i], e);
		if (!r)
			t->overlay[i] = NULL;
	}
	return r;
}

static int take(struct offline *o, int dir, struct snapshot_meta *m,
		struct err *e)
{
	struct snapshot_take *t;
	int r = snapshot_begin(&t, dir, o->config, &o->order, e);

	if (r)
		return r;
	r = push_all(o, t, e);
	if (!r)
		r = snapshot_finish(t, 0, e);
	if (!r) {
		/* Its texts are the caller's now. */
		*m = t->meta;
		memset(&t->meta, 0, sizeof(t->meta));
	}
	snapshot_end(t);
	return r;
}

int snapshot_offline(int dir, const struct vm_config *config,
		     const struct snapshot_order *order,
		     struct snapshot_meta *m, struct err *e)
{
	struct offline o = { .config = config, .order = *order };
	unsigned int i;
	int r = 0;

	memset(m, 0, sizeof(*m));
	o.order.kind = SNAPSHOT_DISK;
	o.order.consistency = SNAPSHOT_CRASH;
	for (i = 0; i < config->disks && !r; i++)
		r = open_disk(&o, i, e);
	if (!r)
		r = take(&o, dir, m, e);
	for (i = 0; i < config->disks; i++)
		disk_close(o.disk[i]);
	return r;
}
