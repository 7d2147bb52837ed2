/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying into a disk what a plan says, with several writes on their way
 * while the next piece is read. Private to disk/; one thread, it blocks.
 */
#ifndef AMBER_DISK_COPY_H
#define AMBER_DISK_COPY_H

#include "disk/disk.h"

enum copy_what {
	COPY_SKIP, /* it is right already */
	COPY_ZERO, /* it is to read as zeroes */
	COPY_DATA
};

struct copy_plan {
	struct disk *to; /* attached to q, nothing in flight */
	struct ioq *q;
	uint64_t bytes;	  /* from the start of both */
	bool to_is_empty; /* reads as zeroes: those are not written */
	void *ctx;
	/* What to do with `at`, and with how many of left bytes from there. */
	int (*look)(void *ctx, uint64_t at, uint64_t left, uint64_t *n,
		    enum copy_what *what);
	/* Reads n bytes at `at`. */
	int (*peek)(void *ctx, void *out, uint64_t n, uint64_t at);
	/* How far, 0..1000; other than 0 ends it with -ECANCELED. */
	int (*progress)(void *ctx, unsigned int permille);
	void *progress_ctx;
	uint64_t copied; /* result: bytes of data written */
};

/* Not flushed. On an error part of it is written; e says what failed. */
int copy_run(struct copy_plan *plan, struct err *e);

/* One request, until it is over. */
int copy_request(struct disk *d, struct ioq *q, enum disk_op op,
		 uint64_t offset, uint64_t bytes);
int copy_write(struct disk *d, struct ioq *q, uint64_t offset, void *memory,
	       uint64_t bytes);

#endif
