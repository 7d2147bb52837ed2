/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy device (VIRTIO 1.2, 5.4): random bytes of the host's kernel,
 * at most so many per second. Works on a loop of its own thread.
 */
#ifndef AMBER_DEVICES_VRNG_H
#define AMBER_DEVICES_VRNG_H

#include "base/err.h"
#include "devices/virtio_loop.h"

struct vrng;

struct vrng_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct loop *loop;	     /* borrowed */
	uint64_t bytes_per_s;	     /* 0: no limit */
};

int vrng_create(struct vrng **out, const struct vrng_config *cfg,
		struct err *e);
/* After the loop's thread has ended. NULL is fine. */
void vrng_destroy(struct vrng *r);
struct virtio *vrng_virtio(struct vrng *r);

/* Bytes given to the guest. Any thread. */
uint64_t vrng_bytes(struct vrng *r);

#endif
