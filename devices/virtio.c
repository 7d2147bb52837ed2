/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtio devices share besides the registers (devices/virtio_mmio.c):
 * life, queues, interrupts, quiescence, state. INV-1: between quiesce and
 * resume nothing is begun, and quiet() comes when nothing is in flight.
 * INV-2: a reset ends with no request in flight. INV-3: a broken device does
 * nothing until it is reset.
 */
#include "devices/virtio.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "devices/virtio_private.h"

#define BROKEN_EVENT_NS NS_PER_S /* at most one event in that time */

int virtio_init(struct virtio *v, const struct device_ops *device_ops,
		const struct virtio_ops *ops, const struct virtio_config *cfg,
		struct err *e)
{
	unsigned int i;

	v->device.ops = device_ops;
	v->ops = ops;
	v->cfg = *cfg;
	v->cfg.features |= VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
			   VIRTIO_F_EVENT_IDX;
	lock_init(&v->lock);
	pthread_cond_init(&v->host.idle, NULL);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		v->host.kick[i] = -1;
	if (cfg->queues > VIRTIO_QUEUES_MAX ||
	    cfg->config_bytes > VIRTIO_CONFIG_MAX)
		return err_set(e, -EINVAL, "%s: %u queues", cfg->id,
			       cfg->queues);
	for (i = 0; i < cfg->queues; i++) {
		v->host.kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->host.kick[i] < 0)
			return err_sys(e, -errno, "%s: eventfd", cfg->id);
	}
	return 0;
}

void virtio_fini(struct virtio *v)
{
	unsigned int i;

	for (i = 0; i < v->cfg.queues; i++)
		if (v->host.kick[i] >= 0)
			close(v->host.kick[i]);
	pthread_cond_destroy(&v->host.idle);
	lock_fini(&v->lock);
}

/* --- interrupts and kicks -------------------------------------------- */

static void raise_edge(struct virtio *v)
{
	irq_set(&v->cfg.irq, true);
	irq_set(&v->cfg.irq, false);
}

static void interrupt(struct virtio *v, uint32_t bit)
{
	atomic_fetch_or(&v->st.isr, bit);
	atomic_fetch_add_explicit(&v->counters.irqs, 1, memory_order_relaxed);
	raise_edge(v);
}

void virtio_tell(struct virtio *v, unsigned int q)
{
	if (virtq_wants_irq(&v->queue[q]))
		interrupt(v, VIRTIO_ISR_QUEUE);
}

void virtio_config_changed(struct virtio *v)
{
	v->st.generation++;
	if (v->st.status & VIRTIO_DRIVER_OK)
		interrupt(v, VIRTIO_ISR_CONFIG);
}

void virtio_kick(struct virtio *v, unsigned int q)
{
	uint64_t one = 1;

	/* A full counter has been kicked often enough. */
	if (write(v->host.kick[q], &one, sizeof(one)) < 0)
		return;
}

static void kick_all(struct virtio *v)
{
	unsigned int q;

	for (q = 0; q < v->cfg.queues; q++)
		if (virtq_is_started(&v->queue[q]))
			virtio_kick(v, q);
}

/* --- work ------------------------------------------------------------ */

bool virtio_may_work(struct virtio *v, unsigned int q)
{
	if (!(v->st.status & VIRTIO_DRIVER_OK) ||
	    (v->st.status & VIRTIO_NEEDS_RESET) || v->host.is_resetting ||
	    !virtq_is_started(&v->queue[q]))
		return false;
	if (v->host.is_quiet)
		v->host.missed = true;
	return !v->host.is_quiet;
}

bool virtio_pop(struct virtio *v, unsigned int q, struct virtq_chain *c)
{
	struct err e = ERR_NONE;
	int r = virtq_pop(&v->queue[q], c, &e);

	if (r < 0)
		virtio_break(v, (int)q, e.text);
	return r > 0;
}

bool virtio_ask(struct virtio *v, unsigned int q)
{
	return virtio_may_work(v, q) && virtq_enable_kicks(&v->queue[q]);
}

