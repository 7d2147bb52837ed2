/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a disk into a new image: what reads as zeroes is not written, what
 * is data is read while earlier pieces are being written. One thread.
 */
#include "disk/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)
#define PIECES	    8 /* on their way */
#define ZERO_UNIT   4096u

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct piece {
	struct disk_request r; /* first: done() gets it */
	struct iovec iov;
	struct copy *copy;
	uint8_t *memory; /* owned */
	bool is_busy;
};

struct copy {
	struct disk *from, *to;
	struct ioq *q;
	struct convert *c;
	struct piece piece[PIECES];
	int error; /* of a write, the first */
	struct err *e;
};

/* --- writing --------------------------------------------------------- */

static void written(struct disk_request *r, int error)
{
	struct piece *p = (struct piece *)r;

	p->is_busy = false;
	if (error && !p->copy->error)
		p->copy->error = error;
}

/* Waits until one of them is free; NULL: a write has failed. */
static struct piece *free_piece(struct copy *k)
{
	unsigned int i;
	int r;

	for (;;) {
		for (i = 0; i < PIECES; i++)
			if (!k->piece[i].is_busy)
				return k->error ? NULL : &k->piece[i];
		r = ioq_run(k->q, IOQ_FOREVER);
		if (r < 0)
			k->error = r;
	}
}

static int wait_for_all(struct copy *k)
{
	int r;

	while (ioq_in_flight(k->q)) {
		r = ioq_run(k->q, IOQ_FOREVER);
		if (r < 0)
			return r;
	}
	return k->error;
}

static void submit(struct copy *k, struct piece *p, enum disk_op op,
		   uint64_t offset, void *memory, uint64_t bytes)
{
	p->iov = (struct iovec){ memory, bytes };
	p->copy = k;
	p->is_busy = true;
	p->r = (struct disk_request){ .op = op,
				      .offset = offset,
				      .bytes = bytes,
				      .iov = &p->iov,
				      .iovs = 1,
				      .done = written };
	disk_submit(k->to, &p->r);
	k->c->copied += bytes;
}

/* The run of zero, or of other, units at the start of n bytes. */
static uint64_t like_run(const uint8_t *memory, uint64_t n, bool *is_zero)
{
	uint64_t at = MIN(n, ZERO_UNIT);

	*is_zero = memory_is_zero(memory, at);
	while (at < n &&
	       memory_is_zero(memory + at, MIN(n - at, ZERO_UNIT)) == *is_zero)
		at += MIN(n - at, ZERO_UNIT);
	return at;
}

/* Data may be zeroes all the same: they are left out, where long enough. */
static int copy_piece(struct copy *k, uint64_t at, uint64_t n)
{
	struct piece *p = free_piece(k);
	uint64_t done, run;
	bool is_zero;
	int r;

	if (!p)
		return k->error;
	r = disk_peek(k->from, p->memory, n, at);
	if (r)
		return err_sys(k->e, r, "%s: reading at %" PRIu64,
			       disk_path(k->from), at);
	for (done = 0; done < n; done += run) {
		run = like_run(p->memory + done, n - done, &is_zero);
		if (is_zero)
			continue;
		submit(k, p, DISK_WRITE, at + done, p->memory + done, run);
		if (done + run == n)
			return 0;
		/* One request for each piece of memory at a time. */
		while (p->is_busy) {
			r = ioq_run(k->q, IOQ_FOREVER);
			if (r < 0)
				return r;
		}
	}
	return k->error;
}

static int copy_all(struct copy *k)
{
	uint64_t bytes = disk_get_info(k->from)->bytes, at, n;
	struct disk_place place;
	int r = 0;

	for (at = 0; at < bytes && !r; at += n) {
		r = disk_look(k->from, at, bytes - at, &place);
		if (r)
			return err_sys(k->e, r, "%s: looking at %" PRIu64,
				       disk_path(k->from), at);
		n = place.bytes;
		if (!place.is_zero) {
			n = MIN(n, PIECE_BYTES);
			r = copy_piece(k, at, n);
		}
		if (!r && k->c->progress &&
		    k->c->progress(k->c->ctx,
				   (unsigned int)(at / (bytes / 1000 + 1))))
			r = err_set(k->e, -ECANCELED, "cancelled");
	}
	n = 0;
	if (!r)
		r = wait_for_all(k);
	else
		wait_for_all(k);
	return r;
}

/* --- the new image --------------------------------------------------- */

static int open_new(struct copy *k, const struct new_file *f)
{
	struct disk_config config = { .format = k->c->format };
	char self[32];
	int r;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	config.path = self;
	r = disk_open(&k->to, &config, k->e);
	if (!r)
		r = ioq_open(&k->q, IOQ_AUTO, 4 * PIECES, NULL, k->e);
	if (!r)
		disk_attach(k->to, k->q);
	return r;
}

