/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways a guest ends or says that it is ready. At CPL0, on the first CPU;
 * the VMM stops the machine at the port write, so what follows it is only
 * there for a VMM that doesn't.
 */
#include "guest-images/runtime/trap.h"

void guest_exit(uint8_t n)
{
	outb(PORT_DEBUG_EXIT, n);
	cpu_stop();
}

void guest_ok(void)
{
	print_line("OK");
	guest_exit(0);
}

void guest_fail(uint8_t n)
{
	char text[] = "FAIL 000";

	text[5] = (char)('0' + n / 100);
	text[6] = (char)('0' + n / 10 % 10);
	text[7] = (char)('0' + n % 10);
	print_line(text);
	guest_exit(n);
}

void guest_ready(void)
{
	print_line("ready");
	outb(PORT_MILESTONE, MILESTONE_READY);
}

/* ACPI 6.4, 4.8.3.7: SLP_TYP in bits 2 to 4, SLP_EN is bit 5. */
void guest_poweroff(void)
{
	outb(PORT_SLEEP_CONTROL, ACPI_S5_SLP_TYP << 2 | 1 << 5);
	cpu_stop();
}

/* No IDT, then a page fault: the fault, the double fault and the end. */
void guest_triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { .limit = 0, .base = 0 };

	load_idt(&none);
	mmio_write32(1ull << 40, 0);
	cpu_stop();
}

void guest_idle(void)
{
	for (;;)
		cpu_wait();
}
