/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device's thread: takes chains, submits them, answers them. A
 * round is: take what was kicked for (under the lock), submit (without),
 * wait in ioq_run(), answer all that has come (under the lock). INV-1: a
 * request is in exactly one of: free, in flight, finished, held. INV-2: a
 * held request is counted in no in_flight, so that the device can be quiet.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sched.h"
#include "devices/vblk_private.h"

#define ROUND 64 /* chains of one queue, then others get their turn */
/* Of data under way, then no more is begun: a pause waits for all of it. */
#define FLIGHT_BYTES (32u << 20)

/* --- lists ----------------------------------------------------------- */

static struct vblk_request *get_free(struct vblk *b)
{
	struct vblk_request *r = b->host.free;

	if (r)
		b->host.free = r->next;
	return r;
}

static void put_free(struct vblk *b, struct vblk_request *r)
{
	r->next = b->host.free;
	b->host.free = r;
}

/* What it costs to wait for it; a discard moves nothing. */
static uint64_t weight(const struct vblk_request *r)
{
	return r->kind == VBLK_DISCARD ? 0 : r->bytes;
}

static bool has_room(const struct vblk *b)
{
	return b->host.free && b->host.flight_bytes < FLIGHT_BYTES;
}

static void publish_flight(struct vblk *b)
{
	atomic_store_explicit(&b->counters.oldest_ns,
			      b->host.oldest ? b->host.oldest->began_ns : 0,
			      memory_order_relaxed);
}

static void enter_flight(struct vblk *b, struct vblk_request *r)
{
	r->newer = NULL;
	r->older = b->host.newest;
	if (r->older)
		r->older->newer = r;
	else
		b->host.oldest = r;
	b->host.newest = r;
	atomic_fetch_add_explicit(&b->counters.in_flight, 1,
				  memory_order_relaxed);
	publish_flight(b);
}

static void leave_flight(struct vblk *b, struct vblk_request *r)
{
	if (r->older)
		r->older->newer = r->newer;
	else
		b->host.oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		b->host.newest = r->older;
	atomic_fetch_sub_explicit(&b->counters.in_flight, 1,
				  memory_order_relaxed);
	b->host.flight_bytes -= weight(r);
	publish_flight(b);
}

/* --- beginning ------------------------------------------------------- */

static void on_disk_done(struct disk_request *d, int error)
{
	struct vblk_request *r = (struct vblk_request *)d;
	struct vblk *b = r->vblk;

	if (!error && vblk_request_next(r)) {
		disk_submit(b->cfg.disk, d);
		return;
	}
	r->error = error;
	leave_flight(b, r);
	vblk_list_add(&b->host.finished, r);
}

static void submit(struct vblk *b, struct vblk_request *r)
{
	enter_flight(b, r);
	r->disk.done = on_disk_done;
	disk_submit(b->cfg.disk, &r->disk);
}

static bool may_begin(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	if (!virtio_may_work(v, q) || b->host.is_held)
		return false;
	if (!has_room(b)) {
		b->host.may_have_more = true;
		return false;
	}
	b->host.wait_ns = limiter_wait_ns(&b->host.limiter, &b->host.limits);
	if (b->host.wait_ns)
		b->host.may_have_more = true;
	return !b->host.wait_ns;
}

/* Takes one chain; false when there is none (or none may be taken). */
static bool take_one(struct virtio *v, unsigned int q, struct vblk_list *begun)
	LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	struct vblk_request *r;
	struct err e = ERR_NONE;
	int type;

	if (!may_begin(v, q))
		return false;
	r = get_free(b);
	if (!virtio_pop(v, q, &r->chain)) {
		put_free(b, r);
		return false;
	}
	r->queue = q;
	r->began_ns = clock_mono_ns();
	type = vblk_request_parse(r, &e);
	if (type < 0) {
		virtio_break(v, (int)q, e.text);
		put_free(b, r);
		return false;
	}
	virtio_begin(v);
	limiter_take(&b->host.limiter, r->bytes);
	b->host.flight_bytes += type ? weight(r) : 0;
	vblk_list_add(type ? begun : &b->host.finished, r);
	return true;
}

