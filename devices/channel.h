/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded two-way pipe between a device's port and the outside. Neither
 * side ever blocks: who finds no room keeps its bytes and is told when there
 * is some. It outlives machine resets. The device's side belongs to the
 * device's thread, the host's side to the loop's thread.
 *
 * Lock order: a device's lock, then the channel's. Callbacks run without the
 * channel's lock, on the other side's thread: they must only post or kick.
 */
#ifndef AMBER_DEVICES_CHANNEL_H
#define AMBER_DEVICES_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CHANNEL_BYTES (1u << 16) /* each way */

struct channel;

/* Something changed: bytes, room, or who is there. */
struct channel_side {
	void (*changed)(void *ctx);
	void *ctx;
};

int channel_create(struct channel **out, struct err *e);
/* Both sides have let go. NULL is fine. */
void channel_destroy(struct channel *c);

/* changed NULL: nobody is told any more when this returns. Any thread. */
void channel_set_host(struct channel *c, struct channel_side side);
void channel_set_device(struct channel *c, struct channel_side side);

/* --- the host's side ------------------------------------------------- */
/* Bytes taken, less than len when there is no room. */
size_t channel_host_write(struct channel *c, const void *bytes, size_t len);
/* Bytes read, 0 when there is nothing. */
size_t channel_host_read(struct channel *c, void *to, size_t len);
/*
 * Somebody listens (or not): the guest is told. What was not read is
 * dropped; what was written stays for the guest.
 */
void channel_host_open(struct channel *c, bool is_open);

/* --- the device's side ----------------------------------------------- */
size_t channel_device_write(struct channel *c, const void *bytes, size_t len);
size_t channel_device_read(struct channel *c, void *to, size_t len);
void channel_device_open(struct channel *c, bool is_open);

/* --- both ------------------------------------------------------------ */
bool channel_is_host_open(struct channel *c);
bool channel_is_device_open(struct channel *c);

struct channel_counters {
	uint64_t to_host_bytes, to_guest_bytes;
};

void channel_get_counters(struct channel *c, struct channel_counters *out);

#endif
