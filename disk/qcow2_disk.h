/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk at work: requests in flight over a chain of layers. The queue's
 * thread. Shared by the files qcow2_disk*.c.
 *
 * INV-1  A cluster that is being written anew is nobody else's business: who
 *        wants to change the same place waits.
 * INV-2  While a flush has written counts and not yet pointers, no pointer
 *        is changed: who would change one waits.
 * INV-3  A request is in at most one of: with the queue, waiting, to be
 *        flushed, concluded.
 */
#ifndef AMBER_DISK_QCOW2_DISK_H
#define AMBER_DISK_QCOW2_DISK_H

#include "disk/chain.h"
#include "disk/format.h"

enum flush_stage { FLUSH_IDLE, FLUSH_BLOCKS, FLUSH_COUNTS, FLUSH_POINTERS };

struct request_list {
	struct disk_request *first, **end;
};

struct qcow2_disk {
	struct chain chain;
	int cached_fd; /* of the top, for metadata; owned if it is another */
	struct request_list waiting; /* for a cluster or for a flush */
	struct request_list linking; /* written, to be linked after a flush */
	struct disk_request *allocs; /* through part.next_alloc */
	struct disk_request *oldest, *newest; /* with the queue, by age */
	size_t fetching;		      /* bytes */
	enum flush_stage stage;
	struct request_list to_flush, flushing;
};

static inline struct qcow2_disk *qcow2_disk(const struct disk *d)
{
	return d->host;
}

static inline struct qcow2 *top_of(const struct disk *d)
{
	return &qcow2_disk(d)->chain.layer[0].q;
}

/* INV-2 */
static inline bool is_frozen(const struct qcow2_disk *k)
{
	return k->stage == FLUSH_BLOCKS || k->stage == FLUSH_COUNTS;
}

/* Without a chain. And all of it away. */
int qcow2_disk_make(struct qcow2_disk **out, const struct disk *d,
		    struct err *e);
void qcow2_disk_unmake(const struct disk *d, struct qcow2_disk *k);
/* What the top makes of info, but its size and its units. */
void qcow2_set_units(struct disk *d);

void request_list_init(struct request_list *l);
void request_list_add(struct request_list *l, struct disk_request *r);
/* Empties l; the requests, through next. */
struct disk_request *request_list_take(struct request_list *l);

/* Is it? A sync that failed in a corner of the image makes it so. */
bool qcow2_is_poisoned(struct disk *d);

/* Begins the next part of r, or concludes it. */
void qcow2_go_on(struct disk *d, struct disk_request *r);
/* r is over: a durable one is flushed first. */
void qcow2_end(struct disk *d, struct disk_request *r, int error);
/* r waits until something has changed. */
void qcow2_wait(struct disk *d, struct disk_request *r);
/* Something has: a flush has written pointers, a cluster was linked. */
void qcow2_wake(struct disk *d);
/* Links what was written while a flush was under way. */
void qcow2_link_waiting(struct disk *d);

/* --- parts: true: r is on its way or waits --------------------------- */
bool qcow2_write_part(struct disk *d, struct disk_request *r, int *error);
bool qcow2_zero_part(struct disk *d, struct disk_request *r, int *error);
bool qcow2_pull_part(struct disk *d, struct disk_request *r, int *error);

/* --- qcow2_disk_write.c ---------------------------------------------- */
/* Is a cluster of that range being written anew? */
bool qcow2_is_taken(struct disk *d, uint64_t guest, uint64_t bytes);
/* What is next of r, at most left bytes, into clusters that are taken for it;
 * x is what the top has there. As a part. */
bool qcow2_write_anew(struct disk *d, struct disk_request *r, uint64_t left,
		      const struct qcow2_extent *x, int *error);
/* What is around the part is in memory, or there is nothing. */
void qcow2_filled(struct disk *d, struct disk_request *r, int error);
void qcow2_written_in_place(struct io *io, int error);
/* The part of r, or what was gathered for it, is with the queue from now on. */
void qcow2_start(struct disk *d, struct disk_request *r, enum io_op op, int fd,
		 uint64_t offset, void (*done)(struct io *io, int error));
/* Of the top: with direct I/O only where all is aligned for it. */
int qcow2_data_fd(const struct disk *d, const struct disk_request *r,
		  uint64_t host);
void qcow2_started_over(struct disk *d, struct disk_request *r);

/* --- qcow2_disk_fill.c ----------------------------------------------- */
bool qcow2_reads_as_zeroes(struct disk *d, uint64_t from, uint64_t to,
			   int *error);
/* Is more to be written than the part? is_fresh: around it are zeroes. */
bool qcow2_needs_fill(struct disk *d, const struct disk_request *r,
		      bool is_fresh, int *error);
/* Memory for all of it. -ENOMEM. */
int qcow2_get_bounce(struct disk_request *r);
/* Fills it; ends in qcow2_filled(). */
void qcow2_fill(struct disk *d, struct disk_request *r);

/* --- qcow2_disk_fetch.c ---------------------------------------------- */
/* Lookups for r miss, from here to qcow2_ask(d, NULL), what they'd wait for. */
void qcow2_ask(struct disk *d, const struct disk_request *r);
/* Is that why error is -EAGAIN? */
bool qcow2_has_missed(const struct disk *d, int error);
/*
 * What was missed is read into the page cache, and done() called, which begins
 * with qcow2_fetched() and looks again.
 */
void qcow2_fetch(struct disk *d, struct disk_request *r,
		 void (*done)(struct io *io, int error));
struct disk_request *qcow2_fetched(struct io *io);

/* --- qcow2_disk_flush.c ---------------------------------------------- */
void qcow2_disk_flush(struct disk *d, struct disk_request *r);

#endif
