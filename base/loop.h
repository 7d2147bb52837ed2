/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of one thread: file descriptors (epoll), timers, and
 * messages from other threads. Everything but loop_post() and loop_stop()
 * is for the loop's own thread. Handlers may add and remove sources and
 * timers, their own included. Nothing here blocks but loop_run().
 */
#ifndef AMBER_BASE_LOOP_H
#define AMBER_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

/* A watched descriptor. Embed it in its owner; the fd stays the owner's. */
struct loop_fd {
	int fd; /* borrowed; -1 when not watched */
	uint32_t events;
	void (*ready)(void *ctx, uint32_t events); /* EPOLL* bits */
	void *ctx;
	struct loop *loop; /* borrowed; NULL when not watched */
};

/* A one-shot timer. Embed it in its owner; zeroed = not armed. */
struct loop_timer {
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	void (*fire)(void *ctx);
	void *ctx;
	struct loop *loop; /* borrowed; NULL when not armed */
	struct loop_timer *prev, *next;
};

/*
 * A message from another thread. Embed it in its owner. A message that is
 * still queued is not queued twice: posting it again is a no-op, so a
 * sender may post once per change and the handler looks at all changes.
 */
struct loop_msg {
	void (*run)(void *ctx); /* on the loop's thread */
	void *ctx;
	struct loop_msg *next; /* guarded by the loop's lock */
	bool queued;	       /* guarded by the loop's lock */
};

/* Errors: -ENOMEM, -EMFILE... from epoll_create1 and eventfd. */
int loop_create(struct loop **out, struct err *e);
void loop_destroy(struct loop *l);

/* Runs handlers until loop_stop(). Returns 0, or a negative errno. */
int loop_run(struct loop *l);

/* Waits for and runs one round of handlers; for tests. timeout_ms as poll. */
int loop_step(struct loop *l, int timeout_ms);

/* Ends loop_run() after the present round. Any thread. */
void loop_stop(struct loop *l);

/* Starts to watch fd for events (EPOLLIN | EPOLLOUT...), level-triggered. */
int loop_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	     void (*ready)(void *ctx, uint32_t events), void *ctx);
int loop_modify(struct loop_fd *w, uint32_t events);
/* Stops watching; not watched is fine. The fd is not closed. */
void loop_remove(struct loop_fd *w);

/* Arms (or re-arms) a timer for delay_ns from now. */
void loop_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ns,
	      void (*fire)(void *ctx), void *ctx);
void loop_disarm(struct loop_timer *t);

/*
 * Something is to come within ns: until then the loop looks for it, instead
 * of falling asleep and being woken (docs/decisions/0003). A short cut, never
 * needed; it costs so much CPU time at most. 0: it has come.
 */
void loop_expect(struct loop *l, uint64_t ns);

/* Queues m for the loop's thread. Any thread, also a vCPU's. */
void loop_post(struct loop *l, struct loop_msg *m);
/* Takes a queued message back; after it the owner may be freed. */
void loop_unpost(struct loop *l, struct loop_msg *m);

#endif
