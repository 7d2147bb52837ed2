/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going back to an internal snapshot. First all that it refers to is counted
 * once more, for the disk; then the disk gets a table of its own that says
 * the same, with one write of the header; then what the disk referred to
 * before is given up. The image's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2_snapshots.h"

struct apply {
	struct qcow2 *q;
	uint64_t *l1;	/* owned: of the snapshot, then of the disk */
	uint8_t *table; /* owned */
	struct err *e;
};

/* --- counting -------------------------------------------------------- */

static int count_one(struct apply *k, uint64_t cluster)
{
	struct qcow2 *q = k->q;
	uint64_t n;
	int r = qcow2_get_refcount(q, cluster, &n);

	if (r)
		return r;
	if (!n)
		return qcow2_wrong(q,
				   "cluster %#" PRIx64
				   " is in use with a refcount of 0",
				   cluster);
	return n == qcow2_count_max(q) ? -EFBIG
				       : qcow2_set_refcount(q, cluster, n + 1);
}

/* The clusters that an entry names: how many, and the first. */
static uint64_t clusters_of(const struct qcow2 *q, uint64_t en, uint64_t *first)
{
	struct packed_place p;

	*first = (en & QCOW2_OFFSET) >> q->cluster_bits;
	if (!(en & QCOW2_COMPRESSED))
		return *first != 0;
	p = qcow2_packed_place(q, en);
	*first = p.host >> q->cluster_bits;
	return ((p.host + p.bytes - 1) >> q->cluster_bits) - *first + 1;
}

static int each_cluster(struct apply *k, uint64_t l2_host,
			int (*act)(struct apply *k, uint64_t cluster))
{
	struct qcow2 *q = k->q;
	uint64_t i, c, n, first;
	int r = file_read_at(q->files, q->fd, k->table, q->cluster_bytes,
			     l2_host);

	for (i = 0; i < UINT64_C(1) << q->l2_bits && !r; i++) {
		n = clusters_of(q, get_be64(k->table + i * q->entry_bytes),
				&first);
		for (c = 0; c < n && !r; c++)
			r = act(k, first + c);
	}
	return r;
}

static int check_l1(struct apply *k, uint64_t i)
{
	struct qcow2 *q = k->q;
	uint64_t host = k->l1[i] & QCOW2_OFFSET;

	if (!(k->l1[i] & QCOW2_L1_RESERVED) && !(host % q->cluster_bytes) &&
	    qcow2_is_inside(q, host))
		return 0;
	return qcow2_wrong(q,
			   "L1 entry %" PRIu64 " of the snapshot is %#" PRIx64,
			   i, k->l1[i]);
}

static int count_all(struct apply *k, uint64_t entries)
{
	struct qcow2 *q = k->q;
	uint64_t i, host;
	int r = 0;

	for (i = 0; i < entries && !r; i++) {
		host = k->l1[i] & QCOW2_OFFSET;
		if (!host)
			continue;
		r = check_l1(k, i);
		if (!r)
			r = qcow2_set_meta(q, host, true);
		if (!r)
			r = count_one(k, host >> q->cluster_bits);
		if (!r)
			r = each_cluster(k, host, count_one);
		k->l1[i] &= ~QCOW2_COPIED; /* the snapshot has it, too */
	}
	return r;
}

/* --- giving up ------------------------------------------------------- */

static int give_up_one(struct apply *k, uint64_t cluster)
{
	return qcow2_give_up(k->q, cluster, 1, false);
}

/* What the disk had, l1: killed here it is leaked. */
static int give_up_all(struct apply *k, const uint64_t *l1, uint64_t entries)
{
	struct qcow2 *q = k->q;
	uint64_t i, host;
	int r = 0;

	for (i = 0; i < entries && !r; i++) {
		host = l1[i] & QCOW2_OFFSET;
		if (!host)
			continue;
		r = each_cluster(k, host, give_up_one);
		if (!r)
			r = qcow2_give_up(q, host >> q->cluster_bits, 1, true);
		if (!r && qcow2_is_full(q))
			r = qcow2_flush(q);
	}
	return r;
}

/* --- all of it ------------------------------------------------------- */

static int switch_to(struct apply *k, const struct qcow2_snapshot *s)
{
	struct qcow2 *q = k->q;
	uint64_t bytes = s->disk_bytes ? s->disk_bytes : q->h.bytes;
	uint64_t entries = q->h.l1_entries, *old = q->l1;
	int r = qcow2_flush(q);

	if (r)
		return r;
	KILL_POINT("apply-counted");
	q->l1 = NULL; /* kept here; what takes its place is k's */
	r = qcow2_replace_l1(q, k->l1, s->l1_entries, bytes);
	if (r) {
		q->l1 = old;
		return r;
	}
	KILL_POINT("apply-switched");
	k->l1 = NULL;
	q->h.bytes = bytes;
	r = give_up_all(k, old, entries);
	free(old);
	if (!r)
		r = qcow2_flush(q);
	return r ? r : qcow2_flush(q); /* what became free by it */
}

static int check_entries(struct apply *k, const struct qcow2_snapshot *s)
{
	struct qcow2 *q = k->q;
	uint64_t bytes = s->disk_bytes ? s->disk_bytes : q->h.bytes;

	if (bytes <= INT64_MAX && !(bytes % 512) &&
	    s->l1_entries >=
		    qcow2_l1_needed(bytes, q->cluster_bits, q->subclusters > 1))
		return 0;
	return err_set(k->e, -EINVAL,
		       "%s: the snapshot's L1 table of %" PRIu32
		       " entries does not fit a disk of %" PRIu64 " bytes",
		       q->path, s->l1_entries, bytes);
}

static int apply(struct apply *k, const struct qcow2_snapshot *s)
{
	int r = qcow2_read_numbers(k->q, s->l1_offset, s->l1_entries, &k->l1,
				   "snapshot's L1 table", k->e);

	if (r)
		return r;
	k->table = malloc(k->q->cluster_bytes);
	r = k->table ? count_all(k, s->l1_entries) : -ENOMEM;
	if (!r)
		r = switch_to(k, s);
	if (k->q->why.code)
		return err_set(k->e, r, "%s", k->q->why.text);
	if (r == -EFBIG)
		return err_set(k->e, r,
			       "%s: its refcounts of %u bits have no room for "
			       "another reference",
			       k->q->path, 1U << k->q->h.refcount_order);
	return r ? err_sys(k->e, r, "%s: going back to a snapshot", k->q->path)
		 : 0;
}

int qcow2_apply_snapshot(struct qcow2 *q, const char *name, struct err *e)
{
	struct apply k = { .q = q, .e = e };
	struct qcow2_snapshot s;
	int r = qcow2_find_snapshot(q, name, &s, e);

	if (!r)
		r = check_entries(&k, &s);
	if (!r)
		r = apply(&k, &s);
	free(k.l1);
	free(k.table);
	return r;
}
