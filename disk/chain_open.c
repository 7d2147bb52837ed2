/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the layers of a disk. What an image says about its backing file is
 * hostile: it is looked for in the allowed directories only, and nothing is
 * opened that is no regular file (devices, pipes). The opener's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk/chain.h"
#include "disk/chain_places.h"
#include "disk/lock.h"
#include "disk/paths.h"
#include "disk/qcow2_snapshots.h"

/* --- where it may be ------------------------------------------------- */

/* "json:{...}", "nbd://...": a protocol, as QEMU reads names. */
static bool has_protocol(const char *name)
{
	const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

	return colon && (!slash || colon < slash);
}

/* The allowed directory that the resolved path is under; malloc()ed. */
static char *find_allowed(const char *const *allowed, const char *image,
			  const char *path)
{
	char *directory;

	static const char *const beside[] = { DISK_BESIDE, NULL };

	for (allowed = allowed ? allowed : beside; *allowed; allowed++) {
		directory = **allowed ? realpath(*allowed, NULL)
				      : path_directory(image);
		if (directory && path_is_under(path, directory))
			return directory;
		free(directory);
	}
	return NULL;
}

/* As qcow2.rst has it: relative to the image that says it. malloc()ed. */
static char *resolve(const char *image, const char *name)
{
	char *directory, *joined = NULL, *resolved;

	if (*name == '/')
		return realpath(name, NULL);
	directory = path_directory(image);
	if (!directory || asprintf(&joined, "%s/%s", directory, name) < 0)
		joined = NULL;
	resolved = joined ? realpath(joined, NULL) : NULL;
	free(joined);
	free(directory);
	return resolved;
}

/* Nothing on the way may lead out of the directory between look and open. */
static int open_beneath(const char *directory, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	size_t n = strlen(directory);
	const char *rest = path + (n == 1 ? 1 : n + 1);
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how));
	if (fd < 0)
		fd = -errno;
	close(dir);
	return fd;
}

static int open_allowed(struct chain *c, const char *image, const char *path,
			struct err *e)
{
	char *directory = find_allowed(c->allowed, image, path);
	struct stat st;
	int fd;

	if (!directory)
		return err_set(e, -EACCES,
			       "%s: its backing file %s is not in an allowed "
			       "directory: say allow_backing=DIR",
			       image, path);
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		fd = err_set(e, -EACCES,
			     "%s: its backing file %s is no regular file",
			     image, path);
	else
		fd = open_beneath(directory, path);
	free(directory);
	if (fd < 0 && (!e || !e->code))
		return err_sys(e, fd, "%s: its backing file %s", image, path);
	return fd;
}

/* --- a layer --------------------------------------------------------- */

