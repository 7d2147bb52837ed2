/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a qcow2 disk: in place, or to clusters that are taken, filled
 * and, when the data is written, linked. Of a cluster that is written in part
 * the rest is copied from what the chain shows there, unless both are zero.
 * The queue's thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "disk/qcow2_disk.h"

#define RUN_BYTES (4U << 20) /* written anew as one part, at most */

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* --- clusters that are being written anew ---------------------------- */

bool qcow2_is_taken(struct disk *d, uint64_t guest, uint64_t bytes)
{
	const struct disk_request *r = qcow2_disk(d)->allocs;
	unsigned int bits = top_of(d)->cluster_bits;
	uint64_t first = guest >> bits, last = (guest + bytes - 1) >> bits;

	for (; r; r = r->part.next_alloc)
		if (first < (r->part.guest >> bits) + r->part.count &&
		    last >= r->part.guest >> bits)
			return true;
	return false;
}

static void leave_allocs(struct disk *d, struct disk_request *r)
{
	struct disk_request **at = &qcow2_disk(d)->allocs;

	while (*at != r)
		at = &(*at)->part.next_alloc;
	*at = r->part.next_alloc;
}

/* --- the end of a part ----------------------------------------------- */

static void next_part(struct disk *d, struct disk_request *r, int error)
{
	free(r->bounce);
	r->bounce = NULL;
	if (error) {
		qcow2_mark_corrupt(top_of(d));
		qcow2_end(d, r, error);
		return;
	}
	r->moved += r->part.bytes;
	r->part.fetches = 0;
	r->part.is_zeroes = r->part.is_pull = false;
	qcow2_go_on(d, r);
}

static void link_part(struct disk *d, struct disk_request *r)
{
	struct disk_part *p = &r->part;
	int error = qcow2_link(top_of(d), p->guest, p->count, p->host, p->unit,
			       p->units);

	leave_allocs(d, r);
	p->count = 0;
	next_part(d, r, error);
}

void qcow2_link_waiting(struct disk *d)
{
	struct disk_request *r = request_list_take(&qcow2_disk(d)->linking);
	struct disk_request *next;

	for (; r; r = next) {
		next = r->next;
		link_part(d, r);
	}
}

static void untake(struct disk *d, struct disk_request *r)
{
	if (!r->part.reuses)
		qcow2_untake(top_of(d), r->part.host, r->part.count);
	r->part.count = 0;
}

static void abandon(struct disk *d, struct disk_request *r, int error)
{
	leave_allocs(d, r);
	untake(d, r);
	next_part(d, r, error);
	qcow2_wake(d);
}

static void written_anew(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);
	struct disk *d = r->disk;

	qcow2_started_over(d, r);
	if (error) {
		abandon(d, r, error);
		return;
	}
	if (is_frozen(qcow2_disk(d))) {
		request_list_add(&qcow2_disk(d)->linking, r);
		return;
	}
	link_part(d, r);
	qcow2_wake(d);
}

void qcow2_written_in_place(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	qcow2_started_over(r->disk, r);
	next_part(r->disk, r, error);
}

/* --- writing anew ---------------------------------------------------- */

void qcow2_filled(struct disk *d, struct disk_request *r, int error)
{
	uint64_t at = r->bounce ? r->part.from : r->offset + r->moved;
	uint64_t place = r->part.host + (at - r->part.guest);

	if (error)
		abandon(d, r, error);
	else
		qcow2_start(d, r, IO_WRITE, qcow2_data_fd(d, r, place), place,
			    written_anew);
}

/* How many whole clusters of the run from `at` on are written at once. */
static uint64_t whole_clusters(struct disk *d, uint64_t at, uint64_t bytes,
			       const struct qcow2_extent *x)
{
	const struct qcow2 *q = top_of(d);
	uint64_t n;

	if (at & (q->cluster_bytes - 1))
		return 0;
	n = MIN(bytes, MAX(RUN_BYTES, q->cluster_bytes)) >> q->cluster_bits;
	if (x->host || x->kind == QCOW2_PACKED)
		return MIN(n, 1);
	n = MIN(n, MAX(x->bytes >> q->cluster_bits, 1));
	while (n > 1 && qcow2_is_taken(d, at, n << q->cluster_bits))
		n /= 2;
	return n;
}

