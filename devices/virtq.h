/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue as the device sees it (VIRTIO 1.2, 2.7). The rings lie
 * in guest memory and change under the reader: every shared field is read
 * once, and a chain is checked in full before any of it is handed out. A
 * violation is an error with a reason; the device then needs a reset.
 *
 * One thread at a time: the caller holds the device's lock.
 */
#ifndef AMBER_DEVICES_VIRTQ_H
#define AMBER_DEVICES_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/state.h"
#include "devices/gmem.h"

#define VIRTQ_SIZE_MAX	256 /* entries; a power of two */
#define VIRTQ_CHAIN_MAX VIRTQ_SIZE_MAX
#define VIRTQ_BYTES_MAX (1ULL << 32) /* of one chain (2.7.5) */

/* Saved with the device. */
struct virtq_state {
	uint16_t size; /* entries that the driver chose */
	bool ready;
	uint64_t desc, avail, used; /* guest physical */
	uint16_t next_avail;	    /* the next entry of avail to look at */
	uint16_t used_idx;	    /* entries of used ever written */
	uint16_t told_idx;	    /* used_idx when the driver was last told */
};

struct virtq {
	struct virtq_state st;
	struct {
		const struct gmem *mem;	      /* borrowed; NULL: not started */
		uint8_t *desc, *avail, *used; /* into guest memory */
		uint16_t seen_avail;	      /* avail.idx as last read */
		bool has_indirect, has_event_idx;   /* negotiated */
		uint64_t busy[VIRTQ_SIZE_MAX / 64]; /* heads handed out */
		unsigned int busy_count;
	} host;
};

/*
 * A chain: what the device may read comes first, then what it may write.
 * Pieces of no length are left out. All of it is guest RAM.
 */
struct virtq_chain {
	uint16_t head;
	unsigned int reads, writes; /* iov[0..reads), then writes of them */
	uint64_t read_bytes, write_bytes;
	struct iovec iov[VIRTQ_CHAIN_MAX];
};

/* Back to power-on, nothing started. */
void virtq_reset(struct virtq *q);

/*
 * Maps the rings of a ready queue. Errors: -EINVAL (size, alignment),
 * -EFAULT (not RAM); the text says which part and value.
 */
int virtq_start(struct virtq *q, const struct gmem *mem, bool has_indirect,
		bool has_event_idx, struct err *e);
bool virtq_is_started(const struct virtq *q);

/*
 * Takes the next chain. Returns 1, 0 when there is none, or -EBADMSG with
 * what the driver did wrong. The head is the device's until virtq_push().
 */
int virtq_pop(struct virtq *q, struct virtq_chain *c, struct err *e);

/*
 * Walks the chain of a head that is the device's already (after a restore
 * or for another try). Returns 0 or -EBADMSG.
 */
int virtq_again(struct virtq *q, uint16_t head, struct virtq_chain *c,
		struct err *e);
/* A loaded state says that this head is the device's. -EBADMSG: it can't. */
int virtq_claim(struct virtq *q, uint16_t head, struct err *e);

/* Gives the last chain of virtq_pop() back, as if never taken. */
void virtq_unpop(struct virtq *q, uint16_t head);

/* Gives a chain back to the driver; written bytes of its writable part. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);

/* After pushes: does the driver want an interrupt for them (2.7.10)? */
bool virtq_wants_irq(struct virtq *q);

/*
 * Asks the driver to kick for the next chain. Returns true when one came in
 * between: then pop again. Off: kicks may come all the same.
 */
bool virtq_enable_kicks(struct virtq *q);
void virtq_disable_kicks(struct virtq *q);

void virtq_sync(struct virtq_state *st, struct state_io *io);
/* Could a driver have reached this state? max: the queue's size limit. */
int virtq_validate(const struct virtq_state *st, uint16_t max, struct err *e);

/*
 * Copies between a chain's readable (writable) bytes from offset on and a
 * flat buffer; returns the bytes copied: less than len at the chain's end.
 */
uint64_t virtq_copy_out(const struct virtq_chain *c, uint64_t offset, void *to,
			uint64_t len);
uint64_t virtq_copy_in(const struct virtq_chain *c, uint64_t offset,
		       const void *from, uint64_t len);

#endif
