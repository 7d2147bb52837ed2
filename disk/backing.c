/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of images, read without opening them as disks. */
#include "disk/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "disk/file_io.h"
#include "disk/paths.h"
#include "disk/qcow2_header.h"

#define START_BYTES 72 /* of a header of version 2; says the cluster size */

/* Looks before it opens: opening a device or a FIFO can have effects. */
static int open_image(const char *path, struct stat *st, struct err *e)
{
	int fd, r;

	if (stat(path, st) < 0)
		return err_sys(e, -errno, "%s", path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_set(e, -EINVAL, "%s is no image", path);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	if (!fstat(fd, st))
		return fd;
	r = err_sys(e, -errno, "%s", path);
	close(fd);
	return r;
}

static size_t cluster_bytes(const uint8_t *start)
{
	uint32_t bits = get_be32(start + QCOW2_AT_CLUSTER_BITS);

	return (size_t)1 << (bits >= QCOW2_CLUSTER_BITS_MIN &&
					     bits <= QCOW2_CLUSTER_BITS_MAX
				     ? bits
				     : QCOW2_CLUSTER_BITS_MIN);
}

/* The first cluster, or what there is of it. */
static int read_head(int fd, uint8_t **out, size_t *n, uint64_t *file_bytes)
{
	uint8_t start[START_BYTES];
	bool is_device;
	int r = file_size(fd, file_bytes, &is_device);

	*out = NULL;
	if (!r)
		r = file_read_at(&file_ops_real, fd, start, sizeof(start), 0);
	if (r)
		return r;
	*n = cluster_bytes(start);
	if (*file_bytes < *n)
		*n = (size_t)*file_bytes;
	*out = calloc(1, *n ? *n : 1);
	return *out ? file_read_at(&file_ops_real, fd, *out, *n, 0) : -ENOMEM;
}

static bool is_qcow2(const uint8_t *head, size_t n)
{
	return n >= 4 && get_be32(head) == QCOW2_MAGIC;
}

static int find_below(struct image_backing *b, const struct qcow2_header *h,
		      const char *path, struct err *e)
{
	int format = disk_format_parse(h->backing_format);
	const char *colon = strchr(h->backing, ':');
	char *name;

	memcpy(b->name, h->backing, sizeof(b->name));
	if (!*h->backing)
		return 0;
	if (format < 0 ||
	    (colon && !memchr(h->backing, '/', (size_t)(colon - h->backing))))
		return err_set(e, -EINVAL,
			       "%s: its backing file %s is not a file's name, "
			       "or its format is not known",
			       path, h->backing);
	name = disk_backing_path(path, h->backing);
	b->below = name ? realpath(name, NULL) : NULL;
	free(name);
	b->below_format = (enum disk_format)format;
	return b->below ? 0
			: err_sys(e, -errno, "%s: its backing file %s", path,
				  h->backing);
}

static int read_header(struct image_backing *b, int fd, const char *path,
		       struct err *e)
{
	struct qcow2_header *h = NULL;
	uint64_t file_bytes;
	uint8_t *head;
	size_t n;
	int r = read_head(fd, &head, &n, &file_bytes);

	if (r)
		err_sys(e, r, "%s: reading its header", path);
	if (!r && b->format == DISK_FORMAT_UNKNOWN)
		b->format = is_qcow2(head, n) ? DISK_QCOW2 : DISK_RAW;
	if (!r && b->format == DISK_QCOW2) {
		h = calloc(1, sizeof(*h));
		r = h ? qcow2_header_parse(h, head, n, file_bytes, path, e)
		      : err_sys(e, -ENOMEM, "%s", path);
		if (!r) {
			b->has_snapshots = h->snapshots;
			r = find_below(b, h, path, e);
		}
	}
	free(h);
	free(head);
	return r;
}

int image_backing_read(struct image_backing *out, const char *path,
		       enum disk_format format, struct err *e)
{
	int fd, r = 0;

	*out = (struct image_backing){ .format = format };
	fd = open_image(path, &out->st, e);
	if (fd < 0)
		return fd;
	if (format != DISK_RAW)
		r = read_header(out, fd, path, e);
	close(fd);
	return r;
}

void image_backing_fini(struct image_backing *b)
{
	free(b->below);
	*b = (struct image_backing){ .below = NULL };
}
