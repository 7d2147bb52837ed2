/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kicks of a virtio device that works on an event loop: each queue's eventfd
 * is watched, and ops->kicked() is called on the loop's thread.
 */
#ifndef AMBER_DEVICES_VIRTIO_LOOP_H
#define AMBER_DEVICES_VIRTIO_LOOP_H

#include "base/loop.h"
#include "devices/virtio.h"

struct virtio_loop_queue {
	struct virtio *v; /* borrowed */
	unsigned int q;
	struct loop_fd watch;
};

/* Embed it in the device type. */
struct virtio_loop {
	struct loop *loop; /* borrowed */
	struct virtio_loop_queue queue[VIRTIO_QUEUES_MAX];
};

/* Watches all queues of v. Before the loop's thread runs. */
int virtio_loop_add(struct virtio_loop *l, struct virtio *v, struct loop *loop,
		    struct err *e);
/*
 * The usual ops->kicked(): calls serve(v, q) with the lock held when the
 * queue may be worked on, comes back later when that returns true (more may
 * be there), and interrupts the driver for what was given back.
 */
void virtio_loop_serve(struct virtio *v, unsigned int q,
		       bool (*serve)(struct virtio *v, unsigned int q));
/* After the loop's thread has ended; not added is fine. */
void virtio_loop_remove(struct virtio_loop *l);

#endif
