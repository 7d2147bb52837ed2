/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-mmio: count=N (default 10000) accesses of four bytes at one address
 * with nothing else between them; prints the time of one by kvmclock.
 * addr=N (default the first virtio-mmio slot), dir=in (default) or out,
 * ring=3 for CPL3.
 */
#include "guest-images/runtime/guest.h"

struct loop {
	uint64_t count;
	uint64_t address;
	bool out;
};

static uint64_t run(void *arg)
{
	const struct loop *loop = arg;
	uint64_t n = loop->count;

	if (loop->out)
		__asm__ volatile("1: movl %%eax, (%1)\n\t"
				 "decq %0\n\t"
				 "jnz 1b"
				 : "+r"(n)
				 : "r"(loop->address), "a"(0)
				 : "memory");
	else
		__asm__ volatile("1: movl (%1), %%eax\n\t"
				 "decq %0\n\t"
				 "jnz 1b"
				 : "+r"(n)
				 : "r"(loop->address)
				 : "rax", "memory");
	return 0;
}

void guest_main(void)
{
	struct loop loop = {
		.count = arg_u64("count", 10000),
		.address = arg_u64("addr", VIRTIO_MMIO_BASE),
		.out = arg_is("dir", "out"),
	};
	uint64_t start, ns;

	if (loop.count == 0 || loop.address < RAM_HOLE_START ||
	    loop.address >= RAM_HOLE_END)
		guest_fail(1);
	guest_ready();
	start = clock_ns();
	ring_call(run, &loop);
	ns = clock_ns() - start;
	fact_u64("count", loop.count);
	fact_u64("ns_per_exit", ns / loop.count);
}
