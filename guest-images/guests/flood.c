/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood: kib=N (default 64) or mib=N of serial output without a pause, lines
 * of 64 bytes that begin with flood= and their number in 16 hex digits, so
 * that a reader sees what was lost.
 */
#include "guest-images/runtime/guest.h"

#define LINE_BYTES   64
#define DIGITS_START 6
#define DIGITS	     16

static uint64_t flood(void *arg)
{
	char line[] = "flood=0000000000000000"
		      ".........................................\n";
	uint64_t lines = *(const uint64_t *)arg;
	uint64_t n;
	unsigned i;

	for (n = 0; n < lines; n++) {
		for (i = 0; i < DIGITS; i++)
			line[DIGITS_START + i] =
				"0123456789abcdef"[n >> (60 - 4 * i) & 15];
		outs(PORT_COM1, line, LINE_BYTES);
	}
	return 0;
}

void guest_main(void)
{
	uint64_t kib = arg_u64("kib", 64);
	uint64_t lines;

	if (arg_given("mib"))
		kib = arg_u64("mib", 0) * 1024;
	lines = kib * 1024 / LINE_BYTES;
	guest_ready();
	ring_call(flood, &lines);
	fact_u64("lines", lines);
}
