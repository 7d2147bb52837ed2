/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a qcow2 disk: in place, or to clusters that are taken, filled
 * and, when the data is written, linked. Of a cluster that is written in part
 * the rest is copied from what the chain shows there, unless both are zero.
 * The queue's thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "disk/iov.h"
#include "disk/qcow2_disk.h"

#define RUN_BYTES  (4U << 20)	/* written anew as one part, at most */
#define ZERO_BYTES (256U << 20) /* zeroed as one part, at most */

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* --- clusters that are being written anew ---------------------------- */

static bool is_taken(struct disk *d, uint64_t guest, uint64_t bytes)
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
	r->part.is_zeroes = false;
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

static void written_anew(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);
	struct disk *d = r->disk;

	qcow2_started_over(d, r);
	if (error) {
		if (!r->part.reuses)
			qcow2_untake(top_of(d), r->part.host, r->part.count);
		leave_allocs(d, r);
		r->part.count = 0;
		next_part(d, r, error);
		qcow2_wake(d);
		return;
	}
	if (is_frozen(qcow2_disk(d))) {
		request_list_add(&qcow2_disk(d)->linking, r);
		return;
	}
	link_part(d, r);
	qcow2_wake(d);
}

static void written_in_place(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	qcow2_started_over(r->disk, r);
	next_part(r->disk, r, error);
}

/* --- filling --------------------------------------------------------- */

/* The part, and the whole units around it that are written with it. */
struct region {
	uint64_t from, to; /* of the virtual disk */
	uint64_t at, end;  /* of the part, inside */
};

