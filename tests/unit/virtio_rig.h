/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of virtio devices: guest memory without KVM, and a driver that
 * does through registers and rings what a guest's would, or what it should
 * not. One device at a time; the driver is the test's thread.
 */
#ifndef AMBER_TESTS_UNIT_VIRTIO_RIG_H
#define AMBER_TESTS_UNIT_VIRTIO_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/loop.h"
#include "devices/virtio.h"

#define RIG_RAM	       (1u << 20)
#define RIG_HIGH       0x100000000ULL /* a second region, behind a hole */
#define RIG_HIGH_RAM   (1u << 16)
#define RIG_QUEUE_GPA  0x10000u /* rings of queue n: + n * RIG_QUEUE_STEP */
#define RIG_QUEUE_STEP 0x4000u
#define RIG_DATA       0x80000u /* free for buffers, up to RIG_RAM */

#define RIG_NEXT     1
#define RIG_WRITE    2
#define RIG_INDIRECT 4

struct rig_queue {
	uint16_t size, avail_idx, used_idx, next_desc;
};

struct rig {
	uint8_t *ram, *high;
	struct gmem mem;
	struct device *device;
	struct rig_queue queue[VIRTIO_QUEUES_MAX];
	_Atomic unsigned int irqs, events, io_errors;
	enum device_event_kind event;
	char text[DEVICE_TEXT_MAX + 1];
};

static inline void rig_on_irq(void *ctx, uint32_t gsi, bool level)
{
	struct rig *r = ctx;

	(void)gsi;
	if (level)
		atomic_fetch_add(&r->irqs, 1);
}

static inline void rig_on_event(void *ctx, enum device_event_kind kind,
				const char *device, const char *text)
{
	struct rig *r = ctx;

	(void)device;
	r->event = kind;
	snprintf(r->text, sizeof(r->text), "%s", text);
	if (kind == DEVICE_IO_ERROR)
		atomic_fetch_add(&r->io_errors, 1);
	atomic_fetch_add(&r->events, 1);
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->ram = aligned_alloc(4096, RIG_RAM);
	r->high = aligned_alloc(4096, RIG_HIGH_RAM);
	if (!r->ram || !r->high)
		abort();
	memset(r->ram, 0, RIG_RAM);
	memset(r->high, 0, RIG_HIGH_RAM);
	if (gmem_add(&r->mem, 0, RIG_RAM, r->ram) ||
	    gmem_add(&r->mem, RIG_HIGH, RIG_HIGH_RAM, r->high))
		abort();
}

static inline void rig_fini(struct rig *r)
{
	free(r->ram);
	free(r->high);
}

static inline struct virtio_config rig_config(struct rig *r, const char *id)
{
	struct virtio_config c = {
		.mem = &r->mem,
		.irq = { rig_on_irq, r, 6 },
		.events = { rig_on_event, r },
	};

	snprintf(c.id, sizeof(c.id), "%s", id);
	return c;
}

static inline uint32_t rig_read(struct rig *r, uint64_t offset)
{
	return (uint32_t)r->device->ops->read(r->device, 0, offset, 4);
}

static inline void rig_write(struct rig *r, uint64_t offset, uint32_t value)
{
	r->device->ops->write(r->device, 0, offset, 4, value);
}

static inline uint32_t rig_status(struct rig *r)
{
	return rig_read(r, 0x70);
}

static inline uint64_t rig_features(struct rig *r)
{
	uint64_t f;

	rig_write(r, 0x14, 0);
	f = rig_read(r, 0x10);
	rig_write(r, 0x14, 1);
	return f | (uint64_t)rig_read(r, 0x10) << 32;
}

