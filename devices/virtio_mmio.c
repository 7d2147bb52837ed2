/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a virtio-mmio device, version 2 (VIRTIO 1.2, 4.2.2).
 * vCPU threads. Interrupt status and notifications need no lock; the rest
 * takes the device's. INV-1: nothing of a queue changes while the driver is
 * ready (DRIVER_OK), but by a reset.
 */
#include <string.h>

#include "base/bytes.h"
#include "devices/virtio_private.h"

#define MAGIC	0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR	0x52424d41 /* "AMBR" */

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = VIRTIO_MMIO_NOTIFY,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_SEL = 0x0ac,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

/* The selected queue, or NULL when there is none of that number. */
static struct virtq *selected(struct virtio *v)
{
	return v->st.queue_sel < v->cfg.queues ? &v->queue[v->st.queue_sel]
					       : NULL;
}

static uint32_t half(uint64_t value, uint32_t selector)
{
	return selector > 1 ? 0 : (uint32_t)(value >> (32 * selector));
}

/* Registers without a read are 0, what isn't a register all ones. */
static uint32_t read_locked(struct virtio *v, uint64_t offset)
	LOCK_NEEDS(v->lock)
{
	const struct virtq *q = selected(v);

	switch (offset) {
	case REG_DEVICE_FEATURES:
		return half(v->cfg.features, v->st.device_features_sel);
	case REG_QUEUE_NUM_MAX:
		return q ? v->cfg.queue_max : 0;
	case REG_QUEUE_READY:
		return q && q->st.ready;
	case REG_STATUS:
		return v->st.status;
	case REG_CONFIG_GENERATION:
		return v->st.generation;
	case REG_DEVICE_FEATURES_SEL:
	case REG_DRIVER_FEATURES:
	case REG_DRIVER_FEATURES_SEL:
	case REG_QUEUE_SEL:
	case REG_QUEUE_NUM:
	case REG_QUEUE_NOTIFY:
	case REG_INTERRUPT_ACK:
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
	case REG_SHM_SEL:
		return 0;
	default: /* also: no shared memory has length -1 (4.2.2) */
		return UINT32_MAX;
	}
}

static uint64_t read_config(struct virtio *v, uint64_t offset, uint8_t size)
{
	uint8_t bytes[VIRTIO_CONFIG_MAX] = { 0 };

	if (offset > v->cfg.config_bytes || size > v->cfg.config_bytes - offset)
		return UINT64_MAX;
	lock_take(&v->lock);
	v->ops->get_config(v, bytes);
	lock_release(&v->lock);
	return bytes_get(bytes + offset, size);
}

uint64_t virtio_read(struct device *d, uint32_t range, uint64_t offset,
		     uint8_t size)
{
	struct virtio *v = (struct virtio *)d;
	uint32_t value;

	(void)range;
	if (offset >= REG_CONFIG)
		return read_config(v, offset - REG_CONFIG, size);
	if (size != 4 || offset % 4)
		return UINT64_MAX;
	switch (offset) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE_ID:
		return v->ops->id;
	case REG_VENDOR_ID:
		return VENDOR;
	case REG_INTERRUPT_STATUS:
		return atomic_load(&v->st.isr);
	default:
		lock_take(&v->lock);
		value = read_locked(v, offset);
		lock_release(&v->lock);
		return value;
	}
}

/* A driver without VERSION_1, or that takes what isn't offered (2.2.2). */
static bool features_fit(const struct virtio *v)
{
	return !(v->st.features & ~v->cfg.features) &&
	       (v->st.features & VIRTIO_F_VERSION_1);
}

static void write_status(struct virtio *v, uint8_t value) LOCK_NEEDS(v->lock)
{
	uint8_t fresh = value & (uint8_t)~v->st.status;

	if (!value) {
		virtio_reset_locked(v);
		return;
	}
	/* Bits are only ever added (2.1.1); one is the device's. */
	fresh &= VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FAILED |
		 VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK;
	if ((fresh & VIRTIO_FEATURES_OK) && !features_fit(v))
		fresh &= (uint8_t)~VIRTIO_FEATURES_OK;
	if (!((v->st.status | fresh) & VIRTIO_FEATURES_OK))
		fresh &= (uint8_t)~VIRTIO_DRIVER_OK;
	v->st.status |= fresh;
	if (fresh & VIRTIO_DRIVER_OK)
		virtio_start_locked(v);
}

