/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor tables and the dispatch of exceptions and interrupts. Every CPU
 * enters, each with its own tables and stack, always with interrupts off.
 * The table of handlers is filled by the first CPU before it starts others.
 * An exception that nobody expects ends the guest with FAIL 64 + vector.
 */
#include "guest-images/runtime/trap.h"

#define FIRST_IRQ  32
#define VECTOR_NMI 2

extern const uint8_t trap_idt_register[];

static void (*handlers[TRAP_VECTORS - FIRST_IRQ])(void);
static uint64_t nmis;

static void load_gdt(const struct cpu *cpu)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) reg = {
		.limit = sizeof(cpu->gdt) - 1,
		.base = (uint64_t)cpu->gdt,
	};

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "pushq $1f\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "ltr %w3"
			 :
			 : "m"(reg), "i"(SEL_KERNEL_CODE), "r"(SEL_KERNEL_DATA),
			   "r"(SEL_TSS)
			 : "memory");
}

void trap_init(void)
{
	struct cpu *cpu = cpu_this();
	uint64_t tss = (uint64_t)&cpu->tss;

	cpu->tss.ports_offset = offsetof(struct tss, ports);
	cpu->tss.ports[sizeof(cpu->tss.ports) - 1] = 0xff;
	cpu->gdt[SEL_KERNEL_CODE / 8] = 0x00af9b000000ffff;
	cpu->gdt[SEL_KERNEL_DATA / 8] = 0x00cf93000000ffff;
	cpu->gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffff;
	cpu->gdt[SEL_USER_CODE / 8] = 0x00affb000000ffff;
	cpu->gdt[SEL_TSS / 8] = 0x0000890000000000 | (sizeof(struct tss) - 1) |
				(tss & 0xffffff) << 16 |
				(tss >> 24 & 0xff) << 56;
	cpu->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	load_gdt(cpu);
	load_idt(trap_idt_register);
}

void trap_handle(unsigned vector, void (*handler)(void))
{
	if (vector >= FIRST_IRQ && vector < TRAP_VECTORS)
		handlers[vector - FIRST_IRQ] = handler;
}

uint64_t trap_nmis(void)
{
	return nmis;
}

static _Noreturn void unexpected(const struct trap_frame *f)
{
	line_begin();
	line_u64("trap", f->vector);
	line_hex("error", f->error);
	line_hex("rip", f->rip);
	line_end();
	guest_fail((uint8_t)(FAIL_TRAP + f->vector));
}

void trap_enter(struct trap_frame *f)
{
	void (*handler)(void);

	if (f->vector == TRAP_BREAKPOINT && f->cs == SEL_USER_CODE) {
		f->rax = user_syscall(f);
		return;
	}
	if (f->vector == VECTOR_NMI) {
		fact_u64("nmi", ++nmis);
		return;
	}
	if (f->vector < FIRST_IRQ)
		unexpected(f);
	handler = handlers[f->vector - FIRST_IRQ];
	if (handler) {
		handler();
		lapic_eoi();
	} else {
		unexpected(f);
	}
}