static bool reads_as_zeroes(struct disk *d, uint64_t from, uint64_t to,
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

static int fill_from_chain(struct disk *d, struct disk_request *r,
			   const struct region *g)
{
	struct chain *c = &qcow2_disk(d)->chain;
	uint8_t *b = r->bounce;
	int error = chain_read(c, 0, b, g->at - g->from, g->from);

	if (!error)
		error = chain_read(c, 0, b + (g->end - g->from), g->to - g->end,
				   g->end);
	if (error)
		return error;
	b += g->at - g->from;
	if (r->part.is_zeroes)
		memset(b, 0, g->end - g->at);
	else
		iov_get(r->iov, r->iovs, r->moved, b, g->end - g->at);
	return 0;
}

/* Puts all of the region into one piece of memory. */
static int gather(struct disk *d, struct disk_request *r,
		  const struct region *g)
{
	size_t bytes = (size_t)(g->to - g->from);

	if (posix_memalign(&r->bounce, 4096, MAX(bytes, 4096))) {
		r->bounce = NULL;
		return -ENOMEM;
	}
	r->bounced = (struct iovec){ r->bounce, bytes };
	return fill_from_chain(d, r, g);
}

/* True: the part is written as it is, what is around it is right already. */
static bool needs_no_fill(struct disk *d, const struct disk_request *r,
			  const struct region *g, bool is_fresh, int *error)
{
	if (r->part.is_zeroes)
		return false;
	if (g->from == g->at && g->to == g->end)
		return true;
	return is_fresh && reads_as_zeroes(d, g->from, g->at, error) &&
	       reads_as_zeroes(d, g->end, MIN(g->to, d->info.bytes), error);
}

/* --- writing anew ---------------------------------------------------- */

static void submit_anew(struct disk *d, struct disk_request *r,
			const struct region *g)
{
	uint64_t at = r->bounce ? g->from : g->at;
	uint64_t place = r->part.host + (at - r->part.guest);

	r->part.next_alloc = qcow2_disk(d)->allocs;
	qcow2_disk(d)->allocs = r;
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
	while (n > 1 && is_taken(d, at, n << q->cluster_bits))
		n /= 2;
	return n;
}

static struct region plan(struct disk *d, struct disk_request *r, uint64_t at,
			  const struct qcow2_extent *x)
{
	const struct qcow2 *q = top_of(d);
	uint64_t left = r->part.is_zeroes ? r->part.bytes : r->bytes - r->moved;
	uint64_t whole = whole_clusters(d, at, left, x);
	uint64_t unit = UINT64_C(1) << q->unit_bits;
	uint64_t cluster = at & ~(uint64_t)(q->cluster_bytes - 1);
	struct region g = { .at = at };

	/* What is in place beside it is written in place by others. */
	if (!whole && x->is_ours && x->host)
		left = MIN(left, x->bytes);
	r->part.guest = cluster;
	r->part.count = MAX(whole, 1);
	g.end = whole ? at + (whole << q->cluster_bits)
		      : MIN(at + left, cluster + q->cluster_bytes);
	r->part.bytes = g.end - at;
	/* Units that others share come along. */
	if (!x->is_ours && (x->host || x->kind == QCOW2_PACKED))
		unit = q->cluster_bytes;
	g.from = at & ~(unit - 1);
	g.to = (g.end + unit - 1) & ~(unit - 1);
	r->part.unit = (uint32_t)((g.from - cluster) >> q->unit_bits);
	r->part.units = whole ? q->subclusters
			      : (uint32_t)((g.to - g.from) >> q->unit_bits);
	return g;
}

static int take(struct disk *d, struct disk_request *r, struct region *g,
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
	g->end = g->to = g->at + (got << q->cluster_bits);
	r->part.bytes = g->end - g->at;
	return 0;
}

static bool write_anew(struct disk *d, struct disk_request *r,
		       const struct qcow2_extent *x, int *error)
{
	uint64_t at = r->offset + r->moved;
	bool is_fresh = false;
	struct region g;

	if (is_taken(d, at, 1)) {
		qcow2_wait(d, r);
		return true;
	}
	g = plan(d, r, at, x);
	*error = take(d, r, &g, x, &is_fresh);
	if (*error) {
		r->part.count = 0;
		return false;
	}
	if (!needs_no_fill(d, r, &g, is_fresh, error) && !*error)
		*error = gather(d, r, &g);
	if (*error) {
		if (!r->part.reuses)
			qcow2_untake(top_of(d), r->part.host, r->part.count);
		r->part.count = 0;
		return false;
	}
	submit_anew(d, r, &g);
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
		return write_anew(d, r, &x, error);
	r->part.bytes = x.bytes;
	r->part.count = 0;
	qcow2_start(d, r, IO_WRITE, qcow2_data_fd(d, r, x.host), x.host,
		    written_in_place);
	return true;
}

/* --- zeroes ---------------------------------------------------------- */

/* Zeroes as data: of a part of a unit, or where the format has no other. */
static bool write_zeroes(struct disk *d, struct disk_request *r, uint64_t bytes,
			 int *error)
{
	uint64_t at = r->offset + r->moved;
	struct qcow2_extent x;

	if (is_taken(d, at, bytes)) {
		qcow2_wait(d, r);
		return true;
	}
	r->part.bytes = bytes;
	if (reads_as_zeroes(d, at, at + bytes, error)) {
		r->moved += bytes;
		return false;
	}
	if (!*error)
		*error = qcow2_map(top_of(d), at, bytes, &x);
	if (*error)
		return false;
	r->part.bytes = MIN(bytes, x.bytes);
	r->part.is_zeroes = true;
	if (x.kind != QCOW2_DATA || !x.is_ours)
		return write_anew(d, r, &x, error);
	qcow2_start(d, r, IO_ZERO, qcow2_disk(d)->cached_fd, x.host,
		    written_in_place);
	return true;
}

/* The whole units at the beginning of what is left, as a length. */
static uint64_t whole_units(const struct disk *d, uint64_t at, uint64_t left)
{
	uint64_t unit = UINT64_C(1) << top_of(d)->unit_bits;

	if (at & (unit - 1))
		return 0;
	if (at + left == d->info.bytes) /* the last one is cut */
		left = (left + unit - 1) & ~(unit - 1);
	return MIN(left & ~(unit - 1), ZERO_BYTES);
}

/* A part of a unit: a discard leaves it, it is only a hint. */
static bool zero_edge(struct disk *d, struct disk_request *r, int *error)
{
	uint64_t unit = UINT64_C(1) << top_of(d)->unit_bits;
	uint64_t at = r->offset + r->moved;
	uint64_t n = MIN(r->bytes - r->moved, unit - (at & (unit - 1)));

	if (r->op == DISK_ZERO)
		return write_zeroes(d, r, n, error);
	r->moved += n;
	return false;
}

bool qcow2_zero_part(struct disk *d, struct disk_request *r, int *error)
{
	struct qcow2_disk *k = qcow2_disk(d);
	uint64_t at = r->offset + r->moved, left = r->bytes - r->moved;
	uint64_t n = whole_units(d, at, left), done = 0;
	bool keep = r->op == DISK_ZERO && !r->may_unmap;

	if (!n)
		return zero_edge(d, r, error);
	if (is_frozen(k) || is_taken(d, at, n)) {
		qcow2_wait(d, r);
		return true;
	}
	*error = qcow2_zero(top_of(d), at, n, keep, k->chain.depth > 1, &done);
	if (*error == -EOPNOTSUPP && !done) {
		n = MIN(left, top_of(d)->cluster_bytes -
				      (at & (top_of(d)->cluster_bytes - 1)));
		*error = 0;
		if (r->op == DISK_ZERO)
			return write_zeroes(d, r, n, error);
		done = n;
	}
	r->moved += MIN(done, left);
	return false;
}
