/* SPDX-License-Identifier: Apache-2.0 */
/*
 * junk: what no hypervisor can run. The default, kind=opcode, is an x87
 * instruction on an address without memory, which KVM has to emulate and
 * can't; kind=jump goes on outside RAM; kind=ud2 is an invalid opcode that
 * nobody handles: a triple fault.
 */
#include "guest-images/runtime/guest.h"

/* In the hole, where no device of the machine map is. */
#define NOWHERE 0xd8000000

static const struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) no_idt = { .limit = 0, .base = 0 };

void guest_main(void)
{
	guest_ready();
	if (arg_is("kind", "jump")) {
		__asm__ volatile("jmp *%0" : : "r"((uint64_t)NOWHERE));
	} else if (arg_is("kind", "ud2")) {
		load_idt(&no_idt);
		__asm__ volatile("ud2");
	} else {
		__asm__ volatile("fldl (%0)" : : "r"((uint64_t)NOWHERE));
	}
	guest_fail(1);
}
