/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of a file of which only the pieces that are no holes come. */
#include <zlib.h>

#include "snapshot/bundle.h"

/* Twice as many, and twice as many again: holes may be of terabytes. */
static uint32_t add_zeroes(uint32_t crc, uint64_t count)
{
	uint8_t zero = 0;
	uLong unit = crc32_z(0, &zero, 1), all = crc;
	z_off_t bytes = 1;

	for (; count; count >>= 1, bytes *= 2) {
		if (count & 1)
			all = crc32_combine(all, unit, bytes);
		unit = crc32_combine(unit, unit, bytes);
	}
	return (uint32_t)all;
}

void bundle_crc_begin(struct bundle_crc *c)
{
	*c = (struct bundle_crc){ .crc = 0 };
}

void bundle_crc_add(struct bundle_crc *c, uint64_t at, const void *bytes,
		    size_t n)
{
	if (at > c->at)
		c->crc = add_zeroes(c->crc, at - c->at);
	if (n)
		c->crc = (uint32_t)crc32_z(c->crc, bytes, n);
	c->at = at + n;
}
