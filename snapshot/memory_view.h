/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the memory of a set shows: its own image, over those that an increment
 * stands on. Offsets are the images'. Any thread, one at a time; it blocks.
 */
#ifndef AMBER_SNAPSHOT_MEMORY_VIEW_H
#define AMBER_SNAPSHOT_MEMORY_VIEW_H

#include "snapshot/memory.h"

struct memory_view {
	struct ram_images images; /* owned */
	uint64_t end;
};

/* Errors: memory_open()'s. */
int memory_view_open(struct memory_view *v, int dir,
		     const struct snapshot_meta *m, struct err *e);
void memory_view_close(struct memory_view *v);

/* Where data is next, from at on; the end: there is none. */
uint64_t memory_view_next(const struct memory_view *v, uint64_t at);
/* n bytes at that place; behind the end are zeroes. A negative errno. */
int memory_view_read(const struct memory_view *v, uint64_t at, void *to,
		     size_t n);

/* Writes all of it into fd, an empty file, as one image. */
int memory_view_flatten(const struct memory_view *v, int fd, struct err *e);

#endif
