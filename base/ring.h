/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte ring that remembers the newest bytes of a stream. Positions are
 * absolute: byte n of the stream has position n for ever, so any number of
 * readers keep their own cursor and learn how much they missed. No locking
 * inside: the owner serialises. Memory is only touched as bytes arrive.
 */
#ifndef AMBER_BASE_RING_H
#define AMBER_BASE_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_BYTES_MAX (1u << 30)

struct ring {
	uint8_t *bytes; /* owned mapping; NULL before ring_init() */
	size_t size;	/* a power of two */
	uint64_t end;	/* bytes ever written = position of the next byte */
};

/*
 * An empty ring of size bytes, a power of two up to RING_BYTES_MAX. Errors:
 * -EINVAL, -ENOMEM; *r is then safe for ring_fini().
 */
int ring_init(struct ring *r, size_t size);

/* Gives the memory back. NULL and a zeroed ring are fine. */
void ring_fini(struct ring *r);

/* Appends len bytes; the oldest are overwritten. Never fails. */
void ring_write(struct ring *r, const void *bytes, size_t len);

/*
 * Copies up to len bytes from *cursor on and moves *cursor behind them.
 * A cursor older than ring_start() is first moved up to it, one beyond the
 * end is moved back to it; *dropped (may be NULL) is the number of bytes
 * that were skipped because they are gone. Returns the bytes copied, 0 when
 * there is nothing new.
 */
size_t ring_read(const struct ring *r, uint64_t *cursor, void *to, size_t len,
		 uint64_t *dropped);

/* The position of the oldest byte that is still held. */
uint64_t ring_start(const struct ring *r);

/* Bytes between a cursor (start..end) and the end. */
uint64_t ring_behind(const struct ring *r, uint64_t cursor);

#endif
