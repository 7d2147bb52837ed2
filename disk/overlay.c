/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a layer on a disk. All that can fail comes before the first thing
 * that can't be undone; a frozen file that stays the top gets its mode back.
 */
#include "disk/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/convert.h"
#include "disk/file_io.h"
#include "disk/lock.h"
#include "disk/overlay_private.h"
#include "disk/paths.h"
#include "disk/qcow2_disk.h"

/* --- making it ready ------------------------------------------------- */

/* Subclusters: what is written is copied in small units. */
const struct qcow2_options overlay_defaults = {
	.version = 3,
	.cluster_bits = 16,
	.refcount_order = 4,
	.is_extended = true,
};

/* The new image will look for the file by its name. */
int overlay_check_name(const struct disk *d, const char *name, struct err *e)
{
	struct stat named, is;

	if (stat(name, &named) < 0 || fstat(d->fd, &is) < 0)
		return err_sys(e, -errno, "%s", name);
	if (named.st_dev == is.st_dev && named.st_ino == is.st_ino)
		return 0;
	return err_set(e, -EINVAL,
		       "%s is another file than the one that was opened by "
		       "that name: the new layer would stand on it",
		       name);
}

static int make_image(const struct disk *d, const char *path,
		      const struct qcow2_options *like, struct err *e)
{
	char *name = disk_backing_name(path, d->path);
	struct qcow2_options options = *like;
	struct new_file f;
	int r;

	if (!name)
		return err_sys(e, -errno, "%s on %s", path, d->path);
	options.bytes = d->info.bytes;
	options.backing = name;
	options.backing_format = disk_format_text(d->info.format);
	r = new_file_open(&f, path, e);
	if (!r) {
		r = qcow2_create(f.fd, &options, d->files, e);
		if (!r)
			r = new_file_publish(&f, &file_ops_real, e);
		new_file_close(&f);
	}
	free(name);
	return r;
}

struct overlay *overlay_new(enum overlay_kind kind)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->kind = kind;
	o->fd = o->cached = o->directory = -1;
	return o;
}

static int open_image(struct overlay *o, const struct disk *d, struct err *e)
{
	int flags = O_RDWR | O_CLOEXEC;
	bool is_direct = d->info.cache == DISK_DIRECT;

	o->fd = open(o->path, is_direct ? flags | O_DIRECT : flags);
	o->cached = is_direct && o->fd >= 0 ? open(o->path, flags) : o->fd;
	if (o->fd < 0 || o->cached < 0)
		return err_sys(e, -errno, "%s", o->path);
	return image_lock(o->fd, true, o->path, e);
}

/* As qcow2_disk.c has it for all disks. */
static int check_cluster(const struct disk *d, const struct qcow2_options *o,
			 struct err *e)
{
	if (d->info.cache != DISK_DIRECT || o->cluster_bits >= 12)
		return 0;
	return err_set(e, -EINVAL,
		       "clusters of %u bytes are too small for direct I/O",
		       1U << o->cluster_bits);
}

int overlay_prepare(struct overlay **out, struct disk *d, const char *path,
		    const struct qcow2_options *options, struct err *e)
{
	struct overlay *o;
	int r;

	if (d->info.read_only)
		return err_set(e, -EROFS,
			       "%s is read-only: nothing would be written to a "
			       "new layer",
			       d->path);
	o = overlay_new(OVERLAY_ABOVE);
	if (!o)
		return err_sys(e, -ENOMEM, "%s", path);
	if (!options)
		options = &overlay_defaults;
	o->below = realpath(d->path, NULL);
	r = o->below ? overlay_check_name(d, o->below, e)
		     : err_sys(e, -errno, "%s", d->path);
	if (!r)
		r = check_cluster(d, options, e);
	if (!r)
		r = make_image(d, path, options, e);
	if (!r) {
		o->path = strdup(path);
		r = o->path ? open_image(o, d, e)
			    : err_sys(e, -ENOMEM, "%s", path);
		if (r && !o->path)
			unlink(path);
	}
	if (r)
		overlay_close(o);
	else
		*out = o;
	return r;
}

void overlay_close(struct overlay *o)
{
	if (!o)
		return;
	if (o->path)
		unlink(o->path);
	if (o->has_old)
		layer_close(&o->old, true);
	if (o->directory >= 0)
		close(o->directory);
	if (o->cached >= 0 && o->cached != o->fd)
		close(o->cached);
	if (o->fd >= 0)
		close(o->fd);
	free(o->layer);
	free(o->below);
	free(o->path);
	free(o);
}

/* --- putting it in place --------------------------------------------- */

int overlay_check_job(const struct disk *d, struct err *e)
{
	if (d->job != DISK_STREAMS)
		return 0;
	return err_set(e, -EBUSY,
		       "%s: the layers below it are being copied into it",
		       d->path);
}

int overlay_check(const struct disk *d, struct err *e)
{
	if (d->is_poisoned)
		return err_set(e, -EIO,
			       "%s: a flush failed, nobody knows what of it is "
			       "on the disk",
			       d->path);
	if (d->info.format == DISK_QCOW2 && top_of(d)->why.code)
		return err_set(e, -EIO, "%s", top_of(d)->why.text);
	return overlay_check_job(d, e);
}

int overlay_find_units(const struct disk *d, const struct overlay *o,
		       struct disk *probe, struct err *e)
{
	int r;

