/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device looks like to the machine. A device struct embeds a
 * struct device and has three more parts: cfg (immutable after build), st
 * (fixed-width plain data: the only thing saved), host (descriptors, locks,
 * pointers: never saved).
 *
 * Registers are accessed by vCPU threads through the bus; every device
 * takes its own lock (leaf lock, never held while blocking).
 */
#ifndef AMBER_DEVICES_DEVICE_H
#define AMBER_DEVICES_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/state.h"

struct device;

struct device_ops {
	const char *name;	/* of the kind, and of the saved section */
	uint32_t state_version; /* of the saved section */

	/*
	 * Register access at offset (from the start of the range that was
	 * put on the bus), size 1, 2, 4 or 8. A read returns the value,
	 * zero-extended; what isn't there reads as all ones. Bad accesses
	 * are ignored. vCPU threads.
	 */
	uint64_t (*read)(struct device *d, uint32_t range, uint64_t offset,
			 uint8_t size);
	void (*write)(struct device *d, uint32_t range, uint64_t offset,
		      uint8_t size, uint64_t value);

	/* Back to power-on. vCPUs are parked. */
	void (*reset)(struct device *d);

	/*
	 * Pause: nothing new is begun; what is in flight is drained or
	 * recorded, so that st, guest memory and disk agree. Returns true
	 * when that is so already; else quiet(ctx) follows, once, on any
	 * thread, perhaps with the device's lock held. resume lets it go on,
	 * also while it is not quiet yet (quiet may still be on its way
	 * then). NULL when there is nothing to do. Loop thread; vCPUs are
	 * parked.
	 */
	bool (*quiesce)(struct device *d, void (*quiet)(void *ctx), void *ctx);
	void (*resume)(struct device *d);

	/* Saves or loads st. vCPUs are parked, the device is quiet. */
	void (*sync)(struct device *d, struct state_io *io);
	/* Is a loaded st one that this device could have reached? */
	int (*validate)(const struct device *d, struct err *e);
	/*
	 * Every section was loaded and validated: makes what is not saved
	 * (rings, requests). Errors: guest memory contradicts st. May be NULL.
	 */
	int (*restored)(struct device *d, struct err *e);
	/* One or more lines "key=value" for people. Any thread. */
	void (*describe)(struct device *d, struct buf *out);
};

struct device {
	const struct device_ops *ops;
	uint32_t instance; /* 0.. among devices of the same kind */
};

#endif
