/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop over epoll. Entered by its own thread, and by any thread in
 * loop_post() and loop_stop(). INV-1: a message is in the queue exactly when
 * its queued flag is set (both under the lock). INV-2: a removed source gets
 * no more events of the round that is being handed out. INV-3: a round runs
 * no more messages than were queued when it began, so that messages posted
 * for ever don't keep timers and descriptors waiting.
 */
#include "base/loop.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"

#define ROUND_EVENTS 64

struct loop {
	int epoll_fd;
	int wake_fd;
	struct loop_fd wake;
	atomic_bool stopped;
	struct loop_timer *timers; /* sorted by due_ns, soonest first */
	uint64_t looks_until_ns;   /* 0: nothing is expected */

	struct epoll_event round[ROUND_EVENTS];
	int round_next, round_count; /* what is still to be handed out */

	struct lock lock; /* guards the message queue */
	struct loop_msg *head, **tail;
	unsigned int posted; /* messages in the queue */
};

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* EAGAIN means that the counter is full, so the wake-up is certain. */
	while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static struct loop_msg *take(struct loop *l)
{
	struct loop_msg *m;

	lock_take(&l->lock);
	m = l->head;
	if (m) {
		l->head = m->next;
		if (!l->head)
			l->tail = &l->head;
		m->queued = false;
		l->posted--;
	}
	lock_release(&l->lock);
	return m;
}

static unsigned int count_posted(struct loop *l)
{
	unsigned int n;

	lock_take(&l->lock);
	n = l->posted;
	lock_release(&l->lock);
	return n;
}

static void on_wake(void *ctx, uint32_t events)
{
	struct loop *l = ctx;
	struct loop_msg *m;
	unsigned int left;
	uint64_t count;

	(void)events;
	while (read(l->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	for (left = count_posted(l); left && (m = take(l)); left--)
		m->run(m->ctx);
	if (count_posted(l)) /* INV-3: the next round's */
		wake(l);
}

int loop_create(struct loop **out, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_sys(e, -ENOMEM, "event loop");
	l->tail = &l->head;
	l->wake.fd = -1;
	lock_init(&l->lock);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 || l->wake_fd < 0) {
		r = err_sys(e, -errno, "event loop: epoll or eventfd");
		goto fail;
	}
	r = loop_add(l, &l->wake, l->wake_fd, EPOLLIN, on_wake, l);
	if (r) {
		err_sys(e, r, "event loop: epoll_ctl");
		goto fail;
	}
	*out = l;
	return 0;
fail:
	loop_destroy(l);
	return r;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	lock_fini(&l->lock);
	free(l);
}

int loop_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	     void (*ready)(void *ctx, uint32_t events), void *ctx)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*w = (struct loop_fd){ fd, events, ready, ctx, l };
	return 0;
}

int loop_modify(struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w->loop)
		return -EINVAL;
	if (w->events == events)
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void loop_remove(struct loop_fd *w)
{
	struct loop *l = w->loop;
	int i;

	if (!l)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	for (i = l->round_next; i < l->round_count; i++) /* INV-2 */
		if (l->round[i].data.ptr == w)
			l->round[i].data.ptr = NULL;
	w->loop = NULL;
	w->fd = -1;
}

void loop_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ns,
	      void (*fire)(void *ctx), void *ctx)
{
	struct loop_timer *at = l->timers, *before = NULL;

	loop_disarm(t);
	at = l->timers;
	t->due_ns = clock_mono_ns() + delay_ns;
	t->fire = fire;
	t->ctx = ctx;
	t->loop = l;
	while (at && at->due_ns <= t->due_ns) {
		before = at;
		at = at->next;
	}
	t->prev = before;
	t->next = at;
	if (at)
		at->prev = t;
	if (before)
		before->next = t;
	else
		l->timers = t;
}

void loop_disarm(struct loop_timer *t)
{
	if (!t->loop)
		return;
	if (t->prev)
		t->prev->next = t->next;
	else
		t->loop->timers = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->loop = NULL;
	t->prev = t->next = NULL;
}

void loop_post(struct loop *l, struct loop_msg *m)
{
	bool was_empty = false;

	lock_take(&l->lock);
	if (!m->queued) {
		was_empty = !l->head;
		m->queued = true;
		l->posted++;
		m->next = NULL;
		*l->tail = m;
		l->tail = &m->next;
	}
	lock_release(&l->lock);
	if (was_empty)
		wake(l);
}

void loop_unpost(struct loop *l, struct loop_msg *m)
{
	struct loop_msg **at;

	lock_take(&l->lock);
	for (at = &l->head; *at; at = &(*at)->next) {
		if (*at != m)
			continue;
		*at = m->next;
		if (!*at)
			l->tail = at;
		m->queued = false;
		l->posted--;
		break;
	}
	lock_release(&l->lock);
}

static void fire_due(struct loop *l)
{
	uint64_t now = clock_mono_ns();

	while (l->timers && l->timers->due_ns <= now) {
		struct loop_timer *t = l->timers;

		loop_disarm(t);
		t->fire(t->ctx);
	}
}

/* Milliseconds until the next timer, rounded up; -1 for none. */
static int next_timeout(const struct loop *l)
{
	uint64_t now = clock_mono_ns();
	uint64_t ms;

	if (!l->timers)
		return -1;
	if (l->timers->due_ns <= now)
		return 0;
	ms = (l->timers->due_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

void loop_expect(struct loop *l, uint64_t ns)
{
	l->looks_until_ns = ns ? clock_mono_ns() + ns : 0;
}

/* What epoll_wait() returns. Who is to do it may need this CPU meanwhile. */
static int look(struct loop *l)
{
	uint64_t now;
	int n;

	if (!l->looks_until_ns)
		return 0;
	do {
		n = epoll_wait(l->epoll_fd, l->round, ROUND_EVENTS, 0);
		if (n)
			return n;
		sched_yield();
		now = clock_mono_ns();
		if (l->timers && l->timers->due_ns <= now)
			return 0;
	} while (now < l->looks_until_ns);
	l->looks_until_ns = 0; /* it is late */
	return 0;
}

int loop_step(struct loop *l, int timeout_ms)
{
	int until = next_timeout(l);
	int n = until && timeout_ms ? look(l) : 0;

	if (until >= 0 && (timeout_ms < 0 || until < timeout_ms))
		timeout_ms = until;
	if (!n)
		n = epoll_wait(l->epoll_fd, l->round, ROUND_EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	l->round_count = n > 0 ? n : 0;
	for (l->round_next = 0; l->round_next < l->round_count;) {
		struct epoll_event *ev = &l->round[l->round_next++];
		struct loop_fd *w = ev->data.ptr;

		if (w)
			w->ready(w->ctx, ev->events);
	}
	l->round_count = 0;
	fire_due(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	while (!r && !atomic_load(&l->stopped))
		r = loop_step(l, -1);
	atomic_store(&l->stopped, false);
	return r;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stopped, true);
	wake(l);
}
