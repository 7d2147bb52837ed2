/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PVH entry: 32-bit protected mode, paging off, ebx = hvm_start_info. Only
 * guests with GUEST_PVH link it. It maps the first 2 MiB, where the image
 * lies, goes to long mode and joins the other entry; C then maps the rest.
 */
#include "devices/platform.h"
#include "guest-images/runtime/layout.h"

	.section .text.entry, "ax"
	.code32
	.globl	pvh_start
pvh_start:
	movb	guest_first_byte, %al
	testb	%al, %al
	jz	1f
	movw	$PORT_COM1, %dx
	outb	%al, %dx
1:	movb	$MILESTONE_KERNEL, %al
	outb	%al, $PORT_MILESTONE

	movl	$pvh_pdpt + 3, pvh_pml4
	movl	$pvh_pd + 3, pvh_pdpt
	movl	$0x83, pvh_pd		/* 2 MiB page, writable, present */
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$pvh_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax	/* PG, PE */
	movl	%eax, %cr0
	lgdt	pvh_gdt_register
	ljmp	$SEL_KERNEL_CODE, $2f
	.code64
2:	movl	$SEL_KERNEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%ebx, %edi
	movl	$1, %esi
	jmp	start_long_mode

	.section .rodata
	.balign	8
pvh_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_KERNEL_CODE: 64-bit */
	.quad	0x00cf93000000ffff	/* SEL_KERNEL_DATA */
pvh_gdt_register:
	.word	. - pvh_gdt - 1
	.long	pvh_gdt

	.bss
	.balign	4096
pvh_pml4:
	.skip	4096
pvh_pdpt:
	.skip	4096
pvh_pd:	.skip	4096

	.section .note.GNU-stack, "", @progbits