/* Reset and handshake up to FEATURES_OK; returns whether that was kept. */
static inline bool rig_negotiate(struct rig *r, uint64_t features)
{
	rig_write(r, 0x70, 0);
	memset(r->queue, 0, sizeof(r->queue));
	rig_write(r, 0x70, VIRTIO_ACKNOWLEDGE);
	rig_write(r, 0x70, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	rig_write(r, 0x24, 0);
	rig_write(r, 0x20, (uint32_t)features);
	rig_write(r, 0x24, 1);
	rig_write(r, 0x20, (uint32_t)(features >> 32));
	rig_write(r, 0x70,
		  VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return rig_status(r) & VIRTIO_FEATURES_OK;
}

static inline uint64_t rig_desc(unsigned int q)
{
	return RIG_QUEUE_GPA + q * RIG_QUEUE_STEP;
}

static inline uint64_t rig_avail(unsigned int q)
{
	return rig_desc(q) + 0x1000;
}

static inline uint64_t rig_used(unsigned int q)
{
	return rig_desc(q) + 0x2000;
}

static inline void rig_set_queue(struct rig *r, unsigned int q, uint16_t size)
{
	memset(r->ram + rig_desc(q), 0, RIG_QUEUE_STEP);
	rig_write(r, 0x30, q);
	rig_write(r, 0x38, size);
	rig_write(r, 0x80, (uint32_t)rig_desc(q));
	rig_write(r, 0x84, 0);
	rig_write(r, 0x90, (uint32_t)rig_avail(q));
	rig_write(r, 0x94, 0);
	rig_write(r, 0xa0, (uint32_t)rig_used(q));
	rig_write(r, 0xa4, 0);
	rig_write(r, 0x44, 1);
	r->queue[q] = (struct rig_queue){ .size = size };
}

static inline void rig_driver_ok(struct rig *r)
{
	rig_write(r, 0x70,
		  VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK |
			  VIRTIO_DRIVER_OK);
}

/* All of it, with queues of that size. */
static inline void rig_start(struct rig *r, uint64_t features,
			     unsigned int queues, uint16_t size)
{
	unsigned int q;

	if (!rig_negotiate(r, features | VIRTIO_F_VERSION_1))
		abort();
	for (q = 0; q < queues; q++)
		rig_set_queue(r, q, size);
	rig_driver_ok(r);
}

static inline void rig_put_desc(struct rig *r, uint64_t table, uint16_t n,
				uint64_t gpa, uint32_t len, uint16_t flags,
				uint16_t next)
{
	uint8_t *d = r->ram + table + 16u * n;

	put_le64(d, gpa);
	put_le32(d + 8, len);
	put_le16(d + 12, flags);
	put_le16(d + 14, next);
}

/* Makes head available; avail.idx is out when it returns. */
static inline void rig_offer(struct rig *r, unsigned int q, uint16_t head)
{
	struct rig_queue *rq = &r->queue[q];
	uint8_t *avail = r->ram + rig_avail(q);

	put_le16(avail + 4 + 2 * (rq->avail_idx & (rq->size - 1)), head);
	rq->avail_idx++;
	__atomic_store_n((uint16_t *)(void *)(avail + 2), rq->avail_idx,
			 __ATOMIC_RELEASE);
}

struct rig_piece {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

/* Writes a chain of pieces into the table and offers it; returns the head. */
static inline uint16_t rig_chain(struct rig *r, unsigned int q,
				 const struct rig_piece *piece, unsigned int n)
{
	struct rig_queue *rq = &r->queue[q];
	uint16_t head = rq->next_desc, at = head, next;
	unsigned int i;

	for (i = 0; i < n; i++) {
		next = (uint16_t)((at + 1) & (rq->size - 1));
		rig_put_desc(r, rig_desc(q), at, piece[i].gpa, piece[i].len,
			     (uint16_t)((i + 1 < n ? RIG_NEXT : 0) |
					(piece[i].writable ? RIG_WRITE : 0)),
			     next);
		at = next;
	}
	rq->next_desc = at;
	rig_offer(r, q, head);
	return head;
}

static inline void rig_kick(struct rig *r, unsigned int q)
{
	rig_write(r, VIRTIO_MMIO_NOTIFY, q);
}

/* Takes the next answer; false when there is none. */
static inline bool rig_take(struct rig *r, unsigned int q, uint32_t *head,
			    uint32_t *len)
{
	struct rig_queue *rq = &r->queue[q];
	const uint8_t *used = r->ram + rig_used(q), *element;
	uint16_t idx = __atomic_load_n(
		(const uint16_t *)(const void *)(used + 2), __ATOMIC_ACQUIRE);

	if (idx == rq->used_idx)
		return false;
	element = used + 4 + 8 * (rq->used_idx++ & (rq->size - 1));
	if (head)
		*head = get_le32(element);
	if (len)
		*len = get_le32(element + 4);
	return true;
}

/* One chain of one piece; returns its head. */
static inline uint16_t rig_one(struct rig *r, unsigned int q, uint64_t gpa,
			       uint32_t len, bool writable)
{
	const struct rig_piece piece = { gpa, len, writable };

	return rig_chain(r, q, &piece, 1);
}

/* Has a device's loop do all that it can do now. */
static inline void rig_settle(struct loop *l)
{
	int i;

	for (i = 0; i < 64; i++)
		loop_step(l, 0);
}

/* Kicks and lets the device work. */
static inline void rig_serve(struct rig *r, unsigned int q, struct loop *l)
{
	rig_kick(r, q);
	rig_settle(l);
}

static inline bool rig_is_broken(struct rig *r)
{
	return rig_status(r) & VIRTIO_NEEDS_RESET;
}

/*
 * Quiet, saved, reset, loaded, and it goes on: as machine_reload() does it.
 * meanwhile: what happens outside when it was saved; NULL: nothing.
 */
static inline void rig_reload(struct rig *r, void (*meanwhile)(void *ctx),
			      void *ctx)
{
	struct device *d = r->device;
	struct state_io io;
	struct buf bytes;
	bool is_good;

	if (!d->ops->quiesce(d, NULL, NULL))
		abort();
	buf_init(&bytes, 1u << 20);
	state_save(&io, d->ops->name, &bytes);
	d->ops->sync(d, &io);
	if (state_end(&io, NULL))
		abort();
	if (meanwhile)
		meanwhile(ctx);
	d->ops->reset(d);
	state_load(&io, d->ops->name, bytes.data, bytes.len);
	d->ops->sync(d, &io);
	is_good = !state_end(&io, NULL) && !d->ops->validate(d, NULL) &&
		  !d->ops->restored(d, NULL);
	if (!is_good)
		abort();
	d->ops->resume(d);
	buf_fini(&bytes);
}

#endif
