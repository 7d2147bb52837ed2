/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O APIC (82093AA): index register at its base, data 16 bytes on. The
 * first CPU sets routes before interrupts are let in. No state.
 */
#include "guest-images/runtime/guest.h"

#define IOAPIC_DATA	 0x10
#define REDIRECTION_LOW	 0x10
#define REDIRECTION_HIGH 0x11
#define TRIGGER_LEVEL	 0x8000

static void reg_write(uint32_t reg, uint32_t value)
{
	mmio_write32(IOAPIC_BASE, reg);
	mmio_write32(IOAPIC_BASE + IOAPIC_DATA, value);
}

static void route(unsigned gsi, unsigned low)
{
	reg_write(REDIRECTION_HIGH + 2 * gsi, lapic_id() << 24);
	reg_write(REDIRECTION_LOW + 2 * gsi, low);
}

void ioapic_route(unsigned gsi, unsigned vector)
{
	route(gsi, vector);
}

void ioapic_route_level(unsigned gsi, unsigned vector)
{
	route(gsi, vector | TRIGGER_LEVEL);
}