void virtio_break(struct virtio *v, int q, const char *reason)
{
	char text[DEVICE_TEXT_MAX + 1];
	uint64_t now = clock_mono_ns();

	if (v->st.status & VIRTIO_NEEDS_RESET)
		return;
	v->st.status |= VIRTIO_NEEDS_RESET; /* INV-3 */
	atomic_fetch_add_explicit(&v->counters.broken, 1, memory_order_relaxed);
	if (v->st.status & VIRTIO_DRIVER_OK)
		interrupt(v, VIRTIO_ISR_CONFIG);
	if (v->host.broken_event_ns &&
	    now - v->host.broken_event_ns < BROKEN_EVENT_NS)
		return;
	v->host.broken_event_ns = now;
	if (q < 0)
		snprintf(text, sizeof(text), "%s", reason);
	else
		snprintf(text, sizeof(text), "queue %d: %s", q, reason);
	device_event(&v->cfg.events, DEVICE_BROKEN, v->cfg.id, text);
}

void virtio_begin(struct virtio *v)
{
	v->host.in_flight++;
}

void virtio_end(struct virtio *v)
{
	void (*quiet)(void *ctx) = v->host.quiet;

	if (--v->host.in_flight)
		return;
	pthread_cond_broadcast(&v->host.idle);
	v->host.quiet = NULL;
	if (quiet)
		quiet(v->host.quiet_ctx);
}

/* --- life ------------------------------------------------------------ */

static void wait_until_idle(struct virtio *v) LOCK_NEEDS(v->lock)
{
	v->host.is_resetting = true;
	while (v->host.in_flight)
		pthread_cond_wait(&v->host.idle, &v->lock.mutex);
	v->host.is_resetting = false;
}

void virtio_reset_locked(struct virtio *v)
{
	unsigned int q;

	wait_until_idle(v); /* INV-2 */
	v->st.status = 0;
	v->st.device_features_sel = v->st.driver_features_sel = 0;
	v->st.queue_sel = 0;
	v->st.features = 0;
	v->st.generation = 0;
	atomic_store(&v->st.isr, 0);
	for (q = 0; q < v->cfg.queues; q++)
		virtq_reset(&v->queue[q]);
	if (v->ops->reset)
		v->ops->reset(v);
}

void virtio_start_locked(struct virtio *v)
{
	struct err e = ERR_NONE;
	unsigned int q;

	for (q = 0; q < v->cfg.queues; q++) {
		if (!v->queue[q].st.ready)
			continue;
		if (virtq_start(&v->queue[q], v->cfg.mem,
				virtio_has(v, VIRTIO_F_INDIRECT_DESC),
				virtio_has(v, VIRTIO_F_EVENT_IDX), &e)) {
			virtio_break(v, (int)q, e.text);
			return;
		}
	}
	if (v->ops->activate)
		v->ops->activate(v);
	/* Buffers may lie there that were never kicked for. */
	kick_all(v);
}

void virtio_reset(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	lock_take(&v->lock);
	virtio_reset_locked(v);
	lock_release(&v->lock);
}

bool virtio_quiesce(struct device *d, void (*quiet)(void *ctx), void *ctx)
{
	struct virtio *v = (struct virtio *)d;
	bool is_quiet;

	lock_take(&v->lock);
	v->host.is_quiet = true; /* INV-1 */
	is_quiet = v->host.in_flight == 0;
	if (!is_quiet) {
		v->host.quiet = quiet;
		v->host.quiet_ctx = ctx;
	}
	lock_release(&v->lock);
	return is_quiet;
}

void virtio_resume(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	lock_take(&v->lock);
	v->host.is_quiet = false;
	v->host.quiet = NULL;
	if (v->host.missed)
		kick_all(v);
	v->host.missed = false;
	if (v->ops->resumed)
		v->ops->resumed(v);
	lock_release(&v->lock);
}

/* --- state ----------------------------------------------------------- */

static void sync_common(struct virtio_state *st, struct state_io *io)
{
	uint32_t isr = atomic_load(&st->isr);

	state_u8(io, &st->status);
	state_u32(io, &st->device_features_sel);
	state_u32(io, &st->driver_features_sel);
	state_u32(io, &st->queue_sel);
	state_u64(io, &st->features);
	state_u32(io, &st->generation);
	state_u32(io, &isr);
	atomic_store(&st->isr, isr);
}

