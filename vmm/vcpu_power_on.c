/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU as the power comes on (SDM 3, 9.1.1 and 10.4.7.1), as far as a guest
 * can have changed it. Pure.
 */
#include <string.h>

#include "base/bytes.h"
#include "vmm/vcpu_state.h"

#define APIC_BASE_BSP	 (1ULL << 8)
#define APIC_BASE_ENABLE (1ULL << 11)
#define APIC_BASE_GPA	 0xfee00000ULL

#define XSAVE_FCW   0
#define XSAVE_MXCSR 24

/* What these are then; a vCPU has those of them that KVM knows. */
static const struct vcpu_msr msrs[] = {
	/* 0 would mean to KVM: like the others. */
	{ 0x10, 1 },			  /* IA32_TIME_STAMP_COUNTER */
	{ 0x3b, 0 },			  /* IA32_TSC_ADJUST */
	{ 0x48, 0 },			  /* IA32_SPEC_CTRL */
	{ 0x174, 0 },			  /* IA32_SYSENTER_CS */
	{ 0x175, 0 },			  /* IA32_SYSENTER_ESP */
	{ 0x176, 0 },			  /* IA32_SYSENTER_EIP */
	{ 0x277, 0x0007040600070406ULL }, /* IA32_PAT */
	{ 0x2ff, 0 },			  /* IA32_MTRR_DEF_TYPE */
	{ 0x6e0, 0 },			  /* IA32_TSC_DEADLINE */
	{ 0xda0, 0 },			  /* IA32_XSS */
	{ 0xc0000081, 0 },		  /* IA32_STAR */
	{ 0xc0000082, 0 },		  /* IA32_LSTAR */
	{ 0xc0000083, 0 },		  /* IA32_CSTAR */
	{ 0xc0000084, 0 },		  /* IA32_FMASK */
	{ 0xc0000102, 0 },		  /* IA32_KERNEL_GS_BASE */
	{ 0xc0000103, 0 },		  /* IA32_TSC_AUX */
	{ 0x11, 0 },			  /* MSR_KVM_WALL_CLOCK */
	{ 0x12, 0 },			  /* MSR_KVM_SYSTEM_TIME */
	{ 0x4b564d00, 0 },		  /* MSR_KVM_WALL_CLOCK_NEW */
	{ 0x4b564d01, 0 },		  /* MSR_KVM_SYSTEM_TIME_NEW */
	{ 0x4b564d02, 0 },		  /* MSR_KVM_ASYNC_PF_EN */
	{ 0x4b564d03, 0 },		  /* MSR_KVM_STEAL_TIME */
	{ 0x4b564d04, 0 },		  /* MSR_KVM_PV_EOI_EN */
	{ 0x4b564d05, 1 },		  /* MSR_KVM_POLL_CONTROL */
	{ 0x4b564d06, 0 },		  /* MSR_KVM_ASYNC_PF_INT */
};

static struct kvm_segment segment(uint8_t type, uint8_t is_no_system)
{
	return (struct kvm_segment){
		.limit = 0xffff, .type = type, .present = 1, .s = is_no_system
	};
}

static void set_sregs(struct kvm_sregs *s, uint32_t index)
{
	const struct kvm_segment data = segment(3, 1);

	memset(s, 0, sizeof(*s));
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->cs = segment(11, 1);
	s->cs.selector = 0xf000;
	s->cs.base = 0xffff0000;
	s->ldt = segment(2, 0);
	s->tr = segment(11, 0);
	s->gdt.limit = s->idt.limit = 0xffff;
	s->cr0 = 0x60000010;
	s->apic_base =
		APIC_BASE_GPA | APIC_BASE_ENABLE | (index ? 0 : APIC_BASE_BSP);
}

/* The identity and the version stay. */
static void set_lapic(struct kvm_lapic_state *l)
{
	enum { ID = 0x20, LVR = 0x30, DFR = 0xe0, SVR = 0xf0 };
	static const uint16_t masked[] = { 0x320, 0x330, 0x340,
					   0x350, 0x360, 0x370 };
	uint8_t *regs = (uint8_t *)l->regs;
	uint32_t id = get_le32(regs + ID), version = get_le32(regs + LVR);
	size_t i;

	memset(regs, 0, sizeof(l->regs));
	put_le32(regs + ID, id);
	put_le32(regs + LVR, version);
	put_le32(regs + DFR, 0xffffffff);
	put_le32(regs + SVR, 0xff);
	for (i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		put_le32(regs + masked[i], 1u << 16);
}

static void set_msrs(struct vcpu_state *st)
{
	uint32_t i, kept = 0;
	size_t k;

	for (i = 0; i < st->msrs; i++)
		for (k = 0; k < sizeof(msrs) / sizeof(msrs[0]); k++)
			if (st->msr[i].index == msrs[k].index)
				st->msr[kept++] = msrs[k];
	st->msrs = kept;
}

void vcpu_state_power_on(struct vcpu_state *st, uint32_t index)
{
	const uint32_t flags = st->events.flags;
	uint32_t i;

	st->mp.mp_state =
		index ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	st->regs = (struct kvm_regs){ .rip = 0xfff0, .rflags = 2 };
	set_sregs(&st->sregs, index);
	memset(st->xsave, 0, sizeof(st->xsave));
	put_le16(st->xsave + XSAVE_FCW, 0x37f);
	put_le32(st->xsave + XSAVE_MXCSR, 0x1f80);
	for (i = 0; i < st->xcrs.nr_xcrs; i++)
		st->xcrs.xcrs[i].value = 1;
	st->debug = (struct kvm_debugregs){ .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	set_lapic(&st->lapic);
	set_msrs(st);
	memset(&st->events, 0, sizeof(st->events));
	st->events.flags = flags;
}
