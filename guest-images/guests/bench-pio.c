/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-pio: count=N (default 10000) byte accesses of one port with nothing
 * else between them; prints the time of one by kvmclock. port=N (default the
 * UART's scratch register), dir=in (default) or out, ring=3 for CPL3.
 */
#include "guest-images/runtime/guest.h"

struct loop {
	uint64_t count;
	uint16_t port;
	bool out;
};

static uint64_t run(void *arg)
{
	const struct loop *loop = arg;
	uint64_t n = loop->count;

	if (loop->out)
		__asm__ volatile("1: outb %%al, %%dx\n\t"
				 "decq %0\n\t"
				 "jnz 1b"
				 : "+r"(n)
				 : "d"(loop->port), "a"(0));
	else
		__asm__ volatile("1: inb %%dx, %%al\n\t"
				 "decq %0\n\t"
				 "jnz 1b"
				 : "+r"(n)
				 : "d"(loop->port)
				 : "rax");
	return 0;
}

void guest_main(void)
{
	struct loop loop = {
		.count = arg_u64("count", 10000),
		.port = (uint16_t)arg_u64("port", PORT_COM1 + 7),
		.out = arg_is("dir", "out"),
	};
	uint64_t start, ns;

	if (loop.count == 0 || loop.port >= CPU_USER_PORTS)
		guest_fail(1);
	guest_ready();
	start = clock_ns();
	ring_call(run, &loop);
	ns = clock_ns() - start;
	fact_u64("count", loop.count);
	fact_u64("ns_per_exit", ns / loop.count);
}
