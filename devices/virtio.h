/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part that all virtio devices share: the registers of a virtio-mmio
 * device, version 2 (VIRTIO 1.2, 4.2), feature negotiation, queues and
 * interrupts. A device type embeds a struct virtio as its first member and
 * gives a row of virtio_ops.
 *
 * Threads: vCPU threads access registers; one thread, the device's own,
 * works on the queues when they are kicked; the loop's thread quiesces and
 * describes. v->lock serialises them and is never held over blocking I/O.
 * It is the lock of struct device's contract (docs/threads.md).
 */
#ifndef AMBER_DEVICES_VIRTIO_H
#define AMBER_DEVICES_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "devices/device.h"
#include "devices/device_event.h"
#include "devices/irq.h"
#include "devices/virtq.h"

#define VIRTIO_QUEUES_MAX   18 /* a NIC of eight pairs, control */
#define VIRTIO_CONFIG_MAX   64 /* bytes of device configuration */
#define VIRTIO_MMIO_BYTES   0x1000
#define VIRTIO_MMIO_NOTIFY  0x50
#define VIRTIO_REASON_BYTES DEVICE_TEXT_MAX

/* Device status (2.1) */
#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER	   2
#define VIRTIO_DRIVER_OK   4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 64
#define VIRTIO_FAILED	   128

/* Features of every device (6), as masks */
#define VIRTIO_F_INDIRECT_DESC (1ULL << 28)
#define VIRTIO_F_EVENT_IDX     (1ULL << 29)
#define VIRTIO_F_VERSION_1     (1ULL << 32)

/* Interrupt status (4.2.2) */
#define VIRTIO_ISR_QUEUE  1
#define VIRTIO_ISR_CONFIG 2

struct virtio;

/* Everything but `kicked` is called with v->lock held. */
struct virtio_ops {
	uint32_t id; /* device type (5) */

	/*
	 * The driver is ready: v->st.features is what it took, the queues
	 * that it uses are started.
	 */
	void (*activate)(struct virtio *v);
	/*
	 * Back to power-on. Nothing is in flight; what was held is dropped.
	 */
	void (*reset)(struct virtio *v);
	/* Fills v->cfg.config_bytes of device configuration. */
	void (*get_config)(struct virtio *v, uint8_t *bytes);
	/* The driver writes to its configuration; NULL: read-only. */
	void (*set_config)(struct virtio *v, uint32_t offset, uint8_t size,
			   uint64_t value);
	/* The first queues, that a section of this version has; NULL: all. */
	unsigned int (*saved_queues)(const struct virtio *v, uint32_t version);
	/* Saves or loads what is the type's own. */
	void (*sync)(struct virtio *v, struct state_io *io);
	int (*validate)(const struct virtio *v, struct err *e);
	/* A validated state was loaded, the queues are started. */
	int (*restored)(struct virtio *v, struct err *e);
	void (*describe)(struct virtio *v, struct buf *out);
	/* It may go on after a quiesce. May be NULL. */
	void (*resumed)(struct virtio *v);
	/*
	 * Work on queue q, on the device's thread, without the lock. May be
	 * called without a kick.
	 */
	void (*kicked)(struct virtio *v, unsigned int q);
};

/* Immutable after virtio_init(). */
struct virtio_config {
	char id[DEVICE_ID_MAX + 1]; /* "disk0": names it in events */
	uint64_t features;	    /* offered, besides the transport's */
	unsigned int queues;
	uint16_t queue_max; /* entries of each */
	uint32_t config_bytes;
	const struct gmem *mem; /* borrowed */
	struct irq_line irq;	/* edge: raised and lowered */
	struct device_event_sink events;
};

/* Plain data; all that is saved, with the queues' and the type's. */
struct virtio_state {
	uint8_t status;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint64_t features;   /* that the driver took */
	uint32_t generation; /* of the configuration */
	_Atomic uint32_t isr;
};

struct virtio_counters {
	_Atomic uint64_t kicks, irqs, broken;
};

struct virtio {
	struct device device;
	const struct virtio_ops *ops;
	struct virtio_config cfg;
	struct virtio_state st;
	struct virtq queue[VIRTIO_QUEUES_MAX];
	struct virtio_counters counters;
	struct lock lock;
	struct {
		int kick[VIRTIO_QUEUES_MAX]; /* owned eventfds; -1: none */
		unsigned int in_flight; /* requests that a reset waits for */
		pthread_cond_t idle;	/* in_flight became 0 */
		bool is_quiet;		/* nothing new is begun */
		bool missed; /* something was to do while it was quiet */
		bool is_resetting;
		void (*quiet)(void *ctx); /* told when in_flight is 0 */
		void *quiet_ctx;
		uint64_t broken_event_ns; /* when the last one was told */
	} host;
};

/*
 * Initialises v (zeroed, embedded in its type). d's ops are the type's row
 * of VIRTIO_DEVICE_OPS. Errors: -EMFILE, -EINVAL.
 */
int virtio_init(struct virtio *v, const struct device_ops *device_ops,
		const struct virtio_ops *ops, const struct virtio_config *cfg,
		struct err *e);
void virtio_fini(struct virtio *v);

/* For the type's struct device_ops. */
uint64_t virtio_read(struct device *d, uint32_t range, uint64_t offset,
		     uint8_t size);
void virtio_write(struct device *d, uint32_t range, uint64_t offset,
		  uint8_t size, uint64_t value);
void virtio_reset(struct device *d);
bool virtio_quiesce(struct device *d, void (*quiet)(void *ctx), void *ctx);
void virtio_resume(struct device *d);
void virtio_sync(struct device *d, struct state_io *io);
int virtio_validate(const struct device *d, struct err *e);
int virtio_restored(struct device *d, struct err *e);
void virtio_describe(struct device *d, struct buf *out);

#define VIRTIO_DEVICE_OPS                                                  \
	.read = virtio_read, .write = virtio_write, .reset = virtio_reset, \
	.quiesce = virtio_quiesce, .resume = virtio_resume,                \
	.sync = virtio_sync, .validate = virtio_validate,                  \
	.restored = virtio_restored, .describe = virtio_describe

/* --- for the device types; with v->lock held ------------------------- */

/* May queue q be worked on now: driver ready, not broken, not quiet? */
bool virtio_may_work(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock);
static inline bool virtio_has(const struct virtio *v, uint64_t feature)
{
	return v->st.features & feature;
}

/*
 * Pops, and breaks the device when the driver did something wrong. Returns
 * true for a chain.
 */
bool virtio_pop(struct virtio *v, unsigned int q, struct virtq_chain *c)
	LOCK_NEEDS(v->lock);
/*
 * No chain was left: asks for a kick. Returns true when one came in between:
 * then pop again.
 */
bool virtio_ask(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock);
/* Interrupts the driver for queue q if it wants that. */
void virtio_tell(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock);
/* The configuration changed: generation, interrupt. */
void virtio_config_changed(struct virtio *v) LOCK_NEEDS(v->lock);

/*
 * The driver broke a rule: the device stops until it is reset (2.1.2). The
 * only answer to a guest's violation.
 */
void virtio_break(struct virtio *v, int q, const char *reason)
	LOCK_NEEDS(v->lock);

/* A request began (ended) that goes on without the lock. */
void virtio_begin(struct virtio *v) LOCK_NEEDS(v->lock);
void virtio_end(struct virtio *v) LOCK_NEEDS(v->lock);

/* Has the device's thread look at queue q. Any thread, lock or not. */
void virtio_kick(struct virtio *v, unsigned int q);

#endif
