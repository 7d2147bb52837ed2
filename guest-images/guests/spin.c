/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin: busy at CPL3 for ever, without an exit; with cpus=all on every CPU.
 */
#include "guest-images/runtime/guest.h"

static uint64_t spin(void *unused)
{
	(void)unused;
	for (;;)
		__asm__ volatile("pause");
	return 0;
}

static void spin_at_cpl3(unsigned index)
{
	(void)index;
	user_call(spin, NULL);
}

void guest_main(void)
{
	if (arg_is("cpus", "all"))
		fact_u64("cpus", smp_start(spin_at_cpl3));
	guest_ready();
	user_call(spin, NULL);
}

/* Other VMMs can boot it too: it stands beside them in make bench. */
GUEST_PVH;
