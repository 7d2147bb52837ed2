/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refcounts and free clusters (qcow2.rst [Host cluster management]). The
 * image's thread. What is counted here reaches the disk before what points
 * to it (INV-1 of disk/qcow2.h).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

#define RUNS_MAX (1U << 20) /* given up and not settled: then it is a leak */

/* --- a block --------------------------------------------------------- */

uint64_t qcow2_read_count(const uint8_t *block, uint64_t i, uint32_t order)
{
	uint32_t per_byte;

	if (order >= 3)
		return bytes_get_be(block + (i << (order - 3)),
				    (size_t)1 << (order - 3));
	per_byte = 8U >> order;
	return block[i / per_byte] >> (i % per_byte << order) &
	       ((1U << (1U << order)) - 1);
}

void qcow2_write_count(uint8_t *block, uint64_t i, uint32_t order, uint64_t n)
{
	uint32_t per_byte, shift;
	uint8_t mask;

	if (order >= 3) {
		bytes_put_be(block + (i << (order - 3)), n,
			     (size_t)1 << (order - 3));
		return;
	}
	per_byte = 8U >> order;
	shift = (uint32_t)(i % per_byte) << order;
	mask = (uint8_t)(((1U << (1U << order)) - 1) << shift);
	block[i / per_byte] =
		(uint8_t)((block[i / per_byte] & ~mask) | n << shift);
}

void qcow2_count_ones(uint8_t *block, size_t bytes, uint64_t n, uint32_t order)
{
	uint64_t entries = (uint64_t)bytes * 8 >> order, i;

	memset(block, 0, bytes);
	for (i = 0; i < n && i < entries; i++)
		qcow2_write_count(block, i, order, 1);
}

uint64_t qcow2_count_max(const struct qcow2 *q)
{
	return q->h.refcount_order == 6
		       ? UINT64_MAX
		       : (UINT64_C(1) << (1U << q->h.refcount_order)) - 1;
}

static int check_block(struct qcow2 *q, uint64_t i, uint64_t offset)
{
	if (q->rt[i] & QCOW2_RT_RESERVED || offset % q->cluster_bytes ||
	    offset >= q->end || !qcow2_may_be_table(q, offset))
		return qcow2_wrong(
			q, "refcount table entry %" PRIu64 " is %#" PRIx64, i,
			q->rt[i]);
	return 0;
}

/* *out NULL: there is none, all its counts are 0. */
static int load_block(struct qcow2 *q, uint64_t i, struct table **out)
{
	uint64_t offset;
	struct table *t;
	int r;

	*out = NULL;
	if (i >= q->rt_entries || !q->rt[i])
		return 0;
	offset = q->rt[i];
	t = tables_find(&q->blocks, offset);
	if (t) {
		*out = t;
		return 0;
	}
	r = check_block(q, i, offset);
	if (!r)
		r = qcow2_add_table(q, &q->blocks, offset, &t);
	*out = r > 0 ? t : NULL;
	if (r)
		return r < 0 ? r : 0;
	r = file_read_at(q->files, q->fd, t->bytes, q->cluster_bytes, offset);
	if (r)
		tables_drop(&q->blocks, t);
	else
		*out = t;
	return r;
}

int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *out)
{
	uint64_t mask = (UINT64_C(1) << q->block_bits) - 1;
	struct table *t;
	int r = load_block(q, cluster >> q->block_bits, &t);

	*out = 0;
	if (!r && t)
		*out = qcow2_read_count(t->bytes, cluster & mask,
					q->h.refcount_order);
	return r;
}

static void put_count(struct qcow2 *q, struct table *t, uint64_t i, uint64_t n)
{
	uint32_t at = (uint32_t)(i << q->h.refcount_order >> 3);

	qcow2_write_count(t->bytes, i, q->h.refcount_order, n);
	table_changed(&q->blocks, t, at, q->h.refcount_order < 3 ? 1 : 8);
}

/* --- more blocks, a larger table ------------------------------------- */

