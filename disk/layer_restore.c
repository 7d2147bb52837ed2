/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going back to a frozen layer, of a disk that nobody has open. Any thread;
 * it blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/layers.h"
#include "disk/lock.h"
#include "disk/overlay_private.h"

#define KEPT_MAX 100 /* names that are tried */

struct restoring {
	const char *path, *layer;
	const struct file_ops *files;
	struct disk *below; /* owned: the layer */
	struct overlay *image;
	int fd;	    /* owned: the present file; -1: there is none */
	char *kept; /* owned: its other name */
	struct err *e;
};

/* --- whose they are -------------------------------------------------- */

static int lock_layer(struct restoring *r)
{
	const struct disk_config config = {
		.path = r->layer,
		.format = DISK_QCOW2,
		.read_only = true,
		.is_alone = true,
		.files = r->files,
	};

	return disk_open(&r->below, &config, r->e);
}

/* One file under both names is refused, but not as one in use. */
static bool is_layer(const struct restoring *r, const struct stat *st)
{
	struct stat layer;

	return !stat(r->layer, &layer) && layer.st_dev == st->st_dev &&
	       layer.st_ino == st->st_ino;
}

static int lock_disk(struct restoring *r)
{
	struct stat st;

	if (stat(r->path, &st) < 0)
		return errno == ENOENT ? 0
				       : err_sys(r->e, -errno, "%s", r->path);
	if (!S_ISREG(st.st_mode))
		return err_set(r->e, -EINVAL, "%s is no regular file", r->path);
	if (is_layer(r, &st))
		return 0;
	r->fd = open(r->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (r->fd < 0)
		return err_sys(r->e, -errno, "%s", r->path);
	return image_lock(r->fd, true, r->path, r->e);
}

static int prepare(struct restoring *r)
{
	const struct overlay_place place = {
		.path = r->path,
		.layer = r->layer,
		.bytes = disk_get_info(r->below)->bytes,
		.files = r->files,
	};

	return overlay_prepare_fresh(&r->image, &place, r->e);
}

/* --- names ----------------------------------------------------------- */

static int keep_as(struct restoring *r, unsigned int n)
{
	const char *path = r->image->below;
	int error;

	if (asprintf(&r->kept, "%s.old.%u", path, n) < 0) {
		r->kept = NULL;
		return -ENOMEM;
	}
	if (!link(path, r->kept))
		return 0;
	error = -errno;
	free(r->kept);
	r->kept = NULL;
	return error;
}

/* On stable storage before the file loses the name it has. */
static int keep(struct restoring *r)
{
	unsigned int n = 0;
	int error;

	do
		error = keep_as(r, n);
	while (error == -EEXIST && ++n < KEPT_MAX);
	if (error == -ENOENT) /* there is nothing to keep */
		return 0;
	KILL_POINT("restore-kept");
	if (!error)
		error = overlay_sync_names(r->image);
	return error ? err_sys(r->e, error, "%s: keeping it", r->path) : 0;
}

static void take_back(struct restoring *r)
{
	if (r->kept && r->image->path)
		unlink(r->kept);
	else if (r->kept && rename(r->kept, r->image->below) < 0)
		return;
}

static int change_names(struct restoring *r)
{
	int error = overlay_take_name(r->image);

	KILL_POINT("restore-named");
	if (!error)
		error = overlay_sync_names(r->image);
	return error ? err_sys(r->e, error, "%s", r->path) : 0;
}

static int restore(struct restoring *r, char **undo)
{
	int error = undo ? keep(r) : 0;

	if (!error)
		error = change_names(r);
	if (error) {
		take_back(r);
		return error;
	}
	if (undo) {
		*undo = r->kept;
		r->kept = NULL;
	}
	return 0;
}

int layer_restore(const char *path, const char *layer, char **undo,
		  const struct file_ops *files, struct err *e)
{
	struct restoring r = {
		.path = path, .layer = layer, .files = files, .fd = -1, .e = e
	};
	int error = lock_layer(&r);

	if (!error)
		error = lock_disk(&r);
	if (!error)
		error = prepare(&r);
	if (!error)
		error = restore(&r, undo);
	overlay_close(r.image);
	disk_close(r.below);
	if (r.fd >= 0)
		close(r.fd);
	free(r.kept);
	return error;
}
