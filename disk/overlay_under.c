/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers whose top keeps the disk's name: an image comes on top and the
 * present file is named anew, or an empty one takes the top's place. The
 * queue's thread; nothing is in flight.
 *
 * INV-1  The disk's name leads to the old file, or to the new one when what
 *        it stands on has its name, and both are on stable storage.
 * INV-2  A file is frozen after it has given the disk's name away: as long as
 *        it has that it can be opened as the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/overlay_private.h"
#include "disk/qcow2_disk.h"

/* --- what must be so ------------------------------------------------- */

int overlay_refuse_raw(const char *path, struct err *e)
{
	return err_set(e, -ENOTSUP,
		       "%s: raw images have no layers; convert it to qcow2 "
		       "(amber disk convert)",
		       path);
}

static int check_disk(const struct overlay *o, const struct disk *d,
		      struct err *e)
{
	if (d->info.format != DISK_QCOW2)
		return overlay_refuse_raw(d->path, e);
	if (d->info.read_only)
		return err_set(e, -EROFS, "%s is read-only", d->path);
	if (d->is_block_device)
		return err_set(e, -ENOTSUP,
			       "%s is a block device: its name can't go to a "
			       "new layer",
			       d->path);
	if (d->info.bytes != o->bytes)
		return err_set(e, -ESTALE,
			       "%s has %" PRIu64 " bytes, the new layer was "
			       "made for %" PRIu64,
			       d->path, d->info.bytes, o->bytes);
	return overlay_check_name(d, o->below, e);
}

/* --- names ----------------------------------------------------------- */

enum stage { OLD_NAMES, BOTH_NAMES, NEW_NAMES };

int overlay_sync_names(const struct overlay *o)
{
	return fsync(o->directory) < 0 ? -errno : 0;
}

int overlay_take_name(struct overlay *o)
{
	if (rename(o->path, o->below) < 0)
		return -errno;
	free(o->path);
	o->path = NULL;
	return 0;
}

/* INV-1, INV-2 */
static int change_names(struct overlay *o, struct disk *d, enum stage *stage,
			mode_t *mode, struct err *e)
{
	int r = link(o->below, o->layer) < 0 ? -errno : 0;

	if (r)
		return err_sys(e, r, "%s", o->layer);
	*stage = BOTH_NAMES;
	KILL_POINT("under-linked");
	r = overlay_sync_names(o);
	if (!r)
		r = overlay_take_name(o);
	if (r)
		return err_sys(e, r, "%s", o->below);
	*stage = NEW_NAMES;
	KILL_POINT("under-named");
	r = overlay_freeze(d, mode, e);
	KILL_POINT("under-frozen");
	if (r)
		return r;
	r = overlay_sync_names(o);
	return r ? err_sys(e, r, "%s", o->below) : 0;
}

/*
 * The other way round. Where that fails, or is not on the disk when power
 * fails, the disk's name leads to the empty image, which shows what the
 * present file has.
 */
static void restore_names(struct overlay *o, struct disk *d, enum stage stage,
			  mode_t mode)
{
	overlay_thaw(d, mode);
	if (stage == BOTH_NAMES)
		unlink(o->layer);
	else if (stage == NEW_NAMES && rename(o->layer, o->below) < 0)
		return;
}

/* --- a push ---------------------------------------------------------- */

static int put(struct overlay *o, struct disk *d, struct err *e)
{
	int r = overlay_put_on_qcow2(o, d, d->path, e);

	if (r)
		return r;
	chain_rename(&qcow2_disk(d)->chain, 1, o->layer);
	o->layer = NULL;
	return 0;
}

int overlay_push_under(struct overlay *o, struct disk *d, struct err *e)
{
	enum stage stage = OLD_NAMES;
	struct disk probe;
	mode_t mode = 0;
	int r = check_disk(o, d, e);

	if (!r)
		r = overlay_check(d, e);
	if (!r)
		r = overlay_find_units(d, o, &probe, e);
	if (!r)
		r = overlay_flush(d, e);
	if (r)
		return r;
	KILL_POINT("under-flushed");
	r = change_names(o, d, &stage, &mode, e);
	KILL_POINT("under-synced");
	if (!r)
		r = put(o, d, e);
	if (r)
		restore_names(o, d, stage, mode);
	else
		overlay_take_place(o, d, &probe);
	return r;
}

/* --- a rewind -------------------------------------------------------- */

int overlay_may_rewind(const struct overlay *o, const struct disk *d,
		       struct err *e)
{
	const struct chain *c;
	struct stat st;
	int r = check_disk(o, d, e);

	if (!r)
		r = overlay_check_job(d, e);
	if (r)
		return r;
	c = &qcow2_disk(d)->chain;
	if (stat(o->layer, &st) < 0)
		return err_sys(e, -errno, "%s", o->layer);
	if (c->depth > 1 && c->layer[1].device == st.st_dev &&
	    c->layer[1].inode == st.st_ino)
		return 0;
	return err_set(e, -ESTALE, "%s is not what %s stands on", o->layer,
		       d->path);
}

static void swap(int *a, int *b)
{
	int c = *a;

	*a = *b;
	*b = c;
}

/* From here on nothing fails. */
static void exchange(struct overlay *o, struct disk *d, const struct layer *top,
		     const struct disk *probe)
{
	struct qcow2_disk *k = qcow2_disk(d);

	chain_replace_top(&k->chain, top, &o->old);
	o->has_old = true;
	swap(&d->fd, &o->fd);
	swap(&k->cached_fd, &o->cached);
	swap(&d->name_fd, &o->directory);
	d->is_poisoned = false;
	d->memory_align = probe->memory_align;
	d->offset_align = probe->offset_align;
	qcow2_set_units(d);
	disk_changed(d);
}

int overlay_rewind(struct overlay *fresh, struct disk *d, struct err *e)
{
	struct disk probe;
	struct layer top;
	int r = fresh->kind == OVERLAY_FRESH
			? overlay_may_rewind(fresh, d, e)
			: err_set(e, -EINVAL,
				  "%s: an image made for a push is no rewind",
				  d->path);

	if (!r)
		r = overlay_find_units(d, fresh, &probe, e);
	if (!r)
		r = chain_open_top(&qcow2_disk(d)->chain, fresh->cached,
				   d->path, &top, e);
	if (r)
		return r;
	KILL_POINT("rewind-ready");
	r = overlay_take_name(fresh);
	KILL_POINT("rewind-named");
	if (r) {
		layer_close(&top, true);
		return err_sys(e, r, "%s", d->path);
	}
	exchange(fresh, d, &top, &probe);
	return 0;
}
