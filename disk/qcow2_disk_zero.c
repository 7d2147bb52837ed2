/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zeroing and discarding of a qcow2 disk: whole units in the tables, the
 * rest as data. The queue's thread.
 */
#include <errno.h>

#include "disk/qcow2_disk.h"

#define ZERO_BYTES (256U << 20) /* zeroed as one part, at most */

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Zeroes as data: of a part of a unit, or where the format has no other. */
static bool write_zeroes(struct disk *d, struct disk_request *r, uint64_t bytes,
			 int *error)
{
	uint64_t at = r->offset + r->moved;
	struct qcow2_extent x;

	if (qcow2_is_taken(d, at, bytes)) {
		qcow2_wait(d, r);
		return true;
	}
	r->part.bytes = bytes;
	if (qcow2_reads_as_zeroes(d, at, at + bytes, error)) {
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
		return qcow2_write_anew(d, r, r->part.bytes, &x, error);
	qcow2_start(d, r, IO_ZERO, qcow2_disk(d)->cached_fd, x.host,
		    qcow2_written_in_place);
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
	if (is_frozen(k) || qcow2_is_taken(d, at, n)) {
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
