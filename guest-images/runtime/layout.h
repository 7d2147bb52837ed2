/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that assembly and C of the runtime share. Every CPU owns an area,
 * aligned to its size: struct cpu, its kernel stack, then its user stack.
 */
#ifndef GUEST_RUNTIME_LAYOUT_H
#define GUEST_RUNTIME_LAYOUT_H

#define CPU_AREA_BYTES 0x4000
#define CPU_STACK_TOP  0x2000
#define CPU_USER_TOP   0x4000

#define SEL_KERNEL_CODE 0x08
#define SEL_KERNEL_DATA 0x10
#define SEL_USER_DATA	0x1b
#define SEL_USER_CODE	0x23
#define SEL_TSS		0x28

/* The vector stubs lie at the image's start, so the IDT is a constant. */
#define TRAP_STUBS	0x100000
#define TRAP_STUB_BYTES 16
#define TRAP_VECTORS	48
#define TRAP_BREAKPOINT 3

/* Where other CPUs wake up: below 1 MiB, on a page boundary. */
#define AP_TRAMPOLINE 0x50000

#endif
