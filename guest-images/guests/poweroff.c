/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poweroff: enters S5 by the ACPI sleep control register.
 */
#include "guest-images/runtime/guest.h"

void guest_main(void)
{
	guest_ready();
	guest_poweroff();
}
