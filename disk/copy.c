/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copier: pieces of memory, each with at most one request. One thread.
 */
#include "disk/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "disk/file_io.h"
#include "disk/format.h"

#define PIECE_BYTES (1u << 20)
#define PIECES	    8 /* on their way */
#define ZERO_UNIT   4096u
#define ZERO_BYTES  (64u << 20) /* zeroed by one request */
#define SYNC_BYTES  (32u << 20) /* written before they begin to be synced */

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct copy;

struct piece {
	struct disk_request r; /* first: done() gets it */
	struct iovec iov;
	struct copy *copy;
	uint8_t *memory; /* owned */
	bool is_busy;
};

struct copy {
	struct copy_plan *plan;
	struct piece piece[PIECES];
	int error;	  /* of a write, the first */
	uint64_t syncing; /* of plan->copied: begun */
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

static int run_queue(struct copy *k)
{
	int r = ioq_run(k->plan->q, IOQ_FOREVER);

	if (r < 0 && !k->error)
		k->error = r;
	return r;
}

/* Waits until one of them is free; NULL: a write has failed. */
static struct piece *free_piece(struct copy *k)
{
	unsigned int i;

	while (!k->error) {
		for (i = 0; i < PIECES; i++)
			if (!k->piece[i].is_busy)
				return &k->piece[i];
		run_queue(k);
	}
	return NULL;
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
				      .may_unmap = true,
				      .done = written };
	disk_submit(k->plan->to, &p->r);
}

static int write_error(struct copy *k)
{
	return err_sys(k->e, k->error, "writing");
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

/* Data may be zeroes all the same: an empty disk needs none. */
static int write_runs(struct copy *k, struct piece *p, uint64_t at, uint64_t n)
{
	uint64_t done, run;
	bool is_zero;

	for (done = 0; done < n && !k->error; done += run) {
		run = like_run(p->memory + done, n - done, &is_zero);
		if (is_zero)
			continue;
		/* One request for each piece of memory at a time. */
		while (p->is_busy && !k->error)
			run_queue(k);
		submit(k, p, DISK_WRITE, at + done, p->memory + done, run);
		k->plan->copied += run;
	}
	return k->error ? write_error(k) : 0;
}

static int copy_data(struct copy *k, uint64_t at, uint64_t n)
{
	struct piece *p = free_piece(k);
	int r;

	if (!p)
		return write_error(k);
	r = k->plan->peek(k->plan->ctx, p->memory, n, at);
	if (r)
		return err_sys(k->e, r, "reading at %" PRIu64, at);
	if (k->plan->to_is_empty)
		return write_runs(k, p, at, n);
	submit(k, p, DISK_WRITE, at, p->memory, n);
	k->plan->copied += n;
	return 0;
}

static int zero(struct copy *k, uint64_t at, uint64_t n)
{
	struct piece *p = free_piece(k);

	if (!p)
		return write_error(k);
	submit(k, p, DISK_ZERO, at, p->memory, n);
	return 0;
}

/* --- all of it ------------------------------------------------------- */

static int one_step(struct copy *k, uint64_t at, uint64_t *n)
{
	struct copy_plan *plan = k->plan;
	enum copy_what what = COPY_SKIP;
	int r = plan->look(plan->ctx, at, plan->bytes - at, n, &what);

	if (r)
		return err_sys(k->e, r, "looking at %" PRIu64, at);
	if (what == COPY_SKIP || (what == COPY_ZERO && plan->to_is_empty))
		return 0;
	*n = MIN(*n, what == COPY_DATA ? PIECE_BYTES : ZERO_BYTES);
	return what == COPY_DATA ? copy_data(k, at, *n) : zero(k, at, *n);
}

/* The storage works while the next piece is copied, not only in the end. */
static void begin_sync(struct copy *k)
{
	struct copy_plan *plan = k->plan;

	if (plan->copied - k->syncing < SYNC_BYTES)
		return;
	k->syncing = plan->copied;
	file_begin_sync(plan->to->files, plan->to->fd);
}

static int copy_all(struct copy *k)
{
	struct copy_plan *plan = k->plan;
	uint64_t at, n = 0;
	int r = 0;

	for (at = 0; at < plan->bytes && !r; at += n) {
		r = one_step(k, at, &n);
		begin_sync(k);
		if (!r && plan->progress &&
		    plan->progress(
			    plan->progress_ctx,
			    (unsigned int)(at / (plan->bytes / 1000 + 1))))
			r = err_set(k->e, -ECANCELED, "cancelled");
	}
	while (ioq_in_flight(plan->q) && run_queue(k) >= 0)
		;
	return r || !k->error ? r : write_error(k);
}

int copy_run(struct copy_plan *plan, struct err *e)
{
	struct copy k = { .plan = plan, .e = e, .syncing = plan->copied };
	unsigned int i;
	int r = 0;

	for (i = 0; i < PIECES && !r; i++)
		if (posix_memalign((void **)&k.piece[i].memory, 4096,
				   PIECE_BYTES)) {
			k.piece[i].memory = NULL;
			r = err_sys(e, -ENOMEM, "memory for a copy");
		}
	if (!r)
		r = copy_all(&k);
	for (i = 0; i < PIECES; i++)
		free(k.piece[i].memory);
	return r;
}

struct wait {
	struct disk_request r;
	bool is_over;
	int error;
};

static void ended(struct disk_request *r, int error)
{
	struct wait *w = (struct wait *)r;

	w->is_over = true;
	w->error = error;
}

static int finish(struct disk *d, struct ioq *q, struct wait *w)
{
	int r;

	w->r.done = ended;
	disk_submit(d, &w->r);
	while (!w->is_over) {
		r = ioq_run(q, IOQ_FOREVER);
		if (r < 0)
			return r;
	}
	return w->error;
}

int copy_request(struct disk *d, struct ioq *q, enum disk_op op,
		 uint64_t offset, uint64_t bytes)
{
	struct wait w = { .r = { .op = op,
				 .offset = offset,
				 .bytes = bytes,
				 .may_unmap = true } };

	return finish(d, q, &w);
}

int copy_write(struct disk *d, struct ioq *q, uint64_t offset, void *memory,
	       uint64_t bytes)
{
	const struct iovec iov = { memory, bytes };
	struct wait w = { .r = { .op = DISK_WRITE,
				 .offset = offset,
				 .bytes = bytes,
				 .iov = &iov,
				 .iovs = 1 } };

	return finish(d, q, &w);
}
