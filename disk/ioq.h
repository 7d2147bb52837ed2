/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue that executes file operations for one thread, and the place
 * where that thread waits: for completions, for eventfds, for a deadline.
 * Engines: io_uring (io_uring(7), Linux 5.11 or later), and a synchronous
 * one for hosts without it and for tests. Interruptions, short transfers and
 * -EAGAIN are dealt with here, so that owners see whole transfers.
 *
 * One thread owns a queue and calls everything but ioq_available(). It may be
 * opened, and given its events, by another thread before the first ioq_run(),
 * and closed by another one when the thread that ran it has ended.
 */
#ifndef AMBER_DISK_IOQ_H
#define AMBER_DISK_IOQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "disk/io.h"

struct ioq;

enum ioq_engine {
	IOQ_AUTO, /* io_uring where it can be had and ops is NULL */
	IOQ_URING,
	IOQ_SYNC
};

#define IOQ_DEPTH_MAX  4096
#define IOQ_EVENTS_MAX 32
#define IOQ_FOREVER    UINT64_MAX

/* An eventfd the thread waits for. Embed it in its owner. */
struct ioq_event {
	int fd; /* borrowed eventfd, nonblocking; open until ioq_close() */
	/* The counter was above 0 and has been read. On the queue's thread. */
	void (*ready)(struct ioq_event *ev);
	uint64_t count; /* what was read */
	bool watched;	/* the engine's: it waits for this one */
};

/*
 * What the synchronous engine calls, so that tests can fail, shorten, delay
 * or kill any of it. Each behaves as its namesake: -1 and errno.
 */
struct file_ops {
	void *ctx;
	ssize_t (*preadv)(void *ctx, int fd, const struct iovec *iov, int n,
			  off_t offset, int flags);
	ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int n,
			   off_t offset, int flags);
	int (*fdatasync)(void *ctx, int fd);
	int (*fallocate)(void *ctx, int fd, int mode, off_t offset, off_t len);
	/* sync_file_range(2) of a whole file; NULL: nothing is begun early. */
	int (*begin_sync)(void *ctx, int fd);
};

extern const struct file_ops file_ops_real;
/* Nothing is synced: for files that a power cut may cost. */
extern const struct file_ops file_ops_unsynced;

/*
 * Opens a queue for up to depth operations at once (more are kept waiting
 * inside). ops is for IOQ_SYNC; NULL: file_ops_real. Errors: -ENOMEM,
 * -EMFILE, -ENOSYS or -EPERM (io_uring is off here: the text says by what).
 */
int ioq_open(struct ioq **out, enum ioq_engine engine, unsigned int depth,
	     const struct file_ops *ops, struct err *e);

/*
 * Nothing may be in flight. Lets go of all events; one that ioq_run() has not
 * reported yet may be lost. NULL is fine.
 */
void ioq_close(struct ioq *q);

/* "io_uring" or "synchronous". */
const char *ioq_engine_name(const struct ioq *q);

/* Can io_uring be used by this process here? 0, or why not. Any thread. */
int ioq_available(struct err *e);

/*
 * Queues io; it begins at the latest in the next ioq_run(), a direct transfer
 * while many others run with a few more of its kind (docs/decisions/0018).
 */
void ioq_submit(struct ioq *q, struct io *io);
/* Executes nothing: the next ioq_run() calls done(io, error). */
void ioq_conclude(struct ioq *q, struct io *io, int error);
/* Operations that were submitted and whose done() was not called yet. */
unsigned int ioq_in_flight(const struct ioq *q);

/* Errors: -ENOSPC (IOQ_EVENTS_MAX). */
int ioq_watch(struct ioq *q, struct ioq_event *ev, int fd,
	      void (*ready)(struct ioq_event *ev));

/*
 * Starts what was submitted and waits until something has happened or
 * timeout_ns have passed (0: looks only), then calls done() and ready() for
 * all that has. While 16 direct transfers or more run, and nothing else, one
 * that ends may be told of 10 ms later, with others. Returns how many were
 * called, or a negative errno of the engine itself (the thread can't go on).
 */
int ioq_run(struct ioq *q, uint64_t timeout_ns);

#endif
