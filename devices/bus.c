/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address look-up. vCPU threads; read-only after the machine is built.
 * INV-1: ranges are sorted by start and disjoint.
 */
#include "devices/bus.h"

#include <inttypes.h>
#include <string.h>

int bus_add(struct bus *b, uint64_t start, uint64_t bytes,
	    struct device *device, uint32_t range, struct err *e)
{
	unsigned int at = 0;

	if (!bytes || start + bytes < start)
		return err_set(e, -EINVAL, "%s bus: bad range %#" PRIx64,
			       b->name, start);
	if (b->count == BUS_RANGES_MAX)
		return err_set(e, -ENOSPC, "%s bus: more than %u ranges",
			       b->name, BUS_RANGES_MAX);
	while (at < b->count && b->range[at].start < start + bytes) {
		const struct bus_range *r = &b->range[at];

		if (r->start + r->bytes > start)
			return err_set(e, -EEXIST,
				       "%s bus: %s and %s overlap at %#" PRIx64,
				       b->name, r->device->ops->name,
				       device->ops->name, start);
		at++;
	}
	memmove(&b->range[at + 1], &b->range[at],
		(b->count - at) * sizeof(b->range[0]));
	b->range[at] = (struct bus_range){ start, bytes, device, range };
	b->count++;
	return 0;
}

static const struct bus_range *find(const struct bus *b, uint64_t addr,
				    uint8_t size)
{
	unsigned int low = 0, high = b->count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct bus_range *r = &b->range[mid];

		if (addr < r->start)
			high = mid;
		else if (addr - r->start >= r->bytes)
			low = mid + 1;
		else
			return size <= r->bytes - (addr - r->start) ? r : NULL;
	}
	return NULL;
}

static uint64_t all_ones(uint8_t size)
{
	return size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
}

bool bus_read(const struct bus *b, uint64_t addr, uint8_t size, uint64_t *value)
{
	const struct bus_range *r = find(b, addr, size);
	struct device *d;

	*value = all_ones(size);
	if (!r)
		return false;
	d = r->device;
	*value &= d->ops->read(d, r->range, addr - r->start, size);
	return true;
}

bool bus_write(const struct bus *b, uint64_t addr, uint8_t size, uint64_t value)
{
	const struct bus_range *r = find(b, addr, size);
	struct device *d;

	if (!r)
		return false;
	d = r->device;
	d->ops->write(d, r->range, addr - r->start, size,
		      value & all_ones(size));
	return true;
}
