/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code at CPL3, where kvm_pvm runs at native speed, and the gate back: int3,
 * because neither `syscall` nor `int n` reaches CPL0 there. Any CPU; one call
 * at a time on each. The guest's system calls are set before the first call.
 */
#include "guest-images/runtime/trap.h"

static user_syscall_fn *guest_syscalls;

void user_set_syscalls(user_syscall_fn *fn)
{
	guest_syscalls = fn;
}

uint64_t user_call(uint64_t (*fn)(void *arg), void *arg)
{
	struct cpu *cpu = cpu_this();
	uint64_t rsp0_address =
		(uint64_t)&cpu->tss + offsetof(struct tss, rsp0);

	paging_init();
	return user_enter(fn, arg, (uint64_t)cpu + CPU_USER_TOP, rsp0_address);
}

uint64_t ring_call(uint64_t (*fn)(void *arg), void *arg)
{
	return arg_is("ring", "3") ? user_call(fn, arg) : fn(arg);
}

/* Interrupts are off here: none can come between the look and the sleep. */
static void wait_if(const volatile uint32_t *word, uint32_t value)
{
	if (*word == value)
		cpu_wait();
}

uint64_t user_syscall(struct trap_frame *f)
{
	if (f->rdi == SYS_RETURN)
		user_leave(f->rsi, cpu_this()->tss.rsp0);
	if (f->rdi == SYS_WAIT) {
		cpu_wait();
		return 0;
	}
	if (f->rdi == SYS_WAIT_IF) {
		wait_if((const volatile uint32_t *)f->rsi, (uint32_t)f->rdx);
		return 0;
	}
	return guest_syscalls ? guest_syscalls(f->rdi, f->rsi, f->rdx)
			      : UINT64_MAX;
}
