/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small driver for virtio-mmio devices, version 2 (VIRTIO 1.2, 4.2), and
 * their split queues (2.7). virtio_guest() finds the device and wires its
 * interrupt at CPL0; all the rest may be called at CPL0 or at CPL3, where
 * guests do their work. One CPU owns a device. What a device does wrong ends
 * the guest with one of the numbers below.
 *
 * Words on the command line that every virtio guest knows:
 *   mmio=BASE,STEP,GSI,COUNT  where the devices are, if not at amber's place
 *   dev=N                     the N-th device of the kind, from 0
 *   event_idx=0, indirect=0   don't take these features
 *   poll=1                    look at the rings instead of sleeping
 */
#ifndef GUEST_RUNTIME_VIRTIO_H
#define GUEST_RUNTIME_VIRTIO_H

#include "guest-images/runtime/guest.h"

#define FAIL_NO_DEVICE	 112 /* none of the kind in any slot */
#define FAIL_HANDSHAKE	 113 /* features or reset were not accepted */
#define FAIL_NEEDS_RESET 114 /* the device broke while we waited */
#define FAIL_NO_QUEUE	 115 /* the queue isn't there or is too small */
#define FAIL_NO_MEMORY	 116 /* rings and buffers don't fit into RAM */
#define FAIL_BAD_USED	 117 /* the device returned what it did not have */

enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_VSOCK = 19,
};

/* Registers, VIRTIO 1.2, 4.2.2 */
#define VIRTIO_MAGIC		   0x000
#define VIRTIO_VERSION		   0x004
#define VIRTIO_DEVICE_ID	   0x008
#define VIRTIO_VENDOR_ID	   0x00c
#define VIRTIO_DEVICE_FEATURES	   0x010
#define VIRTIO_DEVICE_FEATURES_SEL 0x014
#define VIRTIO_DRIVER_FEATURES	   0x020
#define VIRTIO_DRIVER_FEATURES_SEL 0x024
#define VIRTIO_QUEUE_SEL	   0x030
#define VIRTIO_QUEUE_SIZE_MAX	   0x034
#define VIRTIO_QUEUE_SIZE	   0x038
#define VIRTIO_QUEUE_READY	   0x044
#define VIRTIO_QUEUE_NOTIFY	   0x050
#define VIRTIO_INTERRUPT_STATUS	   0x060
#define VIRTIO_INTERRUPT_ACK	   0x064
#define VIRTIO_STATUS		   0x070
#define VIRTIO_QUEUE_DESC	   0x080 /* low half, high half behind it */
#define VIRTIO_QUEUE_DRIVER	   0x090
#define VIRTIO_QUEUE_DEVICE	   0x0a0
#define VIRTIO_CONFIG_GENERATION   0x0fc
#define VIRTIO_CONFIG		   0x100

#define VIRTIO_MAGIC_VALUE 0x74726976 /* "virt" */

/* Bits of VIRTIO_STATUS */
#define VIRTIO_S_ACKNOWLEDGE 0x01
#define VIRTIO_S_DRIVER	     0x02
#define VIRTIO_S_DRIVER_OK   0x04
#define VIRTIO_S_FEATURES_OK 0x08
#define VIRTIO_S_NEEDS_RESET 0x40
#define VIRTIO_S_FAILED	     0x80

#define VIRTIO_F_INDIRECT  (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_dev {
	uint64_t base;
	unsigned slot, gsi;
	uint32_t id;
	uint64_t offered, features; /* features: what was agreed on */
	bool polled;		    /* no interrupt comes */
	/* Counted by the interrupt handler. */
	volatile uint32_t interrupts, config_changes;
};

