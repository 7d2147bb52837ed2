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
	uint64_t *l1;	  /* owned: of the snapshot, then of the disk */
	uint8_t *table;	  /* owned */
	uint64_t counted; /* references that were added */
	uint64_t to_undo; /* of those */
	const struct qcow2_progress *p;
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
	if (n == qcow2_count_max(q))
		return -EFBIG;
	r = qcow2_set_refcount(q, cluster, n + 1);
	k->counted += !r;
	return r;
}

/* In the same order, so that it ends where counting ended. */
static int uncount_one(struct apply *k, uint64_t cluster)
{
	uint64_t n;
	int r;

	if (!k->to_undo)
		return 0;
	k->to_undo--;
	r = qcow2_get_refcount(k->q, cluster, &n);
	return r || !n ? r : qcow2_set_refcount(k->q, cluster, n - 1);
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

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* One table in two places would be counted, and changed, for each. */
static int check_once(struct apply *k, uint64_t entries)
{
	uint64_t *sorted = malloc((entries ? entries : 1) * sizeof(*sorted));
	uint64_t i;
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	for (i = 0; i < entries; i++)
		sorted[i] = k->l1[i] & QCOW2_OFFSET;
	qsort(sorted, entries, sizeof(*sorted), compare);
	for (i = 1; i < entries && !r; i++)
		if (sorted[i] && sorted[i] == sorted[i - 1])
			r = qcow2_wrong(k->q,
					"the snapshot's L1 table names the L2 "
					"table at %#" PRIx64 " twice",
					sorted[i]);
	free(sorted);
	return r;
}

/* What the disk and the snapshot share is nobody's own any more; their bits
 * are not checked in snapshots, and may be wrong. */
static int disown_table(struct apply *k, uint64_t l2_host)
{
	struct qcow2 *q = k->q;

	return qcow2_disown(q, k->table)
		       ? file_write_at(q->files, q->fd, k->table,
				       q->cluster_bytes, l2_host)
		       : 0;
}

static int count_table(struct apply *k, uint64_t i)
{
	uint64_t host = k->l1[i] & QCOW2_OFFSET;
	int r = check_l1(k, i);

	if (!r)
		r = qcow2_set_meta(k->q, host, true);
	if (!r)
		r = count_one(k, host >> k->q->cluster_bits);
	if (!r)
		r = each_cluster(k, host, count_one);
	return r ? r : disown_table(k, host);
}

static bool wants_to_stop(const struct apply *k, uint64_t i, uint64_t n)
{
	return k->p && k->p->tell &&
	       k->p->tell(k->p->ctx, (unsigned int)(i * 1000 / n));
}

static int count_all(struct apply *k, uint64_t entries)
{
	uint64_t i;
	int r = check_once(k, entries);

	for (i = 0; i < entries && !r; i++) {
		if (wants_to_stop(k, i, entries))
			return -ECANCELED;
		if (k->l1[i] & QCOW2_OFFSET)
			r = count_table(k, i);
	}
	return r;
}

/* The disk stays what it was: so do the counts. */
static void undo(struct apply *k, uint64_t entries)
{
	uint64_t i, host;
	int r = 0;

	k->to_undo = k->counted;
	for (i = 0; i < entries && !r && k->to_undo; i++) {
		host = k->l1[i] & QCOW2_OFFSET;
		if (!host)
			continue;
		r = uncount_one(k, host >> k->q->cluster_bits);
		if (!r && k->to_undo)
			r = each_cluster(k, host, uncount_one);
	}
	if (!r)
		qcow2_flush(k->q); /* else they are leaks */
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
	uint64_t entries = q->h.l1_entries, *old = q->l1, i;
	int r = qcow2_flush(q);

	if (r)
		return r;
	KILL_POINT("apply-counted");
	for (i = 0; i < s->l1_entries; i++)
		k->l1[i] &= ~QCOW2_COPIED; /* the snapshot has it, too */
	q->l1 = NULL; /* kept here; what takes its place is k's */
	r = qcow2_replace_l1(q, k->l1, s->l1_entries, bytes);
	if (r) {
		q->l1 = old;
		return r;
	}
	KILL_POINT("apply-switched");
	k->l1 = NULL;
	k->counted = 0;
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
	if (r && k->counted)
		undo(k, s->l1_entries);
	if (r == -ECANCELED)
		return err_set(k->e, r, "cancelled");
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

int qcow2_apply_snapshot(struct qcow2 *q, const char *name,
			 const struct qcow2_progress *progress, struct err *e)
{
	struct apply k = { .q = q, .p = progress, .e = e };
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