void virtio_sync(struct device *d, struct state_io *io)
{
	struct virtio *v = (struct virtio *)d;
	struct virtq_state queue[VIRTIO_QUEUES_MAX];
	unsigned int q, saved = v->cfg.queues;
	struct virtio_state st;

	if (v->ops->saved_queues)
		saved = v->ops->saved_queues(v, io->version);
	lock_take(&v->lock);
	st = v->st;
	sync_common(&st, io);
	for (q = 0; q < v->cfg.queues; q++) {
		queue[q] = v->queue[q].st;
		if (q < saved)
			virtq_sync(&queue[q], io);
		else if (state_is_loading(io))
			queue[q] = (struct virtq_state){ .size = 0 };
	}
	if (v->ops->sync)
		v->ops->sync(v, io);
	if (state_is_loading(io) && !io->error) {
		v->st = st;
		for (q = 0; q < v->cfg.queues; q++) {
			virtq_reset(&v->queue[q]);
			v->queue[q].st = queue[q];
		}
	}
	lock_release(&v->lock);
}

static int validate_common(const struct virtio *v, struct err *e)
{
	const struct virtio_state *st = &v->st;
	unsigned int q;
	int r;

	/* Before FEATURES_OK a driver may have written anything. */
	if ((st->status & VIRTIO_FEATURES_OK) &&
	    (st->features & ~v->cfg.features))
		return err_set(e, -EINVAL,
			       "features %#llx are not all offered (%#llx)",
			       (unsigned long long)st->features,
			       (unsigned long long)v->cfg.features);
	if ((st->status & VIRTIO_DRIVER_OK) &&
	    !(st->status & VIRTIO_FEATURES_OK))
		return err_set(e, -EINVAL, "status %#x", st->status);
	if (atomic_load(&v->st.isr) & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG))
		return err_set(e, -EINVAL, "interrupt status %#x",
			       atomic_load(&v->st.isr));
	for (q = 0; q < v->cfg.queues; q++) {
		r = virtq_validate(&v->queue[q].st, v->cfg.queue_max, e);
		if (r) {
			err_prefix(e, "queue %u", q);
			return r;
		}
	}
	return 0;
}

int virtio_validate(const struct device *d, struct err *e)
{
	const struct virtio *v = (const struct virtio *)d;
	int r = validate_common(v, e);

	if (!r && v->ops->validate)
		r = v->ops->validate(v, e);
	if (r)
		err_prefix(e, "%s", v->cfg.id);
	return r;
}

static int start_restored(struct virtio *v, struct err *e) LOCK_NEEDS(v->lock)
{
	unsigned int q;
	int r = 0;

	if (!(v->st.status & VIRTIO_DRIVER_OK) ||
	    (v->st.status & VIRTIO_NEEDS_RESET))
		return 0;
	for (q = 0; q < v->cfg.queues && !r; q++)
		if (v->queue[q].st.ready)
			r = virtq_start(&v->queue[q], v->cfg.mem,
					virtio_has(v, VIRTIO_F_INDIRECT_DESC),
					virtio_has(v, VIRTIO_F_EVENT_IDX), e);
	if (!r && v->ops->restored)
		r = v->ops->restored(v, e);
	v->host.missed = true;
	return r;
}

int virtio_restored(struct device *d, struct err *e)
{
	struct virtio *v = (struct virtio *)d;
	int r;

	lock_take(&v->lock);
	r = start_restored(v, e);
	lock_release(&v->lock);
	/* The edge may have been on its way to the interrupt controller when
	 * that was saved. One too many does no harm. */
	if (!r && atomic_load(&v->st.isr))
		raise_edge(v);
	if (r)
		err_prefix(e, "%s", v->cfg.id);
	return r;
}

void virtio_describe(struct device *d, struct buf *out)
{
	struct virtio *v = (struct virtio *)d;
	unsigned int q;

	lock_take(&v->lock);
	buf_printf(out, "id=%s\nstatus=%#x\nfeatures=%#llx\n", v->cfg.id,
		   v->st.status, (unsigned long long)v->st.features);
	buf_printf(out, "in_flight=%u\nkicks=%llu\nirqs=%llu\nbroken=%llu\n",
		   v->host.in_flight,
		   (unsigned long long)atomic_load(&v->counters.kicks),
		   (unsigned long long)atomic_load(&v->counters.irqs),
		   (unsigned long long)atomic_load(&v->counters.broken));
	for (q = 0; q < v->cfg.queues; q++) {
		const struct virtq_state *st = &v->queue[q].st;

		if (st->ready)
			buf_printf(out, "queue%u=size %u avail %u used %u\n", q,
				   st->size, st->next_avail, st->used_idx);
	}
	if (v->ops->describe)
		v->ops->describe(v, out);
	lock_release(&v->lock);
}
