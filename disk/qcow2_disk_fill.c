/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units that are written in part: what is around the part is read from the
 * chain, piece by piece, each an operation of the queue; then all of it is
 * written at once. Nobody changes it meanwhile (INV-1). And copying up: units
 * that are all filled so. The queue's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk/iov.h"
#include "disk/qcow2_disk.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define PULL_BYTES (1U << 20) /* copied up as one part, at most */

/* --- what is needed -------------------------------------------------- */

bool qcow2_reads_as_zeroes(struct disk *d, uint64_t from, uint64_t to,
			   int *error)
{
	struct chain_extent x;

	for (; from < to; from += x.bytes) {
		*error = chain_map(&qcow2_disk(d)->chain, 0, from, to - from,
				   &x);
		if (*error || x.kind != QCOW2_ZEROES)
			return false;
	}
	return true;
}

bool qcow2_needs_fill(struct disk *d, const struct disk_request *r,
		      bool is_fresh, int *error)
{
	const struct disk_part *p = &r->part;
	uint64_t at = r->offset + r->moved, end = at + p->bytes;

	if (p->is_zeroes || p->is_pull)
		return true;
	if (p->from == at && p->to == end)
		return false;
	return !is_fresh || !qcow2_reads_as_zeroes(d, p->from, at, error) ||
	       !qcow2_reads_as_zeroes(d, end, MIN(p->to, d->info.bytes), error);
}

int qcow2_get_bounce(struct disk_request *r)
{
	size_t bytes = (size_t)(r->part.to - r->part.from);

	if (posix_memalign(&r->bounce, 4096, MAX(bytes, 4096))) {
		r->bounce = NULL;
		return -ENOMEM;
	}
	r->part.filled = r->part.from;
	return 0;
}

/* --- piece by piece -------------------------------------------------- */

static void piece_is_filled(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	qcow2_started_over(r->disk, r);
	if (error) {
		qcow2_filled(r->disk, r, error);
		return;
	}
	r->part.filled += r->bounced.iov_len;
	qcow2_fill(r->disk, r);
}

static void piece_fetched(struct io *io, int error)
{
	struct disk_request *r = qcow2_fetched(io);

	if (error)
		qcow2_filled(r->disk, r, error);
	else
		qcow2_fill(r->disk, r);
}

/* The part itself, which lies in the middle. */
static void put_part(struct disk_request *r)
{
	struct disk_part *p = &r->part;
	uint8_t *b = r->bounce;
	uint64_t at = r->offset + r->moved;

	b += at - p->from;
	if (p->is_zeroes)
		memset(b, 0, p->bytes);
	else
		iov_get(r->iov, r->iovs, r->moved, b, p->bytes);
	p->filled = at + p->bytes;
}

/* True: it is on its way. */
static bool fill_piece(struct disk *d, struct disk_request *r, uint64_t to,
		       int *error)
{
	struct chain *c = &qcow2_disk(d)->chain;
	uint64_t guest = r->part.filled;
	uint8_t *b = (uint8_t *)r->bounce + (guest - r->part.from);
	const uint8_t *cluster;
	struct chain_extent x;

	qcow2_ask(d, r);
	*error = chain_map(c, 0, guest, to - guest, &x);
	if (!*error && x.kind == QCOW2_PACKED)
		*error = chain_unpack(c, &x, &cluster);
	qcow2_ask(d, NULL);
	if (*error)
		return false;
	if (x.kind == QCOW2_DATA) {
		r->bounced = (struct iovec){ b, x.bytes };
		qcow2_start(d, r, IO_READ, c->layer[x.layer].fd, x.host,
			    piece_is_filled);
		return true;
	}
	if (x.kind == QCOW2_PACKED)
		memcpy(b, cluster + (guest - x.guest), x.bytes);
	else
		memset(b, 0, x.bytes);
	r->part.filled += x.bytes;
	return false;
}

void qcow2_fill(struct disk *d, struct disk_request *r)
{
	struct disk_part *p = &r->part;
	uint64_t at = r->offset + r->moved;
	int error = 0;

	while (p->filled < p->to && !error) {
		if (p->filled == at && !p->is_pull)
			put_part(r);
		else if (fill_piece(d, r,
				    p->filled < at && !p->is_pull ? at : p->to,
				    &error))
			return;
	}
	if (qcow2_has_missed(d, error)) {
		qcow2_fetch(d, r, piece_fetched);
		return;
	}
	r->bounced = (struct iovec){ r->bounce, p->to - p->from };
	qcow2_filled(d, r, error);
}

/* --- copying up ------------------------------------------------------ */

/*
 * Zeroes that hide what stays behind. *done 0: they have to be written.
 */
static int pull_zeroes(struct disk *d, uint64_t at, uint64_t bytes,
		       uint64_t *done)
{
	struct qcow2 *q = top_of(d);
	uint64_t unit = UINT64_C(1) << q->unit_bits;
	int r;

	*done = 0;
	bytes &= ~(unit - 1);
	if (at & (unit - 1) || !bytes)
		return 0;
	r = qcow2_zero(q, at, bytes, false, true, done);
	return r == -EOPNOTSUPP ? 0 : r;
}

static bool pull_found(struct disk *d, struct disk_request *r,
		       const struct qcow2_extent *x,
		       const struct chain_extent *y, int *error)
{
	struct qcow2_disk *k = qcow2_disk(d);
	uint64_t at = r->offset + r->moved, done;

	if (qcow2_is_taken(d, at, y->bytes) || is_frozen(k)) {
		qcow2_wait(d, r);
		return true;
	}
	if (y->kind == QCOW2_ZEROES) {
		*error = pull_zeroes(d, at, y->bytes, &done);
		r->moved += done;
		if (*error || done)
			return false;
	}
	r->part.is_pull = true;
	return qcow2_write_anew(d, r, MIN(y->bytes, PULL_BYTES), x, error);
}

bool qcow2_pull_part(struct disk *d, struct disk_request *r, int *error)
{
	struct chain *c = &qcow2_disk(d)->chain;
	uint64_t at = r->offset + r->moved;
	bool is_last = r->pull_to + 1 >= c->depth;
	struct qcow2_extent x;
	struct chain_extent y;

	*error = qcow2_map(top_of(d), at, r->bytes - r->moved, &x);
	if (*error)
		return false;
	if (x.kind != QCOW2_NONE) {
		r->moved += x.bytes;
		return false;
	}
	*error = chain_map(c, 1, at, x.bytes, &y);
	if (*error)
		return false;
	if (y.layer > r->pull_to || (y.kind == QCOW2_ZEROES && is_last)) {
		r->moved += y.bytes;
		return false;
	}
	return pull_found(d, r, &x, &y, error);
}
