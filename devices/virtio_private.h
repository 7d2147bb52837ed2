/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by virtio.c and virtio_mmio.c; device types don't include it. */
#ifndef AMBER_DEVICES_VIRTIO_PRIVATE_H
#define AMBER_DEVICES_VIRTIO_PRIVATE_H

#include "devices/virtio.h"

/* The driver wrote 0 to the status, or the machine is reset. */
void virtio_reset_locked(struct virtio *v) LOCK_NEEDS(v->lock);
/* The driver wrote DRIVER_OK. */
void virtio_start_locked(struct virtio *v) LOCK_NEEDS(v->lock);

#endif
