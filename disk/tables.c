/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata cache: a hash by offset and a list by use. One thread. INV-1:
 * a dirty table is never given up.
 */
#include "disk/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MIN 2
#define DIRTY_UNIT 4096U /* what is written is rounded to this */

static unsigned int find_limit(const struct tables *t, uint64_t bytes)
{
	uint64_t limit = bytes / t->table_bytes;

	return limit < TABLES_MIN ? TABLES_MIN : (unsigned int)limit;
}

int tables_init(struct tables *t, uint32_t table_bytes, uint64_t limit_bytes)
{
	memset(t, 0, sizeof(*t));
	t->table_bytes = table_bytes;
	t->limit = find_limit(t, limit_bytes);
	t->buckets = 16;
	while (t->buckets < t->limit && t->buckets < 4096)
		t->buckets *= 2;
	t->bucket = calloc(t->buckets, sizeof(struct table *));
	return t->bucket ? 0 : -ENOMEM;
}

void tables_fini(struct tables *t)
{
	struct table *table, *newer;

	for (table = t->oldest; table; table = newer) {
		newer = table->newer;
		free(table->bytes);
		free(table);
	}
	free(t->bucket);
	memset(t, 0, sizeof(*t));
}

static struct table **bucket_of(const struct tables *t, uint64_t offset)
{
	return &t->bucket[(offset / t->table_bytes) & (t->buckets - 1)];
}

static void unlink_use(struct tables *t, struct table *table)
{
	if (table->older)
		table->older->newer = table->newer;
	else
		t->oldest = table->newer;
	if (table->newer)
		table->newer->older = table->older;
	else
		t->newest = table->older;
}

static void make_newest(struct tables *t, struct table *table)
{
	table->newer = NULL;
	table->older = t->newest;
	if (t->newest)
		t->newest->newer = table;
	else
		t->oldest = table;
	t->newest = table;
}

static void unlink_hash(struct tables *t, struct table *table)
{
	struct table **at = bucket_of(t, table->offset);

	while (*at != table)
		at = &(*at)->next;
	*at = table->next;
}

struct table *tables_find(struct tables *t, uint64_t offset)
{
	struct table *table = *bucket_of(t, offset);

	while (table && table->offset != offset)
		table = table->next;
	if (table && table != t->newest) {
		unlink_use(t, table);
		make_newest(t, table);
	}
	return table;
}

static struct table *make_table(struct tables *t)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	/* Aligned, for direct I/O of tools. */
	if (posix_memalign((void **)&table->bytes, 4096, t->table_bytes)) {
		free(table);
		return NULL;
	}
	t->count++;
	return table;
}

static struct table *take_clean(struct tables *t)
{
	struct table *table = t->oldest;

	while (table && table_is_dirty(table))
		table = table->newer;
	if (!table)
		return NULL;
	unlink_use(t, table);
	unlink_hash(t, table);
	return table;
}

int tables_add(struct tables *t, uint64_t offset, struct table **out)
{
	struct table *table, **bucket = bucket_of(t, offset);

	if (t->count < t->limit) {
		table = make_table(t);
		if (!table)
			return -ENOMEM;
	} else {
		table = take_clean(t);
		if (!table)
			return -EAGAIN;
	}
	table->offset = offset;
	table->dirty = table->end = 0;
	table->is_new = false;
	table->next = *bucket;
	*bucket = table;
	make_newest(t, table);
	*out = table;
	return 0;
}

void tables_drop(struct tables *t, struct table *table)
{
	table_is_clean(t, table);
	unlink_use(t, table);
	unlink_hash(t, table);
	free(table->bytes);
	free(table);
	t->count--;
}

void tables_forget(struct tables *t)
{
	while (t->oldest)
		tables_drop(t, t->oldest);
}

void tables_shrink(struct tables *t, uint64_t limit_bytes)
{
	struct table *table = t->oldest, *newer;

	t->limit = find_limit(t, limit_bytes);
	for (; table && t->count > t->limit; table = newer) {
		newer = table->newer;
		if (!table_is_dirty(table))
			tables_drop(t, table);
	}
}

void table_changed(struct tables *t, struct table *table, uint32_t at,
		   uint32_t n)
{
	uint32_t from = at & ~(DIRTY_UNIT - 1);
	uint32_t to = (at + n + DIRTY_UNIT - 1) & ~(DIRTY_UNIT - 1);

	if (to > t->table_bytes)
		to = t->table_bytes;
	if (!table_is_dirty(table)) {
		t->dirty_count++;
		table->dirty = from;
		table->end = to;
		return;
	}
	if (from < table->dirty)
		table->dirty = from;
	if (to > table->end)
		table->end = to;
}

void table_is_clean(struct tables *t, struct table *table)
{
	if (table_is_dirty(table))
		t->dirty_count--;
	table->dirty = table->end = 0;
	table->is_new = false;
}

void tables_distrust(struct tables *t)
{
	struct table *table;

	for (table = t->oldest; table; table = table->newer)
		table_changed(t, table, 0, t->table_bytes);
}
