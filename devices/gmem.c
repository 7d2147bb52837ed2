/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked look-ups of guest memory. Any thread once the regions are fixed.
 * INV-1: regions are sorted by start, disjoint and do not wrap.
 */
#include "devices/gmem.h"

#include <errno.h>
#include <string.h>

int gmem_add(struct gmem *mem, gpa_t start, uint64_t bytes, uint8_t *host)
{
	const struct gmem_region *last;

	if (!bytes || !host || start + bytes < start)
		return -EINVAL;
	if (mem->count == GMEM_REGIONS_MAX)
		return -ENOSPC;
	if (mem->count) {
		last = &mem->region[mem->count - 1];
		if (start < last->start + last->bytes)
			return -EINVAL;
	}
	mem->region[mem->count++] = (struct gmem_region){ start, bytes, host };
	return 0;
}

uint8_t *gmem_slice(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	unsigned int i;

	if (!len)
		return NULL;
	for (i = 0; i < mem->count; i++) {
		const struct gmem_region *r = &mem->region[i];
		uint64_t offset = gpa - r->start;

		if (gpa < r->start || offset >= r->bytes)
			continue;
		return len <= r->bytes - offset ? r->host + offset : NULL;
	}
	return NULL;
}

int gmem_write(const struct gmem *mem, gpa_t gpa, const void *from,
	       uint64_t len)
{
	uint8_t *to = gmem_slice(mem, gpa, len);

	if (!to)
		return len ? -EFAULT : 0;
	memcpy(to, from, len);
	return 0;
}

int gmem_read(const struct gmem *mem, gpa_t gpa, void *to, uint64_t len)
{
	const uint8_t *from = gmem_slice(mem, gpa, len);

	if (!from)
		return len ? -EFAULT : 0;
	memcpy(to, from, len);
	return 0;
}

uint64_t gmem_bytes(const struct gmem *mem)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < mem->count; i++)
		sum += mem->region[i].bytes;
	return sum;
}
