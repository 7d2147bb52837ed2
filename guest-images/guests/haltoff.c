/* SPDX-License-Identifier: Apache-2.0 */
/*
 * haltoff: halts with interrupts off: nothing but an NMI or a reset wakes it.
 */
#include "guest-images/runtime/guest.h"

void guest_main(void)
{
	guest_ready();
	cpu_stop();
}
