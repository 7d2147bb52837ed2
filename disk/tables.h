/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded cache of an image's metadata: tables of one size, by their
 * offsets in the file. Knows what of a table was changed; who writes it when
 * is its user's business, for order is what keeps an image whole. One
 * thread.
 */
#ifndef AMBER_DISK_TABLES_H
#define AMBER_DISK_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk/ioq.h"

struct table {
	uint64_t offset;
	uint8_t *bytes;	     /* owned, as on disk */
	uint32_t dirty, end; /* [dirty, end) was changed; equal: nothing */
	bool is_new;	     /* nothing on disk points to it yet */
	struct table *older, *newer, *next; /* by use; of the same hash */
};

struct tables {
	uint32_t table_bytes;
	unsigned int limit, count, buckets;
	struct table **bucket; /* owned */
	struct table *oldest, *newest;
	unsigned int dirty_count;
};

/* At most limit_bytes of tables, but two of them in any case. -ENOMEM. */
int tables_init(struct tables *t, uint32_t table_bytes, uint64_t limit_bytes);
void tables_fini(struct tables *t);

/* The table if it is there, now the newest; NULL if not. */
struct table *tables_find(struct tables *t, uint64_t offset);
/*
 * A place for a table that is not there: a free one, or the oldest one that
 * is clean. -EAGAIN: all are dirty, write them first. -ENOMEM. What was in
 * it is gone; bytes are not set. Valid until the next tables_add().
 */
int tables_add(struct tables *t, uint64_t offset, struct table **out);
/* It is on the disk no more, or was never filled. */
void tables_drop(struct tables *t, struct table *table);

/* All of them are gone, changed ones too. */
void tables_forget(struct tables *t);
/* A lower limit from now on; those of the oldest that are clean go. */
void tables_shrink(struct tables *t, uint64_t limit_bytes);

/* n bytes at `at` were changed. */
void table_changed(struct tables *t, struct table *table, uint32_t at,
		   uint32_t n);
void table_is_clean(struct tables *t, struct table *table);
static inline bool table_is_dirty(const struct table *table)
{
	return table->dirty < table->end;
}
/* All of them must be written again: a sync has failed. */
void tables_distrust(struct tables *t);

#endif
