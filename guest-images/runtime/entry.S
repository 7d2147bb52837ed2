/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry in long mode: the first CPU arrives here alone, CPL0, identity
 * mapped, interrupts off, rdi = hvm_start_info, no stack. The first byte and
 * the milestone go out before anything else, because they are timed.
 */
#include "devices/platform.h"
#include "guest-images/runtime/layout.h"

	.section .text.entry, "ax"
	.globl	_start
_start:
	movb	guest_first_byte, %al
	testb	%al, %al
	jz	1f
	movw	$PORT_COM1, %dx
	outb	%al, %dx
1:	movb	$MILESTONE_KERNEL, %al
	outb	%al, $PORT_MILESTONE
	xorl	%esi, %esi
	.globl	start_long_mode
start_long_mode:			/* rdi = info, esi = 1 after PVH */
	movl	$first_cpu_area + CPU_STACK_TOP, %esp
	xorl	%ebp, %ebp
	call	boot_start

	.section .rodata
	.weak	guest_first_byte
guest_first_byte:
	.byte	0

	.section .note.GNU-stack, "", @progbits