static void take_locked(struct virtio *v, unsigned int q,
			struct vblk_list *begun) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	unsigned int n = 0;

	do {
		if (virtq_is_started(&v->queue[q]))
			virtq_disable_kicks(&v->queue[q]);
		while (n < ROUND && take_one(v, q, begun))
			n++;
		if (n == ROUND || b->host.may_have_more) {
			b->host.may_have_more = true;
			return;
		}
	} while (virtio_may_work(v, q) && !b->host.is_held &&
		 virtq_enable_kicks(&v->queue[q]));
}

/* Before anything is begun that a person's word lets succeed. */
static void look_if_verified(struct vblk *b)
{
	if (!atomic_exchange(&b->host.accept, false))
		return;
	disk_verified(b->cfg.disk);
	atomic_store(&b->counters.is_poisoned, false);
}

static void take(struct vblk *b, unsigned int q)
{
	struct virtio *v = &b->virtio;
	struct vblk_list begun;
	struct vblk_request *r, *next;

	vblk_list_init(&begun);
	lock_take(&v->lock);
	take_locked(v, q, &begun);
	lock_release(&v->lock);
	look_if_verified(b);
	for (r = begun.head; r; r = next) {
		next = r->next;
		submit(b, r);
	}
}

static void on_kick(struct ioq_event *event)
{
	struct vblk_queue_event *kick = (struct vblk_queue_event *)event;

	atomic_fetch_add_explicit(&kick->vblk->virtio.counters.kicks, 1,
				  memory_order_relaxed);
	take(kick->vblk, kick->queue);
}

/* --- answering ------------------------------------------------------- */

static unsigned int latency_bucket(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;
	unsigned int n = us ? 64 - (unsigned int)__builtin_clzll(us) : 0;

	return n < VBLK_HISTOGRAM ? n : VBLK_HISTOGRAM - 1;
}

static void count(struct vblk *b, const struct vblk_request *r, uint64_t now)
{
	struct vblk_counters *c = &b->counters;

	atomic_fetch_add_explicit(&c->ops[r->kind], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->bytes[r->kind], r->bytes,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(
		&c->latency[r->kind][latency_bucket(now - r->began_ns)], 1,
		memory_order_relaxed);
}

/* Keeps a request that the host failed, until the device is resumed. */
static void hold(struct virtio *v, struct vblk_request *r) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	vblk_list_add(&b->host.held, r);
	atomic_fetch_add(&b->counters.held, 1);
	b->host.is_held = true;
	virtio_end(v); /* INV-2 */
}

/* Who goes on after an error may meet thousands: they are counted. */
static bool may_tell(struct vblk *b, uint64_t now)
{
	if (b->cfg.on_error != VBLK_REPORT)
		return !b->host.is_held; /* one for all that fail by then */
	if (b->host.told_ns && now - b->host.told_ns < NS_PER_S)
		return false;
	b->host.told_ns = now;
	return true;
}

static void report(struct virtio *v, const struct vblk_request *r)
	LOCK_NEEDS(v->lock)
{
	static const enum device_event_kind kinds[] = {
		[VBLK_PAUSE] = DEVICE_IO_ERROR,
		[VBLK_REPORT] = DEVICE_IO_FAILED,
		[VBLK_STOP] = DEVICE_IO_STOP,
	};
	const struct vblk *b = (const struct vblk *)v;
	char text[DEVICE_TEXT_MAX + 1];

	vblk_request_describe(r, text, sizeof(text));
	device_event(&v->cfg.events, kinds[b->cfg.on_error], v->cfg.id, text);
}

static void answer(struct virtio *v, struct vblk_request *r, uint64_t now)
	LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	if (r->error) {
		atomic_fetch_add_explicit(&b->counters.errors, 1,
					  memory_order_relaxed);
		if (may_tell(b, now))
			report(v, r);
		if (b->cfg.on_error != VBLK_REPORT && !v->host.is_resetting) {
			hold(v, r);
			return;
		}
		r->answer = VBLK_S_IOERR;
		r->written = 0;
	}
	*r->status = r->answer;
	virtq_push(&v->queue[r->queue], r->chain.head, r->written + 1);
	count(b, r, now);
	put_free(b, r);
	virtio_end(v);
}

