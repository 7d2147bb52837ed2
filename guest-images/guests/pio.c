/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pio: a flood of reads and writes of ports where nothing is, in all widths
 * and alignments, then two string reads. Every read must give all ones.
 * count=N (default 10000), ring=3 for CPL3. FAIL 1: a read gave another
 * value, FAIL 2: a string read did.
 */
#include "guest-images/runtime/guest.h"

#define FIRST_PORT   0x700
#define PORTS	     0x100
#define STRING_BYTES 5000 /* more than the page KVM batches */

struct counts {
	uint64_t count, reads, writes, bad;
};

static bool read_is_ones(unsigned width, uint16_t port)
{
	switch (width) {
	case 0:
		return inb(port) == UINT8_MAX;
	case 1:
		return inw(port) == UINT16_MAX;
	default:
		return inl(port) == UINT32_MAX;
	}
}

static void write_any(unsigned width, uint16_t port, uint32_t value)
{
	switch (width) {
	case 0:
		outb(port, (uint8_t)value);
		break;
	case 1:
		outw(port, (uint16_t)value);
		break;
	default:
		outl(port, value);
		break;
	}
}

static uint64_t flood(void *arg)
{
	struct counts *c = arg;
	uint64_t i;

	for (i = 0; i < c->count; i++) {
		uint16_t port = (uint16_t)(FIRST_PORT + i / 2 % PORTS);
		unsigned width = (unsigned)(i / 2 % 3);

		if (i % 2 == 0) {
			write_any(width, port, (uint32_t)i);
			c->writes++;
		} else {
			c->bad += !read_is_ones(width, port);
			c->reads++;
		}
	}
	return 0;
}

static uint64_t string_read(void *buffer)
{
	const uint8_t *byte = buffer;
	void *at = buffer;
	uint64_t n = STRING_BYTES;
	uint64_t bad = 0;
	unsigned i;

	__asm__ volatile("rep insb"
			 : "+D"(at), "+c"(n)
			 : "d"(FIRST_PORT)
			 : "memory");
	for (i = 0; i < STRING_BYTES; i++)
		bad += byte[i] != UINT8_MAX;
	return bad;
}

void guest_main(void)
{
	static uint8_t buffer[STRING_BYTES];
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
	if (user_call(string_read, buffer) > 0)
		guest_fail(2);
}
