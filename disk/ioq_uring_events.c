/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that waits for several completions is not woken by one alone. What
 * shall wake it all the same comes as so many: an event's read, or the slow
 * clock, with empty operations behind it in one chain (io_uring_enter(2),
 * IOSQE_IO_LINK), whose head wakes at once. Such an event is loud; one that is
 * rung while little runs is a plain read, which costs less.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq_uring_private.h"

/* The longest that a completion waits for others. */
#define TICK_NS (10 * NS_PER_MS)
/* How many events are armed loud after a wait for several. */
#define LOUD_AFTER 64

#define BIT(i) (UINT32_C(1) << (i))

static uint64_t event_tag(unsigned int i)
{
	return (uint64_t)i << 2 | TAG_EVENT;
}

/* --- chains ---------------------------------------------------------- */

/* There is room. */
static void push(struct uring *u, const struct io_uring_sqe *what, uint64_t tag,
		 unsigned int flags)
{
	struct io_uring_sqe *sqe = uring_get_sqe(u);

	if (!sqe)
		return;
	*sqe = *what;
	sqe->flags = (uint8_t)flags;
	io_uring_sqe_set_data64(sqe, tag);
}

static void fill_chain(struct uring *u, unsigned int completions)
{
	struct io_uring_sqe nop;

	io_uring_prep_nop(&nop);
	for (; completions > 1; completions--)
		push(u, &nop, TAG_IGNORED, IOSQE_IO_LINK);
	push(u, &nop, TAG_IGNORED, 0);
}

static void push_read(struct uring *u, const struct ioq_event *ev,
		      unsigned int i, unsigned int flags)
{
	struct io_uring_sqe sqe;

	io_uring_prep_read(&sqe, ev->fd, &u->counts[i], sizeof(u->counts[i]),
			   0);
	push(u, &sqe, event_tag(i), flags);
}

static void push_poll(struct uring *u, const struct ioq_event *ev,
		      unsigned int i)
{
	struct io_uring_sqe sqe;

	io_uring_prep_poll_add(&sqe, ev->fd, POLLIN);
	push(u, &sqe, event_tag(i), 0);
}

static bool start_clock(struct uring *u)
{
	static struct __kernel_timespec tick = { .tv_nsec = TICK_NS };
	struct io_uring_sqe sqe;

	if (u->ticks)
		return true;
	if (!uring_has_room(u, IOQ_AWAIT_MAX))
		return false;
	io_uring_prep_timeout(&sqe, &tick, 0, 0);
	push(u, &sqe, TAG_TICK, IOSQE_IO_LINK);
	fill_chain(u, IOQ_AWAIT_MAX - 1);
	u->ticks = true;
	return true;
}

/* --- events ---------------------------------------------------------- */

static void arm(struct uring *u, struct ioq_event *ev, unsigned int i)
{
	bool loud = u->loud_next && !u->polls;

	if (!uring_has_room(u, loud ? IOQ_AWAIT_MAX : 1))
		return; /* in the next round */
	if (u->polls)
		push_poll(u, ev, i);
	else
		push_read(u, ev, i, loud ? IOSQE_IO_LINK : 0);
	if (loud)
		fill_chain(u, IOQ_AWAIT_MAX - 1);
	u->armed |= BIT(i);
	u->loud |= loud ? BIT(i) : 0;
	u->loud_next -= loud;
	ev->watched = true;
}

/* Returns true if all are. */
static bool arm_all(struct ioq *q)
{
	struct uring *u = q->host;
	bool all = true;
	unsigned int i;

	for (i = 0; i < q->event_count; i++) {
		if (!(u->armed & BIT(i)))
			arm(u, q->events[i], i);
		all = all && u->armed & BIT(i);
	}
	return all;
}

static void cancel(struct uring *u, uint64_t tag)
{
	struct io_uring_sqe *sqe = uring_get_sqe(u);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, tag, 0);
	io_uring_sqe_set_data64(sqe, TAG_IGNORED);
}

static void cancel_all(struct uring *u, uint32_t events)
{
	unsigned int i;

	for (i = 0; events; i++, events >>= 1)
		if (events & 1)
			cancel(u, event_tag(i));
}

unsigned int uring_prepare_wait(struct ioq *q)
{
	struct uring *u = q->host;
	unsigned int n = ioq_steps_to_await(q);
	bool all;

	if (n > 1)
		u->loud_next = LOUD_AFTER;
	all = arm_all(q);
	if (n == 1 || !all || u->polls)
		return 1;
	if (u->armed != u->loud) {
		/* The quiet ones come back, and are armed loud then. */
		cancel_all(u, u->armed & ~u->loud);
		return 1;
	}
	return start_clock(u) ? n : 1;
}

void uring_take_event(struct ioq *q, unsigned int i, int res)
{
	struct uring *u = q->host;
	ssize_t n = res;

	u->armed &= ~BIT(i);
	u->loud &= ~BIT(i);
	q->events[i]->watched = false;
	if (u->polls && res > 0) {
		n = read(q->events[i]->fd, &u->counts[i], sizeof(uint64_t));
		n = n < 0 ? -errno : n;
	} else if (res == -EAGAIN) {
		u->polls = true; /* before Linux 5.16 */
	}
	if (n == sizeof(uint64_t))
		ioq_fired(q, i, u->counts[i]);
	else if (n != -EAGAIN && n != -EINTR && n != -ECANCELED)
		u->error = n < 0 ? (int)n : -EIO;
}

void uring_disarm_events(struct uring *u)
{
	cancel_all(u, u->armed);
}
