/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References compared with refcounts. A wrong count is written where its
 * block is; where blocks are missing or can't be used all counts are written
 * anew, behind everything else, and the header gets the new table's place.
 * The image's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2_checking.h"

#define LOOK_CLUSTERS 65536 /* between two looks at who wants to stop */

static bool may_fix(const struct check *k, enum qcow2_finding kind)
{
	return k->c->repair == QCOW2_REPAIR_ALL ||
	       (k->c->repair == QCOW2_REPAIR_LEAKS && kind == QCOW2_LEAK);
}

/* --- the blocks ------------------------------------------------------ */

static void bad_block(struct check *k, uint64_t i, const char *what)
{
	check_found(k, QCOW2_CORRUPTION,
		    "refcount block %" PRIu64 " at %#" PRIx64 " %s", i,
		    k->q->rt[i], what);
	k->count_errors++;
	k->blocks_are_bad = true;
}

static bool is_place(const struct check *k, uint64_t host)
{
	return host && !(host & (k->q->cluster_bytes - 1)) &&
	       host >> k->q->cluster_bits < k->clusters;
}

void check_count_blocks(struct check *k)
{
	struct qcow2 *q = k->q;
	uint64_t i;

	for (i = 0; i < q->rt_entries; i++)
		if (is_place(k, q->rt[i]))
			k->refs[q->rt[i] >> q->cluster_bits]++;
		else if (q->rt[i])
			bad_block(k, i, "is where no cluster can be");
}

/* All that is referred to is counted. */
static void look_for_overlaps(struct check *k)
{
	struct qcow2 *q = k->q;
	uint64_t i, first = q->h.rt_offset >> q->cluster_bits;

	for (i = 0; i < q->rt_entries; i++)
		if (is_place(k, q->rt[i]) &&
		    k->refs[q->rt[i] >> q->cluster_bits] > 1)
			bad_block(k, i, "is something else as well");
	for (i = 0; i < q->h.rt_clusters; i++)
		if (first + i < k->clusters && k->refs[first + i] > 1)
			k->blocks_are_bad = true;
}

/* --- one by one ------------------------------------------------------ */

static int fix_count(struct check *k, uint64_t cluster, bool is_leak)
{
	int r;

	if (!may_fix(k, is_leak ? QCOW2_LEAK : QCOW2_CORRUPTION))
		return 0;
	r = qcow2_set_refcount(k->q, cluster, k->refs[cluster]);
	if (r)
		return err_sys(k->e, r, "%s: refcount of cluster %" PRIu64,
			       k->q->path, cluster);
	if (is_leak)
		k->c->fixed_leaks++;
	else
		k->count_fixed++;
	return 0;
}

static int compare_one(struct check *k, uint64_t cluster)
{
	uint64_t count;
	int r = qcow2_get_refcount(k->q, cluster, &count);
	bool is_leak;

	if (r == -EIO && k->blocks_are_bad)
		return 0; /* told already */
	if (r)
		return err_sys(k->e, r, "%s: reading refcounts", k->q->path);
	if (count == k->refs[cluster])
		return 0;
	is_leak = count > k->refs[cluster];
	check_found(k, is_leak ? QCOW2_LEAK : QCOW2_CORRUPTION,
		    "cluster %" PRIu64 " has refcount %" PRIu64 ", %" PRIu32
		    " references",
		    cluster, count, k->refs[cluster]);
	k->count_errors += !is_leak;
	k->blocks_are_bad |= !qcow2_has_block(k->q, cluster);
	/* What a bad block lies on would be overwritten. */
	return k->blocks_are_bad ? 0 : fix_count(k, cluster, is_leak);
}

/* --- all anew -------------------------------------------------------- */

struct rebuild {
	uint64_t start, table, blocks; /* clusters */
	uint64_t *rt;		       /* owned until it is the image's */
	uint64_t entries;
};

static int plan_rebuild(struct check *k, struct rebuild *b)
{
	struct qcow2 *q = k->q;
	uint64_t per_block = UINT64_C(1) << q->block_bits;
	uint64_t per_table = q->cluster_bytes / 8, all, before;

	b->start = k->clusters;
	b->table = b->blocks = 1;
	do {
		before = b->table + b->blocks;
		all = b->start + b->table + b->blocks;
		b->blocks = (all + per_block - 1) / per_block;
		b->table = (b->blocks + per_table - 1) / per_table;
	} while (b->table + b->blocks != before);
	b->entries = b->table * per_table;
	if (b->table << q->cluster_bits > QCOW2_RT_BYTES_MAX)
		return -EFBIG;
	b->rt = calloc(b->entries, sizeof(*b->rt));
	return b->rt ? 0 : -ENOMEM;
}

