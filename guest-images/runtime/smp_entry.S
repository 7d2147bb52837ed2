/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CPUs that got a SIPI begin: real mode, cs = AP_TRAMPOLINE / 16. The
 * code between smp_trampoline and smp_trampoline_end is copied there; it goes
 * straight to long mode on the first CPU's page tables. Many CPUs come at
 * once: each takes the next index, and with it its area.
 */
#include "guest-images/runtime/layout.h"

	.text
	.globl	smp_trampoline, smp_trampoline_end, smp_cr3
	.code16
smp_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	smp_gdt_register - smp_trampoline
	movl	smp_cr3 - smp_trampoline, %eax
	movl	%eax, %cr3
	movl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80000011, %eax	/* PG, ET, PE */
	movl	%eax, %cr0
	ljmpl	$SEL_KERNEL_CODE, $smp_long_mode
	.balign	4
smp_cr3:
	.long	0
smp_gdt_register:
	.word	3 * 8 - 1
	.long	smp_gdt
smp_trampoline_end:

	.code64
smp_long_mode:
	movl	$SEL_KERNEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$1, %edi
	lock xaddl %edi, smp_next_index
	movl	%edi, %eax
	imulq	$CPU_AREA_BYTES, %rax, %rax
	addq	smp_areas, %rax
	leaq	CPU_STACK_TOP(%rax), %rsp
	xorl	%ebp, %ebp
	call	smp_cpu_main

	.section .rodata
	.balign	8
smp_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_KERNEL_CODE: 64-bit */
	.quad	0x00cf93000000ffff	/* SEL_KERNEL_DATA */

	.section .note.GNU-stack, "", @progbits
