/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts: one stub per vector, the constant IDT, the way
 * into trap_enter() and back, and the way to CPL3 and back. Any CPU, each on
 * its own kernel stack. The frame is struct trap_frame in trap.h.
 */
#include "guest-images/runtime/layout.h"

	.section .text.vectors, "ax"
	.globl	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	TRAP_VECTORS
	.balign	TRAP_STUB_BYTES
	/* 8, 10 to 14, 17, 21, 29 and 30 come with an error code. */
	.if	!((0x60227d00 >> vector) & 1) || vector > 31
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

	.text
trap_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	%rsp, %rdi
	cld
	call	trap_enter		/* 16 pushes: rsp is aligned */
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

/*
 * uint64_t user_enter(fn, arg, user_stack, rsp0_address)
 * Traps from CPL3 start at the stored rsp0, just below what user_leave() restores.
 */
	.globl	user_enter
user_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rcx)
	pushq	$SEL_USER_DATA
	pushq	%rdx
	pushq	$0x202			/* IF */
	pushq	$SEL_USER_CODE
	pushq	$user_begin
	movq	%rdi, %rax
	movq	%rsi, %rdi
	iretq

user_begin:				/* CPL3 from here */
	call	*%rax
	movq	%rax, %rsi
	xorl	%edi, %edi		/* SYS_RETURN */
/* uint64_t sys_call(number, a, b) */
	.globl	sys_call
sys_call:
	int3
	ret

/* _Noreturn void user_leave(value, rsp0): back from user_enter() */
	.globl	user_leave
user_leave:
	movq	%rsi, %rsp
	movq	%rdi, %rax
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.section .rodata
	.balign	16
	.globl	trap_idt_register
trap_idt_register:
	.word	TRAP_VECTORS * 16 - 1
	.quad	trap_idt
	.balign	16
trap_idt:
	.set	vector, 0
	.rept	TRAP_VECTORS
	.word	(TRAP_STUBS + vector * TRAP_STUB_BYTES) & 0xffff
	.word	SEL_KERNEL_CODE
	.if	vector == TRAP_BREAKPOINT
	.word	0xee00			/* the gate: open to CPL3 */
	.else
	.word	0x8e00
	.endif
	.word	TRAP_STUBS >> 16
	.quad	0
	.set	vector, vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
