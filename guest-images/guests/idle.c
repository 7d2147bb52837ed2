/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle: halts for ever with interrupts on; with cpus=all every CPU does.
 */
#include "guest-images/runtime/guest.h"

static void nothing(unsigned index)
{
	(void)index;
}

void guest_main(void)
{
	if (arg_is("cpus", "all"))
		fact_u64("cpus", smp_start(nothing));
	guest_ready();
	guest_idle();
}

/* Other VMMs can boot it too: it stands beside them in make bench. */
GUEST_PVH;