static void handed_out(struct qcow2 *q, uint64_t cluster)
{
	uint64_t end = (cluster + 1) << q->cluster_bits;

	if (q->end < end)
		q->end = end;
	if (q->fresh <= cluster)
		q->fresh = cluster + 1;
}

/*
 * The block for range i, in the first cluster of that range: all of it is
 * free, as nothing counts there yet.
 */
static int make_block(struct qcow2 *q, uint64_t i, struct table **out)
{
	uint64_t cluster = i << q->block_bits;
	uint64_t offset = cluster << q->cluster_bits;
	struct table *t;
	int r;

	if (!offset || qcow2_is_meta(q, offset, 1))
		return qcow2_wrong(q, "refcount block %" PRIu64 " is missing",
				   i);
	r = qcow2_add_table(q, &q->blocks, offset, &t);
	if (r >= 0)
		r = qcow2_set_meta(q, offset, true);
	if (r)
		return r;
	qcow2_count_ones(t->bytes, q->cluster_bytes, 1, q->h.refcount_order);
	/* A fresh cluster reads as zeroes. */
	table_changed(&q->blocks, t, 0,
		      cluster >= q->fresh ? 1 : q->cluster_bytes);
	t->is_new = true;
	handed_out(q, cluster);
	q->rt[i] = offset;
	range_add(&q->rt_dirty, i);
	*out = t;
	return 0;
}

/*
 * Where a larger table goes: behind all that the present one can count, with
 * the blocks that count it behind it. blocks is a fixed point: it counts the
 * table and itself.
 */
struct growth {
	uint64_t start;	   /* cluster */
	uint64_t clusters; /* of the table */
	uint64_t entries;
	uint64_t blocks;
};

static int plan_growth(const struct qcow2 *q, struct growth *g)
{
	uint64_t per_block = UINT64_C(1) << q->block_bits;

	g->start = q->rt_entries << q->block_bits;
	g->clusters = q->h.rt_clusters;
	do {
		g->clusters += g->clusters / 2 + 1;
		g->entries = g->clusters * (q->cluster_bytes / 8);
		g->blocks = 1;
		while (g->blocks * per_block < g->clusters + g->blocks)
			g->blocks++;
	} while (g->entries < q->rt_entries + g->blocks);
	if (g->clusters << q->cluster_bits > QCOW2_RT_BYTES_MAX)
		return -ENOSPC;
	return 0;
}

static int write_growth_blocks(struct qcow2 *q, const struct growth *g,
			       uint64_t *table, uint8_t *block)
{
	uint64_t used = g->clusters + g->blocks, b;
	uint64_t per_block = UINT64_C(1) << q->block_bits;
	int r = 0;

	for (b = 0; b < g->blocks && !r; b++) {
		uint64_t at = (g->start + g->clusters + b) << q->cluster_bits;

		qcow2_count_ones(block, q->cluster_bytes, used - b * per_block,
				 q->h.refcount_order);
		r = file_write_at(q->files, q->fd, block, q->cluster_bytes, at);
		table[q->rt_entries + b] = at;
	}
	return r;
}

static int write_growth(struct qcow2 *q, const struct growth *g,
			uint64_t *table, uint8_t *cluster)
{
	int r = write_growth_blocks(q, g, table, cluster);

	if (!r)
		r = qcow2_write_numbers(q, table, 0, g->entries,
					g->start << q->cluster_bits);
	return r ? r : qcow2_sync(q);
}

/* The switch: offset and size stand side by side in the header. */
static int switch_table(struct qcow2 *q, const struct growth *g,
			uint64_t *table)
{
	uint64_t old = q->h.rt_offset >> q->cluster_bits;
	uint64_t old_clusters = q->h.rt_clusters, c;
	int r = qcow2_name_counts(q, g->start << q->cluster_bits,
				  (uint32_t)g->clusters);

	if (r)
		return r;
	KILL_POINT("qcow2-counts-switched");
	free(q->rt);
	q->rt = table;
	q->rt_entries = g->entries;
	q->h.rt_offset = g->start << q->cluster_bits;
	q->h.rt_clusters = (uint32_t)g->clusters;
	for (c = 0; c < g->clusters + g->blocks && !r; c++) {
		handed_out(q, g->start + c);
		r = qcow2_set_meta(q, (g->start + c) << q->cluster_bits, true);
	}
	for (c = 0; c < old_clusters && !r; c++)
		r = qcow2_set_meta(q, (old + c) << q->cluster_bits, false);
	return r ? r : qcow2_give_up(q, old, old_clusters, false);
}

