/* SPDX-License-Identifier: Apache-2.0 */
/* Disks for tools: looking, reading, resizing. Blocks; one thread. */
#include "disk/disk_tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/copy.h"
#include "disk/file_io.h"
#include "disk/qcow2_disk.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static struct chain *chain_of(const struct disk *d)
{
	return d->info.format == DISK_QCOW2 ? &qcow2_disk(d)->chain : NULL;
}

/* --- looking --------------------------------------------------------- */

/* Holes of a file are zeroes that nobody needs to read. */
static void seek(int fd, uint64_t guest, struct disk_run *run)
{
	off_t at = (off_t)guest, data = lseek(fd, at, SEEK_DATA), hole;

	*run = (struct disk_run){ .fd = fd, .from = guest, .to = UINT64_MAX };
	if (data < 0) { /* nothing more; or it doesn't say: data */
		run->is_zero = errno == ENXIO;
		return;
	}
	if (data > at) {
		run->is_zero = true;
		run->to = (uint64_t)data;
		return;
	}
	hole = lseek(fd, at, SEEK_HOLE);
	/* The end of the file may be no multiple of a sector. */
	hole = (hole + DISK_SECTOR_BYTES - 1) & ~(off_t)(DISK_SECTOR_BYTES - 1);
	if (hole > at)
		run->to = (uint64_t)hole;
}

/*
 * The end of a run is found by going through it: looking at each of its
 * pieces would take the square of that.
 */
static void look_at_file(struct disk *d, int fd, uint64_t guest, uint64_t bytes,
			 struct disk_place *out)
{
	struct disk_run run = d->looked;

	if (!d->info.read_only || run.fd != fd || guest < run.from ||
	    guest >= run.to)
		seek(fd, guest, &run);
	d->looked = run;
	out->is_zero = run.is_zero;
	out->bytes = MIN(bytes, run.to - guest);
}

static void look_at_raw(struct disk *d, int fd, uint64_t guest, uint64_t bytes,
			unsigned int layer, struct disk_place *out)
{
	*out = (struct disk_place){ .layer = layer,
				    .is_there = true,
				    .has_offset = true,
				    .offset = guest };
	look_at_file(d, fd, guest, bytes, out);
}

static int look_at_chain(struct disk *d, uint64_t guest, uint64_t bytes,
			 struct disk_place *out)
{
	struct chain *c = &qcow2_disk(d)->chain;
	struct chain_extent x;
	int r = chain_map(c, 0, guest, bytes, &x);

	if (r)
		return r;
	if (x.kind == QCOW2_DATA && c->layer[x.layer].format == DISK_RAW) {
		look_at_raw(d, c->layer[x.layer].fd, x.host, x.bytes, x.layer,
			    out);
		return 0;
	}
	*out = (struct disk_place){
		.bytes = x.bytes,
		.layer = MIN(x.layer, c->depth - 1),
		.is_there = x.layer < c->depth,
		.is_zero = x.kind == QCOW2_ZEROES,
		.is_packed = x.kind == QCOW2_PACKED,
		.has_offset = x.kind == QCOW2_DATA,
		.offset = x.host,
	};
	return 0;
}

int disk_look(struct disk *d, uint64_t guest, uint64_t bytes,
	      struct disk_place *out)
{
	if (d->info.format == DISK_QCOW2)
		return look_at_chain(d, guest, bytes, out);
	look_at_raw(d, d->fd, guest, bytes, 0, out);
	return 0;
}

int disk_peek(struct disk *d, void *out, uint64_t n, uint64_t guest)
{
	struct chain *c = chain_of(d);

	return c ? chain_read(c, 0, out, n, guest)
		 : file_read_at(d->files, d->fd, out, n, guest);
}

int disk_explain(const struct disk *d, int r, struct err *e)
{
	const char *damage = r == -EIO ? disk_damage(d) : NULL;

	return damage ? err_set(e, r, "%s", damage) : r;
}

/* --- layers ---------------------------------------------------------- */

unsigned int disk_layers(const struct disk *d)
{
	const struct chain *c = chain_of(d);

	return c ? c->depth : 1;
}

const char *disk_layer_path(const struct disk *d, unsigned int layer)
{
	const struct chain *c = chain_of(d);

	return c ? c->layer[layer].path : d->path;
}

struct qcow2 *disk_layer_qcow2(const struct disk *d, unsigned int layer)
{
	struct chain *c = chain_of(d);

	return c && c->layer[layer].format == DISK_QCOW2 ? &c->layer[layer].q
							 : NULL;
}

enum disk_format disk_layer_format(const struct disk *d, unsigned int layer)
{
	const struct chain *c = chain_of(d);

	return c ? c->layer[layer].format : DISK_RAW;
}

uint64_t disk_layer_bytes(const struct disk *d, unsigned int layer)
{
	const struct chain *c = chain_of(d);

	return c ? c->layer[layer].bytes : d->info.bytes;
}

uint64_t disk_layer_taken(const struct disk *d, unsigned int layer)
{
	const struct chain *c = chain_of(d);
	struct stat st;

	if (fstat(c ? c->layer[layer].fd : d->fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

/* --- resizing -------------------------------------------------------- */

/*
 * Behind the present end a larger backing file must not show through, and not
 * for a moment: what can be hidden is hidden before it is inside.
 */
static int hide_backing(struct disk *d, uint64_t bytes, uint64_t *to_write)
{
	struct chain *c = &qcow2_disk(d)->chain;
	uint64_t unit = UINT64_C(1) << c->layer[0].q.unit_bits;
	uint64_t old = d->info.bytes, rest = -old & (unit - 1);
	int r;

	*to_write = 0;
	if (bytes <= old || c->depth == 1)
		return 0;
	r = qcow2_hide_behind_end(&c->layer[0].q, bytes);
	*to_write = r ? bytes - old : MIN(rest, bytes - old);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int resize_qcow2(struct disk *d, struct ioq *q, uint64_t bytes,
			struct err *e)
{
	struct chain *c = &qcow2_disk(d)->chain;
	uint64_t old = d->info.bytes, to_write = 0;
	int r = 0;

	if (bytes < old)
		r = copy_request(d, q, DISK_ZERO, bytes, old - bytes);
	if (!r)
		r = copy_request(d, q, DISK_FLUSH, 0, 0);
	if (!r)
		r = hide_backing(d, bytes, &to_write);
	if (r && r != -EFBIG)
		return err_sys(e, r, "%s", d->path);
	r = qcow2_resize(&c->layer[0].q, bytes, e);
	if (r)
		return r;
	d->info.bytes = c->layer[0].bytes = bytes;
	if (to_write)
		r = copy_request(d, q, DISK_ZERO, old, to_write);
	if (!r)
		r = copy_request(d, q, DISK_FLUSH, 0, 0);
	return r ? err_sys(e, r, "%s", d->path) : 0;
}

int disk_resize(struct disk *d, struct ioq *q, uint64_t bytes, struct err *e)
{
	if (bytes % DISK_SECTOR_BYTES || bytes > INT64_MAX || !bytes)
		return err_set(e, -EINVAL,
			       "%s: the size %" PRIu64
			       " is not a multiple of %d",
			       d->path, bytes, DISK_SECTOR_BYTES);
	if (d->info.format == DISK_QCOW2)
		return resize_qcow2(d, q, bytes, e);
	if (ftruncate(d->fd, (off_t)bytes) < 0)
		return err_sys(e, -errno, "%s", d->path);
	d->info.bytes = bytes;
	return 0;
}