int layer_note_file(struct layer *l, bool may_be_device, struct err *e)
{
	struct stat st;
	int flags = fcntl(l->fd, F_GETFL);

	if (fstat(l->fd, &st) < 0 || flags < 0 ||
	    fcntl(l->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_sys(e, -errno, "%s", l->path);
	if (!S_ISREG(st.st_mode) && !(may_be_device && S_ISBLK(st.st_mode)))
		return err_set(e, -EACCES, "%s is no regular file", l->path);
	l->device = st.st_dev;
	l->inode = st.st_ino;
	l->bytes = ((uint64_t)st.st_size + DISK_SECTOR_BYTES - 1) &
		   ~(uint64_t)(DISK_SECTOR_BYTES - 1);
	return 0;
}

static int check_loop(const struct chain *c, const struct layer *l,
		      struct err *e)
{
	unsigned int i;

	for (i = 0; i < c->depth; i++)
		if (c->layer[i].device == l->device &&
		    c->layer[i].inode == l->inode)
			return err_set(e, -ELOOP,
				       "%s is behind itself: its backing files "
				       "make a circle",
				       l->path);
	return 0;
}

void layer_close(struct layer *l, bool is_top)
{
	if (l->format == DISK_QCOW2)
		qcow2_fini(&l->q);
	if (!is_top && l->fd >= 0) {
		image_unlock(l->fd);
		close(l->fd);
	}
	free(l->path);
}

int layer_open(struct chain *c, struct layer *l, enum qcow2_mode mode,
	       struct err *e)
{
	bool is_top = l == c->layer || mode != QCOW2_READ;
	uint64_t cache = is_top ? CHAIN_TOP_CACHE : CHAIN_LAYER_CACHE;
	int r;

	if (l->format != DISK_QCOW2)
		return 0;
	r = qcow2_open(&l->q, l->fd, l->path, c->files, mode, cache, e);
	if (r) {
		l->format = DISK_FORMAT_UNKNOWN;
		return r;
	}
	l->q.miss = &c->miss;
	l->bytes = l->q.h.bytes;
	l->table_bytes = qcow2_table_bytes(&l->q);
	c->table_bytes += l->table_bytes;
	if (c->table_bytes <= CHAIN_TABLES_MAX)
		return 0;
	return err_set(e, -EFBIG,
		       "%s: the tables of it and the layers before it need "
		       "more than %u MiB",
		       l->path, CHAIN_TABLES_MAX >> 20);
}

static int parse_format(const struct layer *over, enum disk_format *format,
			struct err *e)
{
	const char *name = over->q.h.backing_format;
	int f = disk_format_parse(name);

	if (!*name)
		return err_set(e, -EINVAL,
			       "%s does not say which format its backing file "
			       "has: qemu-img rebase -u -b %s -F raw|qcow2 %s",
			       over->path, over->q.h.backing, over->path);
	if (f < 0)
		return err_set(e, -ENOTSUP,
			       "%s: its backing file's format %s is neither "
			       "raw nor qcow2",
			       over->path, name);
	*format = (enum disk_format)f;
	return 0;
}

static int open_backing(struct chain *c, const struct layer *over,
			struct layer *l, struct err *e)
{
	const char *name = over->q.h.backing;
	int r;

	if (has_protocol(name))
		return err_set(e, -EACCES,
			       "%s: its backing file %s is not a file's name",
			       over->path, name);
	r = parse_format(over, &l->format, e);
	if (r)
		return r;
	l->path = resolve(over->path, name);
	if (!l->path)
		return err_sys(e, -errno, "%s: its backing file %s", over->path,
			       name);
	l->fd = open_allowed(c, over->path, l->path, e);
	if (l->fd < 0)
		return l->fd;
	r = layer_note_file(l, false, e);
	if (!r)
		r = check_loop(c, l, e);
	return r ? r : image_lock(l->fd, false, l->path, e);
}

/* Appends the layer behind the last one; 1: there is none. */
static int add_layer(struct chain *c, struct err *e)
{
	const struct layer *over = &c->layer[c->depth - 1];
	struct layer *l = &c->layer[c->depth];
	int r;

	if (c->is_alone || over->format != DISK_QCOW2 || !*over->q.h.backing)
		return 1;
	if (c->depth == CHAIN_MAX)
		return err_set(e, -ELOOP, "%s: more than %d layers",
			       c->layer[0].path, CHAIN_MAX);
	*l = (struct layer){ .fd = -1 };
	r = open_backing(c, over, l, e);
	if (r) {
		l->format = DISK_FORMAT_UNKNOWN;
		layer_close(l, false);
		return r;
	}
	r = layer_open(c, l, QCOW2_READ, e);
	if (r) {
		layer_close(l, false);
		return r;
	}
	c->depth++;
	return 0;
}

static int open_top(struct chain *c, int fd, const char *path,
		    const struct chain_options *o, struct err *e)
{
	struct layer *l = &c->layer[0];
	int r;

	l->fd = fd;
	l->format = DISK_QCOW2;
	l->path = strdup(path);
	if (!l->path)
		return err_sys(e, -ENOMEM, "%s", path);
	r = layer_note_file(l, true, e);
	if (!r)
		r = layer_open(c, l, o->read_only ? QCOW2_READ : QCOW2_WRITE,
			       e);
	else
		l->format = DISK_FORMAT_UNKNOWN;
	if (!r && o->snapshot)
		r = qcow2_show_snapshot(&l->q, o->snapshot, e);
	l->bytes = l->format == DISK_QCOW2 ? l->q.h.bytes : 0;
	return r;
}

/* In the smallest units of the layers. */
int chain_make_places(const struct layer *behind, unsigned int n,
		      struct places **out, unsigned int *unit_bits,
		      struct err *e)
{
	unsigned int i;

	*out = NULL;
	if (!n)
		return 0;
	*unit_bits = QCOW2_CLUSTER_BITS_MAX;
	for (i = 0; i < n; i++)
		if (behind[i].format == DISK_QCOW2 &&
		    behind[i].q.unit_bits < *unit_bits)
			*unit_bits = behind[i].q.unit_bits;
	if (places_create(out, *unit_bits))
		return err_sys(e, -ENOMEM, "%s", behind[0].path);
	return 0;
}

int chain_open(struct chain *c, int fd, const char *path,
	       const struct chain_options *o, struct err *e)
{
	int r;

	*c = (struct chain){ .files = o->files,
			     .allowed = o->allowed,
			     .is_alone = o->is_alone };
	c->layer = calloc(CHAIN_MAX, sizeof(*c->layer));
	if (!c->layer)
		return err_sys(e, -ENOMEM, "%s", path);
	c->depth = 1;
	r = open_top(c, fd, path, o, e);
	while (!r)
		r = add_layer(c, e);
	if (r > 0)
		r = chain_make_places(c->layer + 1, c->depth - 1, &c->places,
				      &c->unit_bits, e);
	if (r < 0)
		chain_fini(c);
	return r < 0 ? r : 0;
}

void chain_fini(struct chain *c)
{
	unsigned int i;

	for (i = 0; i < c->depth; i++)
		layer_close(&c->layer[i], i == 0);
	free(c->layer);
	free(c->unpacked.bytes);
	places_destroy(c->places);
	*c = (struct chain){ 0 };
}
