/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring, and what ends a wait beside steps that end: events, and a slow
 * clock. Private to disk/ioq_uring*.c; the queue's thread.
 */
#ifndef AMBER_DISK_IOQ_URING_PRIVATE_H
#define AMBER_DISK_IOQ_URING_PRIVATE_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "disk/ioq_engine.h"

/* user_data: the address of an io, or of what kind it is in its low bits. */
#define TAG_KIND    UINT64_C(3)
#define TAG_IGNORED UINT64_C(1)
#define TAG_EVENT   UINT64_C(2) /* its number is in the bits above */
#define TAG_TICK    UINT64_C(3)

struct uring {
	struct io_uring ring;
	uint64_t counts[IOQ_EVENTS_MAX]; /* the ring reads eventfds into it */
	uint32_t armed;			 /* a bit for each event */
	uint32_t loud; /* of those: it ends a wait for several as well */
	unsigned int loud_next; /* so many are armed loud from now on */
	bool ticks;		/* the clock runs */
	bool is_enabled;	/* the first round has begun */
	bool polls; /* a read of a nonblocking eventfd doesn't wait */
	int error;  /* of an event: the thread can't go on */
	int slow_read_fd, slow_write_fd; /* RWF_NOWAIT is unknown there */
	unsigned int reads_to_skip;
};

/* NULL: there is no room, and none can be made in this round. */
struct io_uring_sqe *uring_get_sqe(struct uring *u);
/* False if so many can't be had that go to the kernel together. */
bool uring_has_room(struct uring *u, unsigned int sqes);

/*
 * Arms what is to end the next wait, and returns how many completions that is
 * for: several only while each event would end it, and the clock: a request
 * that hangs holds up nothing.
 */
unsigned int uring_prepare_wait(struct ioq *q);
/* An event's completion has come with res. */
void uring_take_event(struct ioq *q, unsigned int i, int res);
/* Queues the ends of all that is armed. */
void uring_disarm_events(struct uring *u);

#endif
