/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space for a new image before anything is written to it: its tables, and,
 * as far as asked for, its file. Any thread; it blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "disk/file_io.h"
#include "disk/qcow2.h"
#include "disk/qcow2_create.h"

#define CACHE_BYTES (8U << 20)
#define RUN	    65536 /* clusters linked at once */
#define ZERO_BYTES  (1U << 20)

const char *const qcow2_prealloc_names[] = {
	[QCOW2_PREALLOC_OFF] = "off",
	[QCOW2_PREALLOC_METADATA] = "metadata",
	[QCOW2_PREALLOC_FALLOC] = "falloc",
	[QCOW2_PREALLOC_FULL] = "full",
	NULL,
};

static int write_zeroes(int fd, uint64_t at, uint64_t bytes,
			const struct file_ops *files)
{
	/* Never written; a const one would be 1 MiB of the program's file. */
	static uint8_t zeroes[ZERO_BYTES];
	uint64_t n;
	int r = 0;

	for (; bytes && !r; at += n, bytes -= n) {
		n = bytes < ZERO_BYTES ? bytes : ZERO_BYTES;
		r = file_write_at(files, fd, zeroes, n, at);
	}
	return r;
}

/* The file [0, bytes) as it is, with space behind all of it. */
static int allocate(int fd, uint64_t bytes)
{
	int r;

	if (!bytes)
		return 0;
	do
		r = posix_fallocate(fd, 0, (off_t)bytes);
	while (r == EINTR);
	return -r;
}

int file_preallocate(int fd, uint64_t bytes, enum qcow2_prealloc how,
		     const struct file_ops *files)
{
	switch (how) {
	case QCOW2_PREALLOC_FALLOC:
		return allocate(fd, bytes);
	case QCOW2_PREALLOC_FULL:
		return write_zeroes(fd, 0, bytes, files);
	default:
		return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
	}
}

/* Every cluster of the disk gets one of the file; none holds data yet. */
static int link_all(struct qcow2 *q)
{
	uint64_t n = (q->h.bytes + q->cluster_bytes - 1) >> q->cluster_bits;
	uint64_t at, host, got;
	bool is_fresh;
	int r = 0;

	for (at = 0; at < n && !r; at += got) {
		r = qcow2_take(q, n - at < RUN ? n - at : RUN, &host, &got,
			       &is_fresh);
		if (!r && !is_fresh) /* a table was there once */
			r = write_zeroes(q->fd, host, got << q->cluster_bits,
					 q->files);
		if (!r)
			r = qcow2_link(q, at << q->cluster_bits, got, host, 0,
				       q->subclusters);
	}
	if (!r)
		r = qcow2_flush(q);
	return r ? r : qcow2_flush(q); /* what became free by it */
}

/*
 * The tables are in the file already: only what is behind them, which no one
 * has written, may be filled.
 */
static int fill_full(struct qcow2 *q)
{
	struct qcow2_extent x;
	uint64_t guest;
	int r = 0;

	for (guest = 0; guest < q->h.bytes && !r; guest += x.bytes) {
		r = qcow2_map(q, guest, q->h.bytes - guest, &x);
		if (!r)
			r = write_zeroes(q->fd, x.host, x.bytes, q->files);
	}
	return r;
}

int qcow2_preallocate(int fd, const char *path, enum qcow2_prealloc how,
		      const struct file_ops *files, struct err *e)
{
	struct qcow2 q;
	uint64_t end;
	int r;

	if (how == QCOW2_PREALLOC_OFF)
		return 0;
	r = qcow2_open(&q, fd, path, files, QCOW2_WRITE, CACHE_BYTES, e);
	if (r)
		return r;
	r = *q.h.backing ? -EINVAL : link_all(&q);
	end = q.fresh << q.cluster_bits;
	if (!r)
		r = how == QCOW2_PREALLOC_FULL ? fill_full(&q) : 0;
	qcow2_fini(&q);
	if (!r)
		r = how == QCOW2_PREALLOC_FALLOC
			    ? allocate(fd, end)
			    : (ftruncate(fd, (off_t)end) < 0 ? -errno : 0);
	if (r == -EINVAL)
		return err_set(e, r,
			       "%s: what is allocated hides the backing file: "
			       "preallocation is for images without one",
			       path);
	return r ? err_sys(e, r, "%s: preallocation", path) : 0;
}