/* What the old table and blocks were is nothing any more. */
static void leave_old(struct check *k)
{
	struct qcow2 *q = k->q;
	uint64_t first = q->h.rt_offset >> q->cluster_bits, i, c;

	for (i = 0; i < q->h.rt_clusters; i++)
		if (first + i < k->clusters && k->refs[first + i])
			k->refs[first + i]--;
	for (i = 0; i < q->rt_entries; i++) {
		c = q->rt[i] >> q->cluster_bits;
		if (is_place(k, q->rt[i]))
			k->refs[c]--;
	}
}

static int write_block(struct check *k, const struct rebuild *b, uint64_t i)
{
	struct qcow2 *q = k->q;
	uint64_t per_block = UINT64_C(1) << q->block_bits, n, c, count;
	uint64_t all = b->start + b->table + b->blocks;
	uint64_t host = (b->start + b->table + i) << q->cluster_bits;

	qcow2_count_ones(k->table, q->cluster_bytes, 0, q->h.refcount_order);
	for (n = 0; n < per_block; n++) {
		c = i * per_block + n;
		count = c < b->start ? k->refs[c] : c < all;
		if (count > qcow2_count_max(q))
			return err_set(k->e, -EFBIG,
				       "%s: cluster %" PRIu64 " has %" PRIu64
				       " references, more than it can count",
				       q->path, c, count);
		qcow2_write_count(k->table, n, q->h.refcount_order, count);
	}
	b->rt[i] = host;
	return file_write_at(q->files, q->fd, k->table, q->cluster_bytes, host);
}

static int use_rebuilt(struct check *k, struct rebuild *b)
{
	struct qcow2 *q = k->q;
	uint64_t i, all = b->start + b->table + b->blocks;
	uint64_t old = q->h.rt_offset >> q->cluster_bits;
	int r = qcow2_name_counts(q, b->start << q->cluster_bits,
				  (uint32_t)b->table);

	if (r)
		return r;
	for (i = 0; i < q->h.rt_clusters && !r; i++)
		r = qcow2_set_meta(q, (old + i) << q->cluster_bits, false);
	for (i = b->start; i < all && !r; i++)
		r = qcow2_set_meta(q, i << q->cluster_bits, true);
	free(q->rt);
	q->rt = b->rt;
	b->rt = NULL;
	q->rt_entries = b->entries;
	q->rt_dirty = (struct dirty_range){ 0 };
	q->h.rt_offset = b->start << q->cluster_bits;
	q->h.rt_clusters = (uint32_t)b->table;
	q->fresh = all;
	q->end = all << q->cluster_bits;
	tables_forget(&q->blocks);
	return r;
}

static int rebuild(struct check *k)
{
	struct rebuild b = { 0 };
	struct qcow2 *q = k->q;
	uint64_t i;
	int r = plan_rebuild(k, &b);

	if (!r)
		leave_old(k);
	for (i = 0; i < b.blocks && !r; i++)
		r = write_block(k, &b, i);
	if (!r)
		r = qcow2_write_numbers(q, b.rt, 0, b.entries,
					b.start << q->cluster_bits);
	if (!r)
		r = qcow2_sync(q);
	KILL_POINT("check-rebuilt");
	if (!r)
		r = use_rebuilt(k, &b);
	KILL_POINT("check-switched");
	free(b.rt);
	if (r)
		return k->e && k->e->code
			       ? r
			       : err_sys(k->e, r, "%s: writing new refcounts",
					 q->path);
	k->count_fixed = k->count_errors;
	k->c->fixed_leaks = k->c->leaks;
	k->c->end = q->end;
	return 0;
}

/* --- both ------------------------------------------------------------ */

int check_counts(struct check *k)
{
	uint64_t c;
	int r = 0;

	look_for_overlaps(k);
	for (c = 0; c < k->clusters && !r; c++) {
		if (!(c % LOOK_CLUSTERS))
			r = check_progress(k, c, k->clusters);
		if (!r)
			r = compare_one(k, c);
		if (k->refs[c])
			k->c->end = (c + 1) << k->q->cluster_bits;
	}
	if (!r && k->blocks_are_bad && may_fix(k, QCOW2_CORRUPTION))
		r = rebuild(k);
	k->c->fixed_corruptions += k->count_fixed;
	return r;
}
