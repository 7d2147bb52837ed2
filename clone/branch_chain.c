/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links of layers. INV-1: what a header names is right in the new
 * directory too: it is beside it there as here, or is named by its whole path.
 */
#include "clone/branch_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/backing.h"
#include "disk/convert.h"
#include "disk/overlay.h"
#include "disk/paths.h"
#include "snapshot/disks.h"

/* --- reading --------------------------------------------------------- */

static int add(struct branch_chain *c, const char *path, const char *name,
	       struct err *e)
{
	struct branch_link *more;

	if (c->links == CHAIN_MAX)
		return err_set(e, -ELOOP, "%s: more than %d layers", path,
			       CHAIN_MAX);
	more = realloc(c->link, (c->links + 1) * sizeof(*more));
	if (!more)
		return err_sys(e, -ENOMEM, "%s", path);
	c->link = more;
	more[c->links] = (struct branch_link){ strdup(path), strdup(name) };
	if (!more[c->links].path || !more[c->links].name) {
		free(more[c->links].path);
		free(more[c->links].name);
		return err_sys(e, -ENOMEM, "%s", path);
	}
	c->links++;
	return 0;
}

static bool is_beside(const char *path, const char *other)
{
	const char *a = path_base(path), *b = path_base(other);

	return a - path == b - other &&
	       !memcmp(path, other, (size_t)(a - path));
}

/* What the last link stands on: 1: it goes with it, 0: no further. */
static int judge(struct branch_chain *c, const struct image_backing *b,
		 struct err *e)
{
	const char *over = c->link[c->links - 1].path;

	if (!b->below)
		return 0;
	if (*b->name == '/') {
		c->elsewhere = strdup(b->below);
		return c->elsewhere ? 0 : err_sys(e, -ENOMEM, "%s", b->below);
	}
	c->must_copy = strchr(b->name, '/') || !is_beside(over, b->below) ||
		       branch_chain_has(c, b->name);
	return !c->must_copy;
}

int branch_chain_read(struct branch_chain *c, const char *layer, struct err *e)
{
	enum disk_format format = DISK_QCOW2;
	struct image_backing b = { .below = NULL };
	char *path = realpath(layer, NULL);
	int r;

	*c = (struct branch_chain){ .links = 0 };
	if (!path)
		return err_sys(e, -errno, "%s", layer);
	r = add(c, path, path_base(path), e);
	while (!r) {
		r = image_backing_read(&b, path, format, e);
		if (!r)
			r = judge(c, &b, e);
		if (r <= 0)
			break;
		r = add(c, b.below, b.name, e);
		free(path);
		path = b.below;
		format = b.below_format;
		b.below = NULL;
		image_backing_fini(&b);
	}
	image_backing_fini(&b);
	free(path);
	return r;
}

void branch_chain_fini(struct branch_chain *c)
{
	unsigned int i;

	for (i = 0; i < c->links; i++) {
		free(c->link[i].path);
		free(c->link[i].name);
	}
	free(c->link);
	free(c->elsewhere);
	*c = (struct branch_chain){ .links = 0 };
}

bool branch_chain_has(const struct branch_chain *c, const char *name)
{
	unsigned int i;

	for (i = 0; i < c->links; i++)
		if (!strcmp(c->link[i].name, name))
			return true;
	return false;
}

/* --- where the base may be ------------------------------------------- */

static int is_in(const char *path, const char *directory)
{
	char *resolved = realpath(directory, NULL);
	int is = resolved && path_is_under(path, resolved);

	free(resolved);
	return is;
}

/* What stands beside, or below, the images that name it. */
static int is_below(const char *path, const char *over)
{
	char *directory = path_parent(over);
	int is = directory ? is_in(path, directory) : -ENOMEM;

	free(directory);
	return is;
}

int branch_chain_allow(struct branch_chain *c, struct vm_disk *disk,
		       struct err *e)
{
	const char *over;
	int r;

	if (!c->elsewhere ||
	    (disk->allow_backing && is_in(c->elsewhere, disk->allow_backing)))
		return 0;
	over = c->link[c->links - 1].path;
	r = is_below(c->elsewhere, over);
	if (!r)
		return err_set(e, -EACCES,
			       "%s: its backing file %s is not in an allowed "
			       "directory",
			       over, c->elsewhere);
	if (r > 0 && disk->allow_backing) {
		c->must_copy = true; /* only one can be said */
		return 0;
	}
	if (r > 0)
		disk->allow_backing = path_parent(c->elsewhere);
	return disk->allow_backing ? 0 : err_sys(e, -ENOMEM, "%s", over);
}

/* --- making ---------------------------------------------------------- */

/* The file system does not have it, or not this one, or not for us. */
static bool is_no_link(int error)
{
	return error == -EXDEV || error == -EPERM || error == -EMLINK ||
	       error == -EOPNOTSUPP;
}

static int link_all(const struct branch_chain *c, int dir, struct err *e)
{
	unsigned int i, k;
	int r;

	for (i = 0; i < c->links; i++) {
		if (!linkat(AT_FDCWD, c->link[i].path, dir, c->link[i].name, 0))
			continue;
		r = err_sys(e, -errno, "a link to %s", c->link[i].path);
		for (k = 0; k < i; k++)
			unlinkat(dir, c->link[k].name, 0);
		return r;
	}
	return fsync(dir) < 0 ? err_sys(e, -errno, "a directory") : 0;
}

static int copy(const struct branch_chain *c, const char *directory,
		const struct vm_config *config,
		const struct snapshot_disk *disk, struct err *e)
{
	struct convert convert = { .format = DISK_QCOW2,
				   .options = overlay_defaults };
	struct disk *from;
	char *path;
	int r = snapshot_disk_open(&from, config, disk, e);

	if (r)
		return r;
	if (asprintf(&path, "%s/%s", directory, c->link[0].name) < 0) {
		disk_close(from);
		return err_sys(e, -ENOMEM, "disk %s", disk->id);
	}
	r = disk_convert(from, path, &convert, e);
	if (!r && chmod(path, OVERLAY_FROZEN) < 0)
		r = err_sys(e, -errno, "%s", path);
	free(path);
	disk_close(from);
	return r;
}

int branch_chain_make(const struct branch_chain *c, const char *directory,
		      const struct vm_config *config,
		      const struct snapshot_disk *disk, bool *copied,
		      struct err *e)
{
	int dir, r = -EXDEV;

	*copied = false;
	if (!c->must_copy) {
		dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_sys(e, -errno, "%s", directory);
		r = link_all(c, dir, e);
		close(dir);
	}
	if (!is_no_link(r))
		return r;
	*copied = true;
	if (e)
		*e = (struct err)ERR_NONE;
	return copy(c, directory, config, disk, e);
}
