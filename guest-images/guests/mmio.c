/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmio: a flood of reads and writes of the hole where nothing is, in widths
 * of 1, 2, 4 and 8 bytes, aligned and not. Every read must give all ones.
 * count=N (default 10000), ring=3 for CPL3. FAIL 1: a read gave another
 * value.
 */
#include "guest-images/runtime/mmio.h"
#include "guest-images/runtime/guest.h"

#define NOWHERE	     0xd8000000ull
#define RANGE_BYTES  0x2000
#define STRIDE_BYTES 13 /* meets every alignment, and page ends */

struct counts {
	uint64_t count, reads, writes, bad;
};

static uint64_t flood(void *arg)
{
	struct counts *c = arg;
	uint64_t i;

	for (i = 0; i < c->count; i++) {
		uint64_t address = NOWHERE + i / 2 * STRIDE_BYTES % RANGE_BYTES;
		unsigned width = 1u << i / 2 % 4;

		if (i % 2 == 0) {
			mmio_write(address, width, i);
			c->writes++;
		} else {
			c->bad += mmio_read(address, width) != mmio_ones(width);
			c->reads++;
		}
	}
	return 0;
}

void guest_main(void)
{
	struct counts c = { .count = arg_u64("count", 10000) };

	guest_ready();
	ring_call(flood, &c);
	line_begin();
	line_u64("reads", c.reads);
	line_u64("writes", c.writes);
	line_u64("bad", c.bad);
	line_end();
	if (c.bad > 0)
		guest_fail(1);
}