/* Everything else is on disk first, so that only the switch is at stake. */
static int grow_table(struct qcow2 *q)
{
	struct growth g;
	uint64_t *table = NULL;
	uint8_t *cluster = NULL;
	int r = plan_growth(q, &g);

	if (!r)
		r = qcow2_flush(q);
	if (r)
		return r;
	table = calloc(g.entries, sizeof(*table));
	cluster = malloc(q->cluster_bytes);
	if (table && cluster) {
		memcpy(table, q->rt, q->rt_entries * sizeof(*table));
		r = write_growth(q, &g, table, cluster);
		KILL_POINT("qcow2-counts-grown");
		if (!r)
			r = switch_table(q, &g, table);
	} else {
		r = -ENOMEM;
	}
	if (q->rt != table)
		free(table);
	free(cluster);
	return r;
}

/* The block for cluster, made if need be. */
static int need_block(struct qcow2 *q, uint64_t cluster, struct table **out)
{
	uint64_t i = cluster >> q->block_bits;
	int r = 0;

	while (i >= q->rt_entries && !r)
		r = grow_table(q);
	if (!r)
		r = load_block(q, i, out);
	if (!r && !*out)
		r = make_block(q, i, out);
	return r;
}

bool qcow2_has_block(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = cluster >> q->block_bits;

	return i < q->rt_entries && q->rt[i];
}

int qcow2_set_refcount(struct qcow2 *q, uint64_t cluster, uint64_t value)
{
	uint64_t mask = (UINT64_C(1) << q->block_bits) - 1;
	struct table *t = NULL;
	int r;

	if (value > qcow2_count_max(q))
		return qcow2_wrong(
			q, "refcount of cluster %#" PRIx64 " is at its maximum",
			cluster);
	r = need_block(q, cluster, &t);
	if (!r)
		put_count(q, t, cluster & mask, value);
	return r;
}

/* --- taking ---------------------------------------------------------- */

static bool is_free(const struct qcow2 *q, const struct table *t, uint64_t i)
{
	return !qcow2_read_count(t->bytes, i, q->h.refcount_order);
}

int qcow2_take(struct qcow2 *q, uint64_t want, uint64_t *host, uint64_t *got,
	       bool *fresh)
{
	uint64_t per_block = UINT64_C(1) << q->block_bits;
	uint64_t mask = per_block - 1, start = q->hint, at = start, n;
	struct table *t = NULL;
	int r;

	for (;;) {
		if (at >= q->limit)
			return -ENOSPC;
		r = need_block(q, at, &t);
		if (r)
			return r;
		while ((at & mask) < mask && !is_free(q, t, at & mask))
			at++;
		if (is_free(q, t, at & mask))
			break;
		at++;
	}
	if (!at || qcow2_is_meta(q, at << q->cluster_bits, 1))
		return qcow2_wrong(q,
				   "the table in cluster %#" PRIx64
				   " has a refcount of 0",
				   at);
	*fresh = at >= q->fresh;
	want = want < q->limit - at ? want : q->limit - at;
	for (n = 0; n < want && n <= mask - (at & mask); n++) {
		if (!is_free(q, t, (at + n) & mask) ||
		    qcow2_is_meta(q, (at + n) << q->cluster_bits, 1) ||
		    *fresh != (at + n >= q->fresh))
			break;
	}
	*got = n;
	*host = at << q->cluster_bits;
	if (q->hint == start) /* else something before it became free */
		q->hint = at + n;
	handed_out(q, at + n - 1);
	while (n--)
		put_count(q, t, (at + n) & mask, 1);
	return 0;
}

