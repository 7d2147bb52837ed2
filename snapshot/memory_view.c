/* SPDX-License-Identifier: Apache-2.0 */
/* Images laid over each other, the oldest first. */
#include "snapshot/memory_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "vmm/ram_image.h"

#define PIECE (1u << 20)
#define PAGE  4096u

#define MIN(a, b) ((a) < (b) ? (a) : (b))

int memory_view_open(struct memory_view *v, int dir,
		     const struct snapshot_meta *m, struct err *e)
{
	struct stat st;
	int r = memory_open(dir, m, &v->images, e);

	if (r)
		return r;
	if (!fstat(v->images.fd[v->images.count - 1], &st)) {
		v->end = (uint64_t)st.st_size;
		return 0;
	}
	r = err_sys(e, -errno, "memory");
	memory_view_close(v);
	return r;
}

void memory_view_close(struct memory_view *v)
{
	ram_images_close(&v->images);
}

/* A file system that does not know holes says: all is data. */
static uint64_t next_data(int fd, uint64_t at, uint64_t end)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? end : at;
	return MIN((uint64_t)data, end);
}

static uint64_t next_hole(int fd, uint64_t at, uint64_t end)
{
	off_t hole = lseek(fd, (off_t)at, SEEK_HOLE);

	return hole < 0 ? end : MIN((uint64_t)hole, end);
}

uint64_t memory_view_next(const struct memory_view *v, uint64_t at)
{
	uint64_t first = v->end, data;
	unsigned int i;

	for (i = 0; i < v->images.count; i++) {
		data = next_data(v->images.fd[i], at, v->end);
		first = MIN(first, data);
	}
	return MIN(first & ~(uint64_t)(PAGE - 1), v->end);
}

static int read_range(int fd, uint8_t *to, uint64_t at, uint64_t n)
{
	ssize_t done;

	while (n) {
		done = pread(fd, to, n, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : 0;
		to += done;
		at += (uint64_t)done;
		n -= (uint64_t)done;
	}
	return 0;
}

/* What one image has there, over what is in to. */
static int lay_over(int fd, uint8_t *to, uint64_t at, uint64_t end)
{
	uint64_t from, until;
	int r = 0;

	for (from = at; from < end && !r; from = until) {
		from = next_data(fd, from, end);
		until = from < end ? next_hole(fd, from, end) : end;
		if (from < until)
			r = read_range(fd, to + (from - at), from,
				       until - from);
	}
	return r;
}

int memory_view_read(const struct memory_view *v, uint64_t at, void *to,
		     size_t n)
{
	unsigned int i;
	int r = 0;

	memset(to, 0, n);
	for (i = 0; i < v->images.count && !r; i++)
		r = lay_over(v->images.fd[i], to, at, at + n);
	return r;
}

static int write_page(int fd, const uint8_t *page, uint64_t at)
{
	if (memory_is_zero(page, PAGE))
		return 0;
	return pwrite(fd, page, PAGE, (off_t)at) == PAGE ? 0
	       : errno					 ? -errno
							 : -EIO;
}

int memory_view_flatten(const struct memory_view *v, int fd, struct err *e)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t at = 0, n, i;
	int r = piece ? 0 : -ENOMEM;

	if (!r && ftruncate(fd, (off_t)v->end) < 0)
		r = -errno;
	while (!r && (at = memory_view_next(v, at)) < v->end) {
		n = MIN(PIECE, v->end - at);
		r = memory_view_read(v, at, piece, PIECE);
		for (i = 0; i < n && !r; i += PAGE)
			r = write_page(fd, piece + i, at + i);
		at += n;
	}
	free(piece);
	return r ? err_sys(e, r, "memory") : 0;
}
