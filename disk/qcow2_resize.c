/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk of another size: a larger L1 table where the old one has not
 * enough entries, then size and table change with one write of the header.
 * The image's thread; nothing is in flight, all is flushed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

/* Clusters in a row: those taken before a gap go back. */
static int take_row(struct qcow2 *q, uint64_t n, uint64_t *host)
{
	uint64_t at, got, have = 0;
	bool is_fresh;
	int r;

	while (have < n) {
		r = qcow2_take(q, n - have, &at, &got, &is_fresh);
		if (r)
			return r;
		if (have && at != *host + (have << q->cluster_bits)) {
			/* Their hint would find them again at once. */
			uint64_t hint = q->hint;

			qcow2_untake(q, *host, have);
			q->hint = hint;
			have = 0;
		}
		if (!have)
			*host = at;
		have += got;
	}
	return 0;
}

/* Size, L1 entries and L1 offset stand within 24 bytes. */
static int switch_header(struct qcow2 *q, uint64_t bytes, uint64_t entries,
			 uint64_t l1_offset)
{
	uint8_t field[24] = { 0 };
	int r;

	put_be64(field, bytes);
	put_be32(field + 12, (uint32_t)entries);
	put_be64(field + 16, l1_offset);
	r = file_write_at(q->files, q->fd, field, sizeof(field), QCOW2_AT_SIZE);
	return r ? r : qcow2_sync(q);
}

static int use_l1(struct qcow2 *q, uint64_t *l1, uint64_t entries,
		  uint64_t host)
{
	uint64_t old = q->h.l1_offset, i;
	uint64_t bytes = (uint64_t)q->h.l1_entries * 8;
	int r = 0;

	for (i = 0; i < entries * 8 && !r; i += q->cluster_bytes)
		r = qcow2_set_meta(q, host + i, true);
	for (i = 0; i < bytes && !r; i += q->cluster_bytes) {
		r = qcow2_set_meta(q, old + i, false);
		if (!r)
			r = qcow2_give_up(q, (old + i) >> q->cluster_bits, 1,
					  false);
	}
	free(q->l1);
	q->l1 = l1;
	q->h.l1_offset = host;
	q->h.l1_entries = (uint32_t)entries;
	return r;
}

int qcow2_replace_l1(struct qcow2 *q, uint64_t *l1, uint64_t entries,
		     uint64_t bytes)
{
	uint64_t clusters =
		(entries * 8 + q->cluster_bytes - 1) >> q->cluster_bits;
	uint64_t host = 0;
	int r;

	/* Each range of clusters has its refcount block at its start. */
	if (clusters >= UINT64_C(1) << q->block_bits)
		return -EFBIG;
	r = take_row(q, clusters, &host);
	if (!r)
		r = qcow2_write_numbers(q, l1, 0, entries, host);
	if (!r)
		r = qcow2_flush(q); /* its refcounts are there before it is */
	KILL_POINT("qcow2-l1-written");
	if (!r)
		r = switch_header(q, bytes, entries, host);
	KILL_POINT("qcow2-l1-switched");
	return r ? r : use_l1(q, l1, entries, host);
}

static int grow_l1(struct qcow2 *q, uint64_t bytes, uint64_t entries)
{
	uint64_t *l1 = calloc(entries, sizeof(*l1));
	int r;

	if (!l1)
		return -ENOMEM;
	memcpy(l1, q->l1, q->h.l1_entries * sizeof(*l1));
	r = qcow2_replace_l1(q, l1, entries, bytes);
	if (q->l1 != l1)
		free(l1);
	return r;
}

/*
 * Units behind the end that are whole read as zeroes before they are inside:
 * whatever is behind them in a longer backing file. -EOPNOTSUPP: version 2.
 */
int qcow2_hide_behind_end(struct qcow2 *q, uint64_t bytes)
{
	uint64_t unit = UINT64_C(1) << q->unit_bits, done;
	uint64_t at = (q->h.bytes + unit - 1) & ~(unit - 1);
	uint64_t end = (bytes + unit - 1) & ~(unit - 1);
	uint64_t entries =
		qcow2_l1_needed(bytes, q->cluster_bits, q->subclusters > 1);
	int r = 0;

	if (q->h.version < 3)
		return -EOPNOTSUPP;
	if (entries > QCOW2_L1_BYTES_MAX / 8 || q->h.snapshots)
		return 0; /* qcow2_resize() says no */
	if (entries > q->h.l1_entries)
		r = grow_l1(q, q->h.bytes, entries);
	for (; at < end && !r; at += done) {
		r = qcow2_zero(q, at, end - at, false, true, &done);
		if (!r && qcow2_is_full(q))
			r = qcow2_flush(q);
	}
	if (!r)
		r = qcow2_flush(q);
	KILL_POINT("qcow2-end-hidden");
	return r;
}

int qcow2_resize(struct qcow2 *q, uint64_t bytes, struct err *e)
{
	uint64_t entries =
		qcow2_l1_needed(bytes, q->cluster_bits, q->subclusters > 1);
	int r;

	if (q->h.snapshots)
		return err_set(e, -EINVAL,
			       "%s has %" PRIu32
			       " internal snapshots of the present size",
			       q->path, q->h.snapshots);
	if (entries > QCOW2_L1_BYTES_MAX / 8)
		return err_set(e, -EFBIG,
			       "%s: %" PRIu64
			       " bytes need larger clusters than %" PRIu32,
			       q->path, bytes, q->cluster_bytes);
	if (entries > q->h.l1_entries)
		r = grow_l1(q, bytes, entries);
	else
		r = switch_header(q, bytes, q->h.l1_entries, q->h.l1_offset);
	KILL_POINT("qcow2-resized");
	if (r == -EFBIG)
		return err_set(e, r,
			       "%s: its L1 table would need more clusters in a "
			       "row than a refcount block counts: convert it "
			       "to larger clusters",
			       q->path);
	if (r)
		return err_sys(e, r, "%s: its new size", q->path);
	q->h.bytes = bytes;
	return 0;
}
