/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File operations on a file in memory that know what a power cut would leave:
 * what was synced, and of the rest any part, sector by sector, in any order.
 * One thread.
 */
#ifndef AMBER_TESTS_UNIT_CRASH_OPS_H
#define AMBER_TESTS_UNIT_CRASH_OPS_H

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/ioq.h"
#include "tests/unit/suite.h"

#define CRASH_SECTOR 512u

struct crash_write {
	uint64_t offset, bytes;
	uint8_t *data; /* owned; NULL: zeroes */
};

struct crash {
	struct file_ops ops;
	int fd; /* the file as everybody sees it */
	char path[32];
	uint8_t *durable;	 /* owned: what is on the disk for certain */
	uint64_t bytes;		 /* of it */
	struct crash_write *log; /* owned: what is not */
	size_t count, room;
	/* After each operation; may cut. */
	void (*done)(struct crash *c);
	void *owner;
};

static inline void crash_grow(uint8_t **image, uint64_t *have, uint64_t bytes)
{
	if (bytes <= *have)
		return;
	*image = realloc(*image, bytes);
	ck_assert_ptr_nonnull(*image);
	memset(*image + *have, 0, bytes - *have);
	*have = bytes;
}

static inline void crash_log(struct crash *c, uint64_t offset, uint8_t *data,
			     uint64_t bytes)
{
	if (c->count == c->room) {
		c->room = c->room ? 2 * c->room : 64;
		c->log = realloc(c->log, c->room * sizeof(*c->log));
		ck_assert_ptr_nonnull(c->log);
	}
	c->log[c->count++] = (struct crash_write){ offset, bytes, data };
}

static inline ssize_t crash_preadv(void *ctx, int fd, const struct iovec *iov,
				   int n, off_t offset, int flags)
{
	(void)ctx;
	return preadv2(fd, iov, n, offset, flags);
}

static inline ssize_t crash_pwritev(void *ctx, int fd, const struct iovec *iov,
				    int n, off_t offset, int flags)
{
	struct crash *c = ctx;
	ssize_t wrote = pwritev2(fd, iov, n, offset, flags);
	uint8_t *data;
	size_t at = 0;
	int i;

	if (wrote <= 0)
		return wrote;
	data = malloc((size_t)wrote);
	ck_assert_ptr_nonnull(data);
	for (i = 0; i < n && at < (size_t)wrote; i++) {
		memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	crash_log(c, (uint64_t)offset, data, (uint64_t)wrote);
	c->done(c);
	return wrote;
}

static inline void crash_apply(uint8_t *image, const struct crash_write *w,
			       uint64_t from, uint64_t n)
{
	if (w->data)
		memcpy(image + w->offset + from, w->data + from, n);
	else
		memset(image + w->offset + from, 0, n);
}

static inline int crash_fdatasync(void *ctx, int fd)
{
	struct crash *c = ctx;
	size_t i;

	(void)fd;
	for (i = 0; i < c->count; i++) {
		crash_grow(&c->durable, &c->bytes,
			   c->log[i].offset + c->log[i].bytes);
		crash_apply(c->durable, &c->log[i], 0, c->log[i].bytes);
		free(c->log[i].data);
	}
	c->count = 0;
	c->done(c);
	return 0;
}

static inline int crash_fallocate(void *ctx, int fd, int mode, off_t offset,
				  off_t len)
{
	struct crash *c = ctx;

	if (fallocate(fd, mode, offset, len))
		return -1;
	crash_log(c, (uint64_t)offset, NULL, (uint64_t)len);
	c->done(c);
	return 0;
}

/* A file in memory with these bytes, all of them durable. */
static inline void crash_init(struct crash *c, const uint8_t *image,
			      uint64_t bytes, void (*done)(struct crash *c),
			      void *owner)
{
	*c = (struct crash){ .done = done, .owner = owner };
	c->ops = (struct file_ops){ .ctx = c,
				    .preadv = crash_preadv,
				    .pwritev = crash_pwritev,
				    .fdatasync = crash_fdatasync,
				    .fallocate = crash_fallocate };
	c->fd = memfd_create("crash", MFD_CLOEXEC);
	ck_assert_int_ge(c->fd, 0);
	snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", c->fd);
	crash_grow(&c->durable, &c->bytes, bytes);
	memcpy(c->durable, image, bytes);
	ck_assert_int_eq(pwrite(c->fd, image, bytes, 0), (ssize_t)bytes);
}

static inline void crash_fini(struct crash *c)
{
	size_t i;

	for (i = 0; i < c->count; i++)
		free(c->log[i].data);
	free(c->log);
	free(c->durable);
	close(c->fd);
}

/*
 * What a cut now may leave, malloc()ed. Of each write that was not synced all,
 * nothing or a random part is there; random() is any source of numbers.
 */
static inline uint8_t *crash_cut(const struct crash *c, uint64_t *bytes,
				 uint64_t (*random)(void *ctx), void *ctx)
{
	uint8_t *image = NULL;
	uint64_t have = 0, mood = random(ctx) % 4, at, n;
	size_t i;

	crash_grow(&image, &have, c->bytes);
	memcpy(image, c->durable, c->bytes);
	for (i = 0; i < c->count; i++) {
		const struct crash_write *w = &c->log[i];
		uint64_t fate = mood == 3 ? 2 : random(ctx) % 3;

		if (mood == 0 || fate == 0)
			continue; /* dropped */
		crash_grow(&image, &have, w->offset + w->bytes);
		for (at = 0; at < w->bytes; at += n) {
			n = CRASH_SECTOR -
			    ((w->offset + at) & (CRASH_SECTOR - 1));
			n = n < w->bytes - at ? n : w->bytes - at;
			if (fate == 2 || random(ctx) % 2)
				crash_apply(image, w, at, n);
		}
	}
	*bytes = have;
	return image;
}

#endif