static void set_half(uint64_t *to, bool high, uint32_t value)
{
	uint32_t shift = high ? 32 : 0;

	*to &= ~((uint64_t)UINT32_MAX << shift);
	*to |= (uint64_t)value << shift;
}

static void write_features(struct virtio *v, uint32_t value) LOCK_NEEDS(v->lock)
{
	if ((v->st.status & VIRTIO_FEATURES_OK) ||
	    v->st.driver_features_sel > 1)
		return;
	set_half(&v->st.features, v->st.driver_features_sel == 1, value);
}

static void set_size(const struct virtio *v, struct virtq *q, uint32_t value)
{
	if (value && value <= v->cfg.queue_max && !(value & (value - 1)))
		q->st.size = (uint16_t)value;
}

static void set_ready(struct virtio *v, struct virtq *q, uint32_t value)
	LOCK_NEEDS(v->lock)
{
	struct err e = ERR_NONE;

	q->st.ready = false;
	if (value != 1)
		return;
	if (virtq_start(q, v->cfg.mem, false, false, &e)) {
		virtio_break(v, (int)v->st.queue_sel, e.text);
		return;
	}
	q->host.mem = NULL; /* it starts with DRIVER_OK */
	q->st.ready = true;
}

static void write_queue(struct virtio *v, uint64_t offset, uint32_t value)
	LOCK_NEEDS(v->lock)
{
	struct virtq *q = selected(v);

	if (!q || (v->st.status & VIRTIO_DRIVER_OK)) /* INV-1 */
		return;
	if (offset == REG_QUEUE_READY) {
		set_ready(v, q, value);
		return;
	}
	if (q->st.ready)
		return;
	switch (offset) {
	case REG_QUEUE_NUM:
		set_size(v, q, value);
		break;
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
		set_half(&q->st.desc, offset == REG_QUEUE_DESC_HIGH, value);
		break;
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
		set_half(&q->st.avail, offset == REG_QUEUE_DRIVER_HIGH, value);
		break;
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
		set_half(&q->st.used, offset == REG_QUEUE_DEVICE_HIGH, value);
		break;
	default:
		break;
	}
}

static void write_locked(struct virtio *v, uint64_t offset, uint32_t value)
	LOCK_NEEDS(v->lock)
{
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		v->st.device_features_sel = value;
		break;
	case REG_DRIVER_FEATURES_SEL:
		v->st.driver_features_sel = value;
		break;
	case REG_DRIVER_FEATURES:
		write_features(v, value);
		break;
	case REG_QUEUE_SEL:
		v->st.queue_sel = value;
		break;
	case REG_STATUS:
		write_status(v, (uint8_t)value);
		break;
	default:
		write_queue(v, offset, value);
	}
}

static void write_config(struct virtio *v, uint64_t offset, uint8_t size,
			 uint64_t value)
{
	if (!v->ops->set_config || offset > v->cfg.config_bytes ||
	    size > v->cfg.config_bytes - offset)
		return;
	lock_take(&v->lock);
	v->ops->set_config(v, (uint32_t)offset, size, value);
	lock_release(&v->lock);
}

/* Here only without an ioeventfd (or for a queue that isn't there). */
static void notify(struct virtio *v, uint32_t q)
{
	if (q < v->cfg.queues)
		virtio_kick(v, q);
}

void virtio_write(struct device *d, uint32_t range, uint64_t offset,
		  uint8_t size, uint64_t value)
{
	struct virtio *v = (struct virtio *)d;

	(void)range;
	if (offset >= REG_CONFIG) {
		write_config(v, offset - REG_CONFIG, size, value);
		return;
	}
	if (size != 4 || offset % 4)
		return;
	switch (offset) {
	case REG_QUEUE_NOTIFY:
		notify(v, (uint32_t)value);
		break;
	case REG_INTERRUPT_ACK:
		atomic_fetch_and(&v->st.isr, ~(uint32_t)value);
		break;
	default:
		lock_take(&v->lock);
		write_locked(v, offset, (uint32_t)value);
		lock_release(&v->lock);
	}
}
