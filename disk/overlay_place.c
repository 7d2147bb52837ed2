/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are to have the name of a disk: made beside it, while it may be
 * at work. Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/lock.h"
#include "disk/overlay_private.h"
#include "disk/paths.h"

#define MODE 0600 /* where there is no file to be like */

/* --- names ----------------------------------------------------------- */

static char *join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* A file that is not there has a name all the same; a link has none then. */
static char *name_of_absent(const char *path)
{
	char *directory, *name = NULL;
	struct stat st;

	if (!lstat(path, &st)) {
		errno = ENOENT;
		return NULL;
	}
	directory = path_directory(path);
	if (directory)
		name = join(directory, path_base(path));
	free(directory);
	return name;
}

/*
 * A backing file is looked for beside the name by which an image was opened:
 * through a link from elsewhere the layer would not be found.
 */
static int check_link(const struct overlay *o, const struct overlay_place *p,
		      struct err *e)
{
	char *as_named = path_directory(p->path), *beside;
	int r = 0;

	beside = path_parent(o->below);
	if (!as_named || !beside)
		r = err_sys(e, -errno, "%s", p->path);
	else if (strcmp(as_named, beside))
		r = err_set(e, -EINVAL,
			    "%s is a link to another directory, from which its "
			    "layers can't be found: name the disk by its file, "
			    "%s",
			    p->path, o->below);
	free(as_named);
	free(beside);
	return r;
}

static int find_disk(struct overlay *o, const struct overlay_place *p,
		     struct err *e)
{
	o->below = realpath(p->path, NULL);
	if (!o->below && errno == ENOENT && o->kind == OVERLAY_FRESH)
		o->below = name_of_absent(p->path);
	return o->below ? check_link(o, p, e)
			: err_sys(e, -errno, "%s", p->path);
}

/* By the last part of its name, which is no protocol for QEMU. */
static int check_layer_name(const struct overlay *o, const char *directory,
			    const struct overlay_place *p, struct err *e)
{
	char *beside = path_parent(o->below);
	int r = 0;

	if (!beside)
		r = err_sys(e, -ENOMEM, "%s", p->layer);
	else if (strcmp(directory, beside))
		r = err_set(e, -EINVAL,
			    "%s is not in %s, where the disk's file is",
			    p->layer, beside);
	else if (strchr(path_base(p->layer), ':'))
		r = err_set(e, -EINVAL,
			    "%s: a layer's name has no colon, which would make "
			    "it a protocol",
			    p->layer);
	free(beside);
	return r;
}

static int find_layer(struct overlay *o, const struct overlay_place *p,
		      struct err *e)
{
	char *directory = path_directory(p->layer);
	int r;

	if (!directory)
		return err_sys(e, -errno, "%s", p->layer);
	r = check_layer_name(o, directory, p, e);
	if (!r) {
		o->layer = join(directory, path_base(p->layer));
		o->directory =
			open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (!r && (!o->layer || o->directory < 0))
		r = err_sys(e, o->layer ? -errno : -ENOMEM, "%s", directory);
	free(directory);
	return r;
}

/* --- what is there --------------------------------------------------- */

static int check_absent(const struct overlay *o, struct err *e)
{
	struct stat st;

	if (!lstat(o->layer, &st))
		return err_set(e, -EEXIST, "%s exists already", o->layer);
	return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", o->layer);
}

static int check_frozen(const struct overlay *o, const struct stat *disk,
			struct err *e)
{
	struct stat st;

	if (lstat(o->layer, &st) < 0)
		return err_sys(e, -errno, "%s", o->layer);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is no regular file", o->layer);
	if (st.st_dev == disk->st_dev && st.st_ino == disk->st_ino)
		return err_set(e, -EINVAL,
			       "%s is the disk's own file, which was never "
			       "frozen",
			       o->layer);
	if ((st.st_mode & 0222) && chmod(o->layer, OVERLAY_FROZEN) < 0)
		return err_sys(e, -errno, "%s: making it read-only", o->layer);
	return 0;
}

static int check_qcow2(const char *path, const struct stat *st, int fd,
		       struct err *e)
{
	static const char magic[4] = { 'Q', 'F', 'I', '\xfb' };
	char head[sizeof(magic)];

