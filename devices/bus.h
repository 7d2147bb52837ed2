/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space of devices: one for ports, one for MMIO. Ranges are
 * added while the machine is built and fixed before a vCPU runs, so that
 * look-ups need no lock: any number of vCPU threads.
 */
#ifndef AMBER_DEVICES_BUS_H
#define AMBER_DEVICES_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "devices/device.h"

#define BUS_RANGES_MAX 64

struct bus_range {
	uint64_t start, bytes;
	struct device *device; /* borrowed from the machine */
	uint32_t range;	       /* which of the device's ranges this is */
};

struct bus {
	const char *name; /* "port" or "mmio": named in errors */
	struct bus_range range[BUS_RANGES_MAX]; /* sorted, disjoint */
	unsigned int count;
};

/*
 * Adds [start, start + bytes) of device. Errors: -EINVAL (empty, wraps),
 * -EEXIST (overlap: both devices are named), -ENOSPC (BUS_RANGES_MAX).
 */
int bus_add(struct bus *b, uint64_t start, uint64_t bytes,
	    struct device *device, uint32_t range, struct err *e);

/*
 * Hands an access to the device that owns addr. An access that nobody
 * owns, or that runs over the end of its range, reads as all ones
 * (of its size) and is dropped as a write; both return false.
 */
bool bus_read(const struct bus *b, uint64_t addr, uint8_t size,
	      uint64_t *value);
bool bus_write(const struct bus *b, uint64_t addr, uint8_t size,
	       uint64_t value);

#endif