#define VIRTQ_MAX	  256
#define VIRTQ_TABLE	  16 /* descriptors of one indirect table */
#define VIRTQ_F_NEXT	  1
#define VIRTQ_F_WRITE	  2
#define VIRTQ_F_INDIRECT  4
#define VIRTQ_AVAIL_FLAGS 0 /* uint16_t indices into avail and used */
#define VIRTQ_AVAIL_IDX	  1
#define VIRTQ_AVAIL_RING  2

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct virtq {
	struct virtio_dev *dev;
	uint16_t index, size, size_max;
	volatile struct virtq_desc *desc;
	volatile uint16_t *avail;     /* flags, idx, ring, used_event */
	volatile uint16_t *used;      /* flags, idx, pairs of uint32_t */
	volatile uint16_t *event;     /* avail_event, behind used's ring */
	struct virtq_desc *tables;    /* one table for each head */
	uint16_t free_head, free;     /* descriptors that nobody has */
	uint16_t next[VIRTQ_MAX];     /* ours, so that rings may be hurt */
	uint16_t length[VIRTQ_MAX];   /* of the chain at a head, 0: none */
	void *tokens[VIRTQ_MAX];      /* the caller's, of a head */
	uint16_t added, seen, kicked; /* positions in avail, used, avail */
	uint64_t notifies;
};

struct virtio_buf {
	const void *addr; /* written by the device when it is an "in" one */
	uint32_t bytes;
};

/* ---- from guest_main(), CPL0 ---- */
/*
 * Finds the device, lets its interrupts in, prints "ready" and runs
 * run(device) at CPL3. A value other than 0 ends the guest with FAIL value.
 */
void virtio_guest(enum virtio_id id, uint64_t (*run)(void *dev));
/* The first two steps of it: the device, or FAIL_NO_DEVICE. */
struct virtio_dev *virtio_open(enum virtio_id id);
/* The n-th behind that one. */
struct virtio_dev *virtio_open_next(enum virtio_id id, uint64_t n);
/* SYS_WAIT and virtio_wait() end after ns at the latest, from now on. */
void virtio_tick(uint64_t ns);
/* True when device number n of the kind is there; opens nothing. */
bool virtio_is_there(enum virtio_id id, unsigned n);

/* ---- the device ---- */
uint32_t virtio_read(const struct virtio_dev *d, unsigned reg);
void virtio_write(const struct virtio_dev *d, unsigned reg, uint32_t value);
/* Writes status 0 and waits until it reads so. */
void virtio_reset(struct virtio_dev *d);
/* Reset, handshake up to FEATURES_OK: takes what is wanted and offered. */
void virtio_start(struct virtio_dev *d, uint64_t want);
/* DRIVER_OK: the queues are set. */
void virtio_go(struct virtio_dev *d);
bool virtio_has(const struct virtio_dev *d, unsigned feature_bit);
/* The configuration space. */
uint64_t virtio_config(const struct virtio_dev *d, unsigned at, unsigned width);
uint64_t virtio_config64(const struct virtio_dev *d, unsigned at);
/*
 * Sleeps until an interrupt came since d->interrupts was `seen`, or another
 * one ended the sleep. A device that needs a reset: FAIL_NEEDS_RESET.
 */
void virtio_wait(struct virtio_dev *d, uint32_t seen);
/* Memory that nobody gives back: zeroed by the machine, not by this. */
void *virtio_alloc(uint64_t bytes, uint64_t align);

/* ---- queues ---- */
/*
 * Makes queue number index ready with `want` entries, or fewer where the
 * device has fewer. Called again for the same struct after a reset, it takes
 * the same memory.
 */
void virtq_init(struct virtq *q, struct virtio_dev *d, unsigned index,
		unsigned want);
/* One chain: `out` buffers the device reads, then `in` ones it writes. */
bool virtq_add(struct virtq *q, const struct virtio_buf *bufs, unsigned out,
	       unsigned in, void *token);
/* Tells the device, if it wants to know. */
void virtq_kick(struct virtq *q);
/* Takes one used chain; false when there is none. bytes may be NULL. */
bool virtq_take(struct virtq *q, void **token, uint32_t *bytes);
/* The same, and sleeps until there is one. */
void *virtq_wait(struct virtq *q, uint32_t *bytes);

/* All stores before are seen before all loads behind. */
static inline void virtio_fence(void)
{
	__asm__ volatile("lock; addl $0, (%%rsp)" : : : "memory", "cc");
}

static inline uint64_t virtio_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

#endif
