/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exit: leaves through the debug-exit port with code=N (default 0).
 */
#include "guest-images/runtime/guest.h"

void guest_main(void)
{
	uint8_t code = (uint8_t)arg_u64("code", 0);

	guest_ready();
	fact_u64("code", code);
	guest_exit(code);
}
