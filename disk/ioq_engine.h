/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the queue (disk/ioq.c) and its engines: the queue cuts operations
 * into steps of one system call each, an engine executes a step and says how
 * it went. Private to disk/; the queue's thread.
 */
#ifndef AMBER_DISK_IOQ_ENGINE_H
#define AMBER_DISK_IOQ_ENGINE_H

#include <sys/types.h>

#include "disk/ioq.h"

#define IOQ_AWAIT_MAX 8

enum ioq_step_kind { STEP_READ, STEP_WRITE, STEP_SYNC, STEP_ALLOCATE };

/* The next system call of an io. */
struct ioq_step {
	enum ioq_step_kind kind;
	off_t offset, bytes;	 /* bytes: STEP_ALLOCATE */
	const struct iovec *iov; /* &one, or inside the io's own */
	unsigned int iovs;
	struct iovec one;
	int flags; /* RWF_*, or the mode of fallocate */
};

struct ioq_engine_ops {
	const char *name;
	int (*open)(struct ioq *q, struct err *e);
	void (*close)(struct ioq *q);
	/*
	 * Begins the next step of io; ioq_stepped() may come from inside. 0,
	 * or -EAGAIN: no room in this round.
	 */
	int (*start)(struct ioq *q, struct io *io);
	/*
	 * Waits until a step has ended, an event is there, a signal came or
	 * the time is over, and calls ioq_stepped() and ioq_fired().
	 */
	int (*wait)(struct ioq *q, uint64_t timeout_ns);
};

struct io_list {
	struct io *first, *last;
};

struct ioq {
	const struct ioq_engine_ops *ops;
	const struct file_ops *files; /* borrowed; the synchronous engine's */
	void *host;		      /* owned by the engine */
	unsigned int depth;
	unsigned int running; /* steps that the engine has */
	unsigned int direct;  /* direct transfers among them */
	unsigned int in_flight;
	struct io_list waiting;			  /* for a step */
	struct io_list finished;		  /* for done() */
	struct ioq_event *events[IOQ_EVENTS_MAX]; /* borrowed */
	unsigned int event_count;
	uint32_t fired; /* a bit for each event whose ready() is due */

	/* Done by this thread in this round. */
	unsigned int inline_steps;
	uint64_t inline_bytes;
};

extern const struct ioq_engine_ops ioq_sync_engine, ioq_uring_engine;

void ioq_next_step(struct io *io, struct ioq_step *step);
/* The step that was started has ended with res bytes or a negative errno. */
void ioq_stepped(struct ioq *q, struct io *io, ssize_t res);
/*
 * So many steps are worth being told of together: at most IOQ_AWAIT_MAX, and
 * 1 unless many direct transfers and nothing else run (docs/decisions/0018).
 */
unsigned int ioq_steps_to_await(const struct ioq *q);
/* Event number i has count in it and ready() is due. */
void ioq_fired(struct ioq *q, unsigned int i, uint64_t count);

#endif
