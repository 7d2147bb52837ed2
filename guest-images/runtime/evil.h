/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guests share that attack a block device: waiting for what comes of
 * an attack, and bringing the device back. At CPL3, one CPU. The disk is one
 * that a test can lose.
 */
#ifndef GUEST_RUNTIME_EVIL_H
#define GUEST_RUNTIME_EVIL_H

#include "guest-images/runtime/blk.h"

#define EVIL_TICK_NS 1000000 /* for virtio_tick(), before CPL3 */

/* Remembers sector 0 and starts the device. */
void evil_begin(struct blk *b, struct virtio_dev *d);
/*
 * Waits until the device needs a reset or `used` chains more than at the last
 * start came back, at most some 30 ms. Returns the status register.
 */
uint32_t evil_settle(struct blk *b, unsigned used);
/* Chains that came back since the last start. */
unsigned evil_used(const struct blk *b);
/* Reset, handshake, one good read of sector 0: is it what it was? */
bool evil_recover(struct blk *b);
/* One raw descriptor, one raw entry of the avail ring, one notification. */
void evil_desc(struct blk *b, unsigned i, const void *addr, uint32_t len,
	       uint16_t flags, uint16_t next);
void evil_offer(struct blk *b, uint16_t head);
void evil_notify(struct blk *b);

#endif