static void plan(struct disk *d, struct disk_request *r, uint64_t at,
		 uint64_t left, const struct qcow2_extent *x)
{
	const struct qcow2 *q = top_of(d);
	struct disk_part *p = &r->part;
	uint64_t whole = whole_clusters(d, at, left, x), end;
	uint64_t unit = UINT64_C(1) << q->unit_bits;

	/* What is in place beside it is written in place by others. */
	if (!whole && x->is_ours && x->host)
		left = MIN(left, x->bytes);
	p->guest = at & ~(uint64_t)(q->cluster_bytes - 1);
	p->count = MAX(whole, 1);
	end = whole ? at + (whole << q->cluster_bits)
		    : MIN(at + left, p->guest + q->cluster_bytes);
	p->bytes = end - at;
	/* Units that others share come along. */
	if (!x->is_ours && (x->host || x->kind == QCOW2_PACKED))
		unit = q->cluster_bytes;
	p->from = at & ~(unit - 1);
	p->to = (end + unit - 1) & ~(unit - 1);
	p->unit = (uint32_t)((p->from - p->guest) >> q->unit_bits);
	p->units = whole ? q->subclusters
			 : (uint32_t)((p->to - p->from) >> q->unit_bits);
}

static int take(struct disk *d, struct disk_request *r,
		const struct qcow2_extent *x, bool *is_fresh)
{
	struct qcow2 *q = top_of(d);
	uint64_t got;
	int error;

	r->part.reuses = x->is_ours && x->host && x->kind != QCOW2_DATA;
	if (r->part.reuses) {
		*is_fresh = false;
		r->part.host = x->host;
		return 0;
	}
	error = qcow2_take(q, r->part.count, &r->part.host, &got, is_fresh);
	if (error || got == r->part.count)
		return error;
	r->part.count = got;
	r->part.bytes = got << q->cluster_bits;
	r->part.to = r->part.from + r->part.bytes;
	return 0;
}

/* All but the wait: the clusters are taken, and it is known if to fill. */
static int begin_anew(struct disk *d, struct disk_request *r, uint64_t left,
		      const struct qcow2_extent *x, bool *fills)
{
	bool is_fresh = false;
	int error = 0;

	plan(d, r, r->offset + r->moved, left, x);
	/* Before: a fresh cluster that is given back is fresh no more. */
	*fills = qcow2_needs_fill(d, r, true, &error);
	if (!error)
		error = take(d, r, x, &is_fresh);
	if (error) {
		r->part.count = 0;
		return error;
	}
	if (!is_fresh)
		*fills = qcow2_needs_fill(d, r, false, &error);
	if (*fills)
		error = qcow2_get_bounce(r);
	if (error)
		untake(d, r);
	return error;
}

bool qcow2_write_anew(struct disk *d, struct disk_request *r, uint64_t left,
		      const struct qcow2_extent *x, int *error)
{
	bool fills = false;

	if (qcow2_is_taken(d, r->offset + r->moved, 1)) {
		qcow2_wait(d, r);
		return true;
	}
	*error = begin_anew(d, r, left, x, &fills);
	if (*error)
		return false;
	r->part.next_alloc = qcow2_disk(d)->allocs;
	qcow2_disk(d)->allocs = r;
	if (fills)
		qcow2_fill(d, r);
	else
		qcow2_filled(d, r, 0);
	return true;
}

bool qcow2_write_part(struct disk *d, struct disk_request *r, int *error)
{
	uint64_t at = r->offset + r->moved;
	struct qcow2_extent x;

	*error = qcow2_map(top_of(d), at, r->bytes - r->moved, &x);
	if (*error)
		return false;
	if (x.kind != QCOW2_DATA || !x.is_ours)
		return qcow2_write_anew(d, r, r->bytes - r->moved, &x, error);
	r->part.bytes = x.bytes;
	r->part.count = 0;
	qcow2_start(d, r, IO_WRITE, qcow2_data_fd(d, r, x.host), x.host,
		    qcow2_written_in_place);
	return true;
}