static int make_new(struct copy *k, const struct new_file *f)
{
	uint64_t bytes = disk_get_info(k->from)->bytes;

	if (k->c->format == DISK_RAW)
		return ftruncate(f->fd, (off_t)bytes) < 0
			       ? err_sys(k->e, -errno, "%s", f->path)
			       : 0;
	k->c->options.bytes = bytes;
	return qcow2_create(f->fd, &k->c->options, &file_ops_real, k->e);
}

static int allocate(struct copy *k)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++)
		if (posix_memalign((void **)&k->piece[i].memory, 4096,
				   PIECE_BYTES)) {
			k->piece[i].memory = NULL;
			return err_sys(k->e, -ENOMEM, "memory for a copy");
		}
	return 0;
}

static int fill(struct copy *k, const struct new_file *f)
{
	unsigned int i;
	int r = make_new(k, f);

	if (!r)
		r = open_new(k, f);
	if (!r)
		r = allocate(k);
	if (!r)
		r = copy_all(k);
	if (r && k->e && !k->e->code)
		err_sys(k->e, r, "%s: writing", f->path);
	disk_close(k->to);
	ioq_close(k->q);
	for (i = 0; i < PIECES; i++)
		free(k->piece[i].memory);
	return r;
}

int disk_convert(struct disk *from, const char *path, struct convert *c,
		 struct err *e)
{
	struct err local = ERR_NONE;
	struct copy k = { .from = from, .c = c, .e = e ? e : &local };
	struct new_file f;
	int r = new_file_open(&f, path, k.e);

	if (r)
		return r;
	c->copied = 0;
	r = fill(&k, &f);
	if (!r)
		r = new_file_publish(&f, k.e);
	new_file_close(&f);
	return r;
}

/* --- comparing ------------------------------------------------------- */

struct pair {
	struct disk *disk[2];
	uint8_t *memory[2];
	struct err *e;
};

static int look_both(struct pair *p, uint64_t at, uint64_t *n, bool *both_zero)
{
	struct disk_place place;
	uint64_t bytes;
	int i, r;

	*both_zero = true;
	for (i = 0; i < 2; i++) {
		bytes = disk_get_info(p->disk[i])->bytes;
		if (at >= bytes)
			continue; /* zeroes */
		r = disk_look(p->disk[i], at, MIN(*n, bytes - at), &place);
		if (r)
			return err_sys(p->e, r, "%s: looking at %" PRIu64,
				       disk_path(p->disk[i]), at);
		*n = place.bytes;
		*both_zero &= place.is_zero;
	}
	return 0;
}

static int read_both(struct pair *p, uint64_t at, uint64_t n)
{
	uint64_t bytes;
	int i, r;

	for (i = 0; i < 2; i++) {
		bytes = disk_get_info(p->disk[i])->bytes;
		if (at >= bytes) {
			memset(p->memory[i], 0, n);
			continue;
		}
		r = disk_peek(p->disk[i], p->memory[i], n, at);
		if (r)
			return err_sys(p->e, r, "%s: reading at %" PRIu64,
				       disk_path(p->disk[i]), at);
	}
	return 0;
}

static uint64_t first_difference(const struct pair *p, uint64_t n)
{
	uint64_t at = 0;

	while (at < n && !memcmp(p->memory[0] + at, p->memory[1] + at,
				 MIN(n - at, DISK_SECTOR_BYTES)))
		at += DISK_SECTOR_BYTES;
	return at;
}

static int compare_all(struct pair *p, uint64_t *at,
		       int (*progress)(void *ctx, unsigned int permille),
		       void *ctx)
{
	uint64_t a = disk_get_info(p->disk[0])->bytes;
	uint64_t b = disk_get_info(p->disk[1])->bytes, n, same;
	uint64_t bytes = a > b ? a : b;
	bool both_zero;
	int r;

	for (*at = 0; *at < bytes; *at += n) {
		n = bytes - *at;
		r = look_both(p, *at, &n, &both_zero);
		if (r)
			return r;
		if (!both_zero) {
			n = MIN(n, PIECE_BYTES);
			r = read_both(p, *at, n);
			if (r)
				return r;
			same = first_difference(p, n);
			*at += same < n ? same : 0;
			if (same < n)
				return 1;
		}
		if (progress &&
		    progress(ctx, (unsigned int)(*at / (bytes / 1000 + 1))))
			return err_set(p->e, -ECANCELED, "cancelled");
	}
	return 0;
}

int disk_compare(struct disk *a, struct disk *b, uint64_t *at,
		 int (*progress)(void *ctx, unsigned int permille), void *ctx,
		 struct err *e)
{
	struct pair p = { .disk = { a, b }, .e = e };
	int r;

	p.memory[0] = malloc(PIECE_BYTES);
	p.memory[1] = malloc(PIECE_BYTES);
	if (p.memory[0] && p.memory[1])
		r = compare_all(&p, at, progress, ctx);
	else
		r = err_sys(e, -ENOMEM, "memory for a comparison");
	free(p.memory[0]);
	free(p.memory[1]);
	return r;
}
