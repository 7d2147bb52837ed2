/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which a qcow2 image's tables reach the disk: the steps of a
 * flush, and making room in the caches. The image's thread. Invariants:
 * disk/qcow2.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

#define FLUSHES_MAX 4	/* for a place in a cache */
#define NUMBERS	    512 /* of a table, written at once */

int qcow2_add_table(struct qcow2 *q, struct tables *t, uint64_t offset,
		    struct table **out)
{
	unsigned int tries;
	int r = tables_add(t, offset, out);

	/* What became free by the flush may have made them dirty again. */
	for (tries = 0; r == -EAGAIN && tries < FLUSHES_MAX; tries++) {
		r = q->is_frozen ? -EIO : qcow2_flush(q);
		/* It may have come in by the flush. */
		*out = r ? NULL : tables_find(t, offset);
		if (*out)
			return 1;
		if (!r)
			r = tables_add(t, offset, out);
	}
	return r == -EAGAIN ? -EIO : r;
}

static int write_table(struct qcow2 *q, struct tables *t, struct table *table)
{
	int r = file_write_at(q->files, q->fd, table->bytes + table->dirty,
			      table->end - table->dirty,
			      table->offset + table->dirty);

	if (!r)
		table_is_clean(t, table);
	return r;
}

/* Writes the dirty tables that are new, or that are not. */
static int write_tables(struct qcow2 *q, struct tables *t, bool are_new,
			int *wrote)
{
	struct table *table;
	int r = 0;

	if (!t->dirty_count)
		return 0;
	for (table = t->oldest; table && !r; table = table->newer) {
		if (!table_is_dirty(table) || table->is_new != are_new)
			continue;
		r = write_table(q, t, table);
		*wrote = 1;
	}
	return r;
}

int qcow2_write_numbers(struct qcow2 *q, const uint64_t *numbers, uint64_t from,
			uint64_t to, uint64_t offset)
{
	uint8_t bytes[8 * NUMBERS];
	uint64_t i, n, at;
	int r = 0;

	for (at = from; at < to && !r; at += n) {
		n = to - at < NUMBERS ? to - at : NUMBERS;
		for (i = 0; i < n; i++)
			put_be64(bytes + 8 * i, numbers[at + i]);
		r = file_write_at(q->files, q->fd, bytes, n * 8,
				  offset + at * 8);
	}
	return r;
}

/* Writes the changed entries of an array that stands in the file. */
static int write_changed(struct qcow2 *q, const uint64_t *numbers,
			 struct dirty_range *range, uint64_t offset, int *wrote)
{
	int r = qcow2_write_numbers(q, numbers, range->from, range->to, offset);

	if (r)
		return r;
	*wrote |= range->from < range->to;
	range->from = range->to = 0;
	return 0;
}

int qcow2_write_new_blocks(struct qcow2 *q)
{
	int wrote = 0, r = write_tables(q, &q->blocks, true, &wrote);

	KILL_POINT("qcow2-blocks-written");
	return r ? r : wrote;
}

int qcow2_write_counts(struct qcow2 *q)
{
	int wrote = 0;
	int r = write_changed(q, q->rt, &q->rt_dirty, q->h.rt_offset, &wrote);

	if (!r)
		r = write_tables(q, &q->blocks, false, &wrote);
	if (!r)
		r = write_tables(q, &q->l2s, true, &wrote);
	KILL_POINT("qcow2-counts-written");
	return r ? r : wrote;
}

static int begin_settling(struct qcow2 *q)
{
	size_t all = q->settling.count + q->freed.count;
	struct cluster_run *run;

	if (!q->freed.count)
		return 0;
	run = realloc(q->settling.run, all * sizeof(*run));
	if (!run)
		return -ENOMEM;
	memcpy(run + q->settling.count, q->freed.run,
	       q->freed.count * sizeof(*run));
	q->settling.run = run;
	q->settling.count = q->settling.room = all;
	q->freed.count = 0;
	q->age++;
	return 0;
}

int qcow2_write_pointers(struct qcow2 *q)
{
	int wrote = 0, r = write_tables(q, &q->l2s, false, &wrote);

	if (!r)
		r = write_changed(q, q->l1, &q->l1_dirty, q->h.l1_offset,
				  &wrote);
	KILL_POINT("qcow2-pointers-written");
	if (!r)
		r = begin_settling(q);
	return r ? r : wrote;
}

static int step(struct qcow2 *q, int (*write)(struct qcow2 *q), bool always)
{
	int r = write(q);

	if (r < 0)
		return r;
	if (!r && !always)
		return 0;
	return qcow2_sync(q);
}

int qcow2_flush(struct qcow2 *q)
{
	int r = q->is_frozen ? -EIO : 0;

	if (!r)
		r = step(q, qcow2_write_new_blocks, false);
	if (!r)
		r = step(q, qcow2_write_counts, true);
	if (!r)
		r = step(q, qcow2_write_pointers, false);
	return r ? r : qcow2_settle(q);
}

void qcow2_freeze(struct qcow2 *q)
{
	q->is_frozen = true;
	q->sync_failed = false;
}

/* All of a kind, new or not, and synced. */
static int rewrite_tables(struct qcow2 *q, struct tables *t)
{
	int wrote = 0, r = write_tables(q, t, true, &wrote);

	if (!r)
		r = write_tables(q, t, false, &wrote);
	return r ? r : qcow2_sync(q);
}

static int rewrite_numbers(struct qcow2 *q, const uint64_t *numbers,
			   struct dirty_range *range, uint64_t offset)
{
	int wrote = 0, r = write_changed(q, numbers, range, offset, &wrote);

	return r ? r : qcow2_sync(q);
}

/* In the strictest order: nobody knows what of the last flush is there. */
int qcow2_distrust(struct qcow2 *q)
{
	int r;

	q->is_frozen = false;
	tables_distrust(&q->l2s);
	tables_distrust(&q->blocks);
	q->l1_dirty = (struct dirty_range){ 0, q->h.l1_entries };
	q->rt_dirty = (struct dirty_range){ 0, q->rt_entries };
	r = rewrite_tables(q, &q->blocks);
	if (!r)
		r = rewrite_numbers(q, q->rt, &q->rt_dirty, q->h.rt_offset);
	/* The header may name a table that was to become this one. */
	if (!r)
		r = qcow2_name_counts(q, q->h.rt_offset, q->h.rt_clusters);
	if (!r)
		r = rewrite_tables(q, &q->l2s);
	if (!r)
		r = rewrite_numbers(q, q->l1, &q->l1_dirty, q->h.l1_offset);
	q->sync_failed |= r != 0;
	return r;
}

bool qcow2_is_dirty(const struct qcow2 *q)
{
	return q->l2s.dirty_count || q->blocks.dirty_count ||
	       q->l1_dirty.from != q->l1_dirty.to ||
	       q->rt_dirty.from != q->rt_dirty.to || q->freed.count ||
	       q->settling.count;
}
