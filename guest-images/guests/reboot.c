/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reboot: by the ACPI reset register, or by=cf9, by=kbd, by=triple. A machine
 * that still runs one second later: FAIL 1.
 */
#include "guest-images/runtime/guest.h"

#define PATIENCE_NS   1000000000u
#define KBD_RESET     0xfe
#define CF9_HARD      0x02
#define CF9_RESET_NOW 0x06

void guest_main(void)
{
	lapic_init();
	guest_ready();
	if (arg_is("by", "cf9")) {
		outb(PORT_RESET_CONTROL, CF9_HARD);
		outb(PORT_RESET_CONTROL, CF9_RESET_NOW);
	} else if (arg_is("by", "kbd")) {
		outb(PORT_I8042_CMD, KBD_RESET);
	} else if (arg_is("by", "triple")) {
		guest_triple_fault();
	} else {
		outb(PORT_ACPI_RESET, ACPI_RESET_VALUE);
	}
	clock_sleep(PATIENCE_NS);
	guest_fail(1);
}