static void answer_all(struct vblk *b)
{
	struct virtio *v = &b->virtio;
	struct vblk_request *r = b->host.finished.head, *next;
	uint64_t now;
	unsigned int q;

	if (!r)
		return;
	now = clock_mono_ns();
	vblk_list_init(&b->host.finished);
	/* First: who hears of the failed flush may resume at once. */
	atomic_store(&b->counters.is_poisoned, disk_is_poisoned(b->cfg.disk));
	lock_take(&v->lock);
	for (; r; r = next) {
		next = r->next;
		answer(v, r, now);
	}
	for (q = 0; q < v->cfg.queues; q++)
		if (virtq_is_started(&v->queue[q]))
			virtio_tell(v, q);
	lock_release(&v->lock);
}

/* --- the thread ------------------------------------------------------ */

/* The device was resumed: the very requests are tried again. */
static void retry_held(struct vblk *b)
{
	struct virtio *v = &b->virtio;
	struct vblk_request *r = NULL, *next;

	lock_take(&v->lock);
	if (b->host.retry && !v->host.is_quiet) {
		b->host.retry = false;
		b->host.is_held = false;
		b->host.may_have_more = true;
		r = b->host.held.head;
		vblk_list_init(&b->host.held);
		atomic_store(&b->counters.held, 0);
		for (next = r; next; next = next->next) {
			b->host.flight_bytes += weight(next);
			virtio_begin(v);
		}
	}
	lock_release(&v->lock);
	look_if_verified(b);
	for (; r; r = next) {
		next = r->next;
		r->error = 0;
		submit(b, r);
	}
}

static void on_wake(struct ioq_event *event)
{
	(void)event; /* the round that follows looks at everything */
}

void vblk_wake(struct vblk *b)
{
	uint64_t one = 1;

	/* A full counter wakes, too. */
	if (write(b->host.wake_fd, &one, sizeof(one)) < 0)
		return;
}

int vblk_watch(struct vblk *b, struct err *e)
{
	unsigned int q;
	int r;

	r = ioq_watch(b->host.ioq, &b->host.wake, b->host.wake_fd, on_wake);
	for (q = 0; !r && q < b->virtio.cfg.queues; q++) {
		b->host.kick[q].vblk = b;
		b->host.kick[q].queue = q;
		r = ioq_watch(b->host.ioq, &b->host.kick[q].event,
			      b->virtio.host.kick[q], on_kick);
	}
	if (r)
		err_sys(e, r, "%s: watching its queues", b->virtio.cfg.id);
	return r;
}

static uint64_t round_timeout(const struct vblk *b)
{
	if (b->host.wait_ns)
		return b->host.wait_ns;
	return b->host.may_have_more && has_room(b) ? 0 : IOQ_FOREVER;
}

static void run_round(struct vblk *b)
{
	unsigned int q;

	vblk_look_for_order(b);
	vblk_look_for_merge(b);
	answer_all(b);
	if (!b->host.may_have_more || !has_room(b))
		return;
	b->host.may_have_more = false;
	b->host.wait_ns = 0;
	for (q = 0; q < b->virtio.cfg.queues; q++)
		take(b, q);
	answer_all(b);
}

/* Nobody knows what became of the requests in flight: nothing can go on. */
static void report_dead(struct vblk *b, int error)
{
	struct virtio *v = &b->virtio;
	struct err e = ERR_NONE;

	err_sys(&e, error, "the queue of its file operations failed");
	lock_take(&v->lock);
	b->host.is_dead = true;
	vblk_end_orders(v);
	device_event(&v->cfg.events, DEVICE_IO_STOP, v->cfg.id, e.text);
	lock_release(&v->lock);
	vblk_end_merge(b, error, e.text);
}

void *vblk_main(void *arg)
{
	struct vblk *b = arg;
	int r;

	pthread_setname_np(pthread_self(), "disk");
	sched_be_prompt();
	for (;;) {
		r = ioq_run(b->host.ioq, round_timeout(b));
		if (r < 0) {
			report_dead(b, r);
			break;
		}
		retry_held(b);
		run_round(b);
		if (atomic_load(&b->host.is_stopping) && !b->host.oldest &&
		    !b->host.finished.head && !vblk_merges(b))
			break;
	}
	return NULL;
}