	*probe = (struct disk){ .info = { .cache = d->info.cache },
				.path = o->path,
				.fd = o->fd };
	r = disk_find_units(probe, e);
	if (r || probe->info.logical_bytes <= d->info.logical_bytes)
		return r;
	return err_set(e, -EINVAL,
		       "%s: direct I/O needs units of %u bytes there, the disk "
		       "has %u",
		       o->path, probe->info.logical_bytes,
		       d->info.logical_bytes);
}

static int flush(struct disk *d)
{
	int r = disk_sync_name(d);

	if (!r && d->info.format == DISK_QCOW2) {
		r = qcow2_flush(top_of(d));
		if (!r && qcow2_is_dirty(top_of(d)))
			r = qcow2_flush(top_of(d)); /* what became free */
		qcow2_is_poisoned(d);
		return r;
	}
	if (!r)
		r = file_sync(d->files, d->fd);
	d->is_poisoned |= r != 0;
	return r;
}

int overlay_flush(struct disk *d, struct err *e)
{
	int r = flush(d);

	return r ? err_sys(e, r, "%s: flush", d->path) : 0;
}

int overlay_freeze(const struct disk *d, mode_t *mode, struct err *e)
{
	struct stat st;

	*mode = 0;
	if (d->is_block_device)
		return 0;
	if (fstat(d->fd, &st) < 0 || fchmod(d->fd, OVERLAY_FROZEN) < 0)
		return err_sys(e, -errno, "%s: making it read-only", d->path);
	*mode = st.st_mode & 07777;
	return 0;
}

void overlay_thaw(const struct disk *d, mode_t mode)
{
	if (mode && fchmod(d->fd, mode) < 0)
		return; /* it can be written through what is open */
}

/* Somebody may have come in between: then it is written to no more. */
static void take_back(struct disk *d, int cached)
{
	if (cached != d->fd)
		image_unlock(cached);
	if (image_lock_to_write(d->fd, d->path, NULL))
		d->is_poisoned = true;
}

/* The file of the present top, for reads through the page cache. */
static int hand_down(struct disk *d, int cached, struct err *e)
{
	int r;

	image_lock_to_read(d->fd);
	if (cached == d->fd)
		return 0;
	r = image_lock(cached, false, d->path, e);
	if (r)
		take_back(d, d->fd);
	return r;
}

int overlay_put_on_qcow2(const struct overlay *o, struct disk *d,
			 const char *name, struct err *e)
{
	struct qcow2_disk *k = qcow2_disk(d);
	int r = hand_down(d, k->cached_fd, e);

	if (r)
		return r;
	r = chain_push(&k->chain, o->cached, name, e);
	if (r)
		take_back(d, k->cached_fd);
	return r;
}

static int put_on_raw(const struct overlay *o, struct disk *d, struct err *e)
{
	struct qcow2_disk *k;
	int r = qcow2_disk_make(&k, d, e);

	if (r)
		return r;
	r = chain_begin_raw(&k->chain, k->cached_fd, d->path, d->files, e);
	if (!r)
		r = hand_down(d, k->cached_fd, e);
	if (!r) {
		r = chain_push(&k->chain, o->cached, o->path, e);
		if (r)
			take_back(d, k->cached_fd);
	}
	if (r)
		qcow2_disk_unmake(d, k);
	else
		d->host = k;
	return r;
}

void overlay_take_place(struct overlay *o, struct disk *d,
			const struct disk *probe)
{
	struct qcow2_disk *k = qcow2_disk(d);

	if (k->cached_fd != d->fd)
		close(d->fd); /* the layer has a descriptor of its own */
	k->cached_fd = o->cached;
	d->fd = o->fd;
	o->fd = o->cached = -1;
	if (o->kind == OVERLAY_ABOVE) {
		free(d->path);
		d->path = o->path;
		o->path = NULL;
	}
	d->is_block_device = false;
	d->memory_align = probe->memory_align;
	d->offset_align = probe->offset_align;
	d->ops = &qcow2_ops;
	d->info.format = DISK_QCOW2;
	qcow2_set_units(d);
	disk_changed(d);
	overlay_close(o);
}

static int put_on_top(const struct overlay *o, struct disk *d, struct err *e)
{
	return d->info.format == DISK_QCOW2
		       ? overlay_put_on_qcow2(o, d, o->path, e)
		       : put_on_raw(o, d, e);
}

static int push_above(struct overlay *o, struct disk *d, struct err *e)
{
	struct disk probe;
	mode_t mode;
	int r = overlay_check(d, e);

	if (!r)
		r = overlay_check_name(d, o->below, e);
	if (!r)
		r = overlay_find_units(d, o, &probe, e);
	KILL_POINT("overlay-made");
	if (!r)
		r = overlay_flush(d, e);
	if (!r)
		r = overlay_freeze(d, &mode, e);
	if (r)
		return r;
	KILL_POINT("overlay-frozen");
	r = put_on_top(o, d, e);
	KILL_POINT("overlay-pushed");
	if (r)
		overlay_thaw(d, mode);
	else
		overlay_take_place(o, d, &probe);
	return r;
}

int overlay_push(struct overlay *o, struct disk *d, struct err *e)
{
	switch (o->kind) {
	case OVERLAY_ABOVE:
		return push_above(o, d, e);
	case OVERLAY_UNDER:
		return overlay_push_under(o, d, e);
	case OVERLAY_FRESH:
		break;
	}
	return err_set(e, -EINVAL,
		       "%s: an image made for a rewind is not put on top",
		       d->path);
}
