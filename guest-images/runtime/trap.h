/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's own view of a CPU: its descriptor tables, what its traps
 * push, and the functions behind the assembly. Guests don't include this.
 */
#ifndef GUEST_RUNTIME_TRAP_H
#define GUEST_RUNTIME_TRAP_H

#include "guest-images/runtime/guest.h"
#include "guest-images/runtime/layout.h"

/* As trap_stubs.S pushes it, lowest address first. */
struct trap_frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Intel SDM volume 3, 8.7: packed, because rsp0 lies at offset 4. */
struct tss {
	uint32_t reserved0;
	uint64_t rsp0, rsp1, rsp2;
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t ports_offset;
	uint8_t ports[CPU_USER_PORTS / 8 + 1]; /* one byte of ones behind */
} __attribute__((packed));

struct cpu {
	uint64_t gdt[8];
	struct tss tss;
};

extern uint8_t first_cpu_area[CPU_AREA_BYTES];

/* The owner of the kernel stack that this code runs on. */
static inline struct cpu *cpu_this(void)
{
	uint64_t rsp;

	__asm__("movq %%rsp, %0" : "=r"(rsp));
	return (struct cpu *)(rsp & ~(uint64_t)(CPU_AREA_BYTES - 1));
}

/* Descriptor tables of this CPU: GDT, TSS, IDT. Its area must be zeroed. */
void trap_init(void);

/* Own page tables, all of it open to CPL3, made once, loaded on this CPU. */
void paging_init(void);

/* Makes room above the image before anyone asked boot_free_ram(). */
uint64_t boot_reserve(uint64_t bytes, uint64_t align);
/* hvm_start_info.rsdp_paddr */
uint64_t boot_rsdp(void);

/* Called by assembly. */
_Noreturn void boot_start(uint64_t start_info, uint32_t was_pvh);
void trap_enter(struct trap_frame *f);
uint64_t user_syscall(struct trap_frame *f);
_Noreturn void smp_cpu_main(unsigned index);

uint64_t user_enter(uint64_t (*fn)(void *), void *arg, uint64_t user_stack,
		    uint64_t rsp0_address);
_Noreturn void user_leave(uint64_t value, uint64_t rsp0);

#endif
