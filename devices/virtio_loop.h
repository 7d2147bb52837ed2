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
/* After the loop's thread has ended; not added is fine. */
void virtio_loop_remove(struct virtio_loop *l);

#endif