	if (!S_ISREG(st->st_mode))
		return err_set(e, -ENOTSUP,
			       "%s is no regular file: its name can't go to a "
			       "new layer",
			       path);
	if (pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	    !memcmp(head, magic, sizeof(head)))
		return 0;
	return overlay_refuse_raw(path, e);
}

/* Into *st what the new file is to be like. */
static int look_at_disk(const struct overlay *o, struct stat *st, struct err *e)
{
	int fd = open(o->below, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT && o->kind == OVERLAY_FRESH) {
		*st = (struct stat){ .st_mode = MODE,
				     .st_uid = geteuid(),
				     .st_gid = getegid() };
		return 0;
	}
	if (fd < 0 || fstat(fd, st) < 0)
		r = err_sys(e, -errno, "%s", o->below);
	else
		r = o->kind == OVERLAY_UNDER ? check_qcow2(o->below, st, fd, e)
					     : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* --- the image ------------------------------------------------------- */

/* Who may not give it away keeps it. */
static int make_like(int fd, const struct stat *like)
{
	if (fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM &&
	    errno != EINVAL)
		return -errno;
	return fchmod(fd, (like->st_mode & 0777) | 0600) < 0 ? -errno : 0;
}

/* Nobody gets between its making and its lock. */
static int open_image(struct overlay *o, enum disk_cache cache, struct err *e)
{
	bool is_direct = cache == DISK_DIRECT;
	char *path;
	int r;

	if (asprintf(&path, "%s.new.XXXXXX", o->below) < 0)
		return err_sys(e, -ENOMEM, "%s", o->below);
	o->fd = mkostemp(path, is_direct ? O_CLOEXEC | O_DIRECT : O_CLOEXEC);
	if (o->fd < 0) {
		r = err_sys(e, -errno, "%s", path);
		free(path);
		return r;
	}
	o->path = path;
	o->cached = is_direct ? open(path, O_RDWR | O_CLOEXEC) : o->fd;
	if (o->cached < 0)
		return err_sys(e, -errno, "%s", path);
	return image_lock(o->fd, true, path, e);
}

static int write_image(const struct overlay *o, const struct overlay_place *p,
		       const struct stat *like, struct err *e)
{
	struct qcow2_options options = overlay_defaults;
	int r;

	options.bytes = p->bytes;
	options.backing = path_base(o->layer);
	options.backing_format = disk_format_text(DISK_QCOW2);
	r = qcow2_create(o->cached, &options,
			 p->files ? p->files : &file_ops_real, e);
	if (r)
		return r;
	r = make_like(o->cached, like);
	if (!r && fsync(o->cached) < 0)
		r = -errno;
	if (r)
		return err_sys(e, r, "%s", o->path);
	/* It is read while a guest stands still: by then it is in memory. */
	posix_fadvise(o->cached, 0, 0, POSIX_FADV_WILLNEED);
	return 0;
}

static int make(struct overlay *o, const struct overlay_place *p, struct err *e)
{
	struct stat like;
	int r = find_disk(o, p, e);

	o->bytes = p->bytes;
	if (!r)
		r = find_layer(o, p, e);
	if (!r)
		r = look_at_disk(o, &like, e);
	if (!r)
		r = o->kind == OVERLAY_UNDER ? check_absent(o, e)
					     : check_frozen(o, &like, e);
	if (!r)
		r = open_image(o, p->cache, e);
	return r ? r : write_image(o, p, &like, e);
}

static int prepare(struct overlay **out, enum overlay_kind kind,
		   const struct overlay_place *p, struct err *e)
{
	struct overlay *o = overlay_new(kind);
	int r;

	if (!o)
		return err_sys(e, -ENOMEM, "%s", p->path);
	r = make(o, p, e);
	if (r)
		overlay_close(o);
	else
		*out = o;
	return r;
}

int overlay_prepare_under(struct overlay **out,
			  const struct overlay_place *place, struct err *e)
{
	return prepare(out, OVERLAY_UNDER, place, e);
}

int overlay_prepare_fresh(struct overlay **out,
			  const struct overlay_place *place, struct err *e)
{
	return prepare(out, OVERLAY_FRESH, place, e);
}
