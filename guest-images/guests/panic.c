/* SPDX-License-Identifier: Apache-2.0 */
/*
 * panic: tells pvpanic and halts. value=N is the byte written (default 1,
 * panicked; 2 is crash-loaded).
 */
#include "guest-images/runtime/guest.h"

void guest_main(void)
{
	uint8_t value = (uint8_t)arg_u64("value", PVPANIC_PANICKED);

	guest_ready();
	fact_u64("panic", value);
	outb(PORT_PVPANIC, value);
	cpu_stop();
}
