/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what all virtio devices share: a device type that does
 * nothing but answer, on a loop that the test steps.
 */
#ifndef AMBER_TESTS_UNIT_TOY_DEVICE_H
#define AMBER_TESTS_UNIT_TOY_DEVICE_H

#include "devices/virtio_loop.h"
#include "tests/unit/suite.h"
#include "tests/unit/virtio_rig.h"

#define TOY_ID	     42
#define TOY_CONFIG   8
#define TOY_FEATURES 0x700000005ULL /* with VERSION_1, and two above it */
#define TOY_QUEUES   2
#define TOY_MAX	     16

struct toy {
	struct virtio virtio;
	struct virtio_loop on_loop;
	struct rig rig;
	struct loop *loop;
	struct virtq_chain chain;
	unsigned int activated, resets, resumed, quiet;
	uint8_t config[TOY_CONFIG];
};

static inline void toy_activate(struct virtio *v)
{
	((struct toy *)v)->activated++;
}

static inline void toy_reset(struct virtio *v)
{
	((struct toy *)v)->resets++;
}

static inline void toy_resumed(struct virtio *v)
{
	((struct toy *)v)->resumed++;
}

static inline void toy_get_config(struct virtio *v, uint8_t *bytes)
{
	memcpy(bytes, ((struct toy *)v)->config, TOY_CONFIG);
}

static inline void toy_set_config(struct virtio *v, uint32_t offset,
				  uint8_t size, uint64_t value)
{
	ck_assert(offset + size <= TOY_CONFIG);
	bytes_put(((struct toy *)v)->config + offset, value, size);
}

static inline void toy_kicked(struct virtio *v, unsigned int q)
{
	struct toy *t = (struct toy *)v;

	lock_take(&v->lock);
	while (virtio_may_work(v, q) && virtio_pop(v, q, &t->chain))
		virtq_push(&v->queue[q], t->chain.head, 0);
	if (virtio_may_work(v, q))
		virtio_tell(v, q);
	lock_release(&v->lock);
}

static const struct virtio_ops toy_ops = {
	.id = TOY_ID,
	.activate = toy_activate,
	.reset = toy_reset,
	.get_config = toy_get_config,
	.set_config = toy_set_config,
	.resumed = toy_resumed,
	.kicked = toy_kicked,
};

static const struct device_ops toy_device_ops = { .name = "toy",
						  .state_version = 1,
						  VIRTIO_DEVICE_OPS };

static inline void toy_init(struct toy *t)
{
	struct virtio_config c;

	memset(t, 0, sizeof(*t));
	rig_init(&t->rig);
	c = rig_config(&t->rig, "toy0");
	c.features = TOY_FEATURES;
	c.queues = TOY_QUEUES;
	c.queue_max = TOY_MAX;
	c.config_bytes = TOY_CONFIG;
	memcpy(t->config, "\x11\x22\x33\x44\x55\x66\x77\x88", TOY_CONFIG);
	ck_assert_int_eq(loop_create(&t->loop, NULL), 0);
	ck_assert_int_eq(
		virtio_init(&t->virtio, &toy_device_ops, &toy_ops, &c, NULL),
		0);
	ck_assert_int_eq(
		virtio_loop_add(&t->on_loop, &t->virtio, t->loop, NULL), 0);
	t->rig.device = &t->virtio.device;
}

static inline void toy_fini(struct toy *t)
{
	virtio_loop_remove(&t->on_loop);
	virtio_fini(&t->virtio);
	loop_destroy(t->loop);
	rig_fini(&t->rig);
}

static inline uint64_t toy_read(struct toy *t, uint64_t offset, uint8_t size)
{
	return t->virtio.device.ops->read(&t->virtio.device, 0, offset, size);
}

static inline void toy_write(struct toy *t, uint64_t offset, uint8_t size,
			     uint64_t value)
{
	t->virtio.device.ops->write(&t->virtio.device, 0, offset, size, value);
}

static inline void toy_save(struct toy *t, struct buf *out)
{
	struct state_io io;

	buf_reset(out);
	state_save(&io, "toy", out);
	virtio_sync(&t->virtio.device, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
}

#endif