void qcow2_untake(struct qcow2 *q, uint64_t host, uint64_t count)
{
	uint64_t c = host >> q->cluster_bits;

	if (c < q->hint)
		q->hint = c;
	/* A failure here leaks a cluster, which a check gives back. */
	while (count--)
		if (qcow2_set_refcount(q, c++, 0))
			return;
}

/* --- giving up ------------------------------------------------------- */

static int add_run(struct run_list *l, const struct cluster_run *run)
{
	struct cluster_run *last = l->count ? &l->run[l->count - 1] : NULL;
	struct cluster_run *more;
	size_t room;

	if (last && last->age == run->age && last->is_table == run->is_table &&
	    last->first + last->count == run->first) {
		last->count += run->count;
		return 0;
	}
	if (l->count == l->room) {
		room = l->room ? 2 * l->room : 64;
		more = realloc(l->run, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->run = more;
		l->room = room;
	}
	l->run[l->count++] = *run;
	return 0;
}

/* The clusters a flush may lose to a leak when memory is short. */
int qcow2_give_up(struct qcow2 *q, uint64_t first, uint64_t count,
		  bool is_table)
{
	struct cluster_run run = { first, count, q->age, is_table };

	if (q->freed.count >= RUNS_MAX)
		return 0;
	add_run(&q->freed, &run);
	return 0;
}

/* What was a table there is none any more. */
static void forget_table(struct qcow2 *q, uint64_t cluster)
{
	uint64_t host = cluster << q->cluster_bits;
	struct table *t;

	if (!qcow2_is_meta(q, host, 1))
		return;
	qcow2_set_meta(q, host, false);
	t = tables_find(&q->l2s, host);
	if (t)
		tables_drop(&q->l2s, t);
}

static int drop_one(struct qcow2 *q, uint64_t cluster, bool is_table,
		    bool *is_free_now)
{
	uint64_t n;
	int r;

	*is_free_now = false;
	if (!cluster ||
	    (!is_table && qcow2_is_meta(q, cluster << q->cluster_bits, 1)))
		return qcow2_wrong(q,
				   "cluster %#" PRIx64
				   " was in use as data and is a table",
				   cluster);
	r = qcow2_get_refcount(q, cluster, &n);
	if (!r && !n)
		return qcow2_wrong(q,
				   "cluster %#" PRIx64
				   " was in use with a refcount of 0",
				   cluster);
	if (!r)
		r = qcow2_set_refcount(q, cluster, n - 1);
	*is_free_now = !r && n == 1;
	if (!*is_free_now)
		return r;
	forget_table(q, cluster);
	if (cluster < q->hint)
		q->hint = cluster;
	return 0;
}

static int drop_run(struct qcow2 *q, const struct cluster_run *run)
{
	uint64_t c, from = run->first, n = 0;
	bool is_free_now = false;
	int r = 0;

	for (c = run->first; c < run->first + run->count && !r; c++) {
		r = drop_one(q, c, run->is_table, &is_free_now);
		if (is_free_now) {
			from = n ? from : c;
			n++;
			continue;
		}
		if (n)
			file_punch(q->files, q->fd, from << q->cluster_bits,
				   n << q->cluster_bits);
		n = 0;
	}
	/* Space that can't be given back now is used again later. */
	if (n)
		file_punch(q->files, q->fd, from << q->cluster_bits,
			   n << q->cluster_bits);
	return r;
}

int qcow2_settle(struct qcow2 *q)
{
	struct run_list left = { NULL, 0, 0 }, list = q->settling;
	size_t i;
	int r = 0, rc;

	if (q->keeps_freed) /* a leak, if it is not lifted */
		return 0;
	q->settling = left;
	for (i = 0; i < list.count; i++) {
		if (list.run[i].age >= q->io_age) {
			add_run(&q->settling, &list.run[i]);
			continue;
		}
		rc = drop_run(q, &list.run[i]);
		r = r ? r : rc;
	}
	free(list.run);
	KILL_POINT("qcow2-settled");
	return r;
}
