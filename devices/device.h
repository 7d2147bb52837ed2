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
	 * Pause: drain or record what is in flight, so that st and guest
	 * memory agree; then resume. NULL when there is nothing to do.
	 * Loop thread; vCPUs are parked.
	 */
	void (*quiesce)(struct device *d);
	void (*resume)(struct device *d);

	/* Saves or loads st. vCPUs are parked, the device is quiet. */
	void (*sync)(struct device *d, struct state_io *io);
	/* Is a loaded st one that this device could have reached? */
	int (*validate)(const struct device *d, struct err *e);
	/* One or more lines "key=value" for people. Any thread. */
	void (*describe)(struct device *d, struct buf *out);
};

struct device {
	const struct device_ops *ops;
	uint32_t instance; /* 0.. among devices of the same kind */
};

#endif
