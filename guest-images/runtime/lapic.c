/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC of the calling CPU (Intel SDM volume 3, chapter 11), as
 * x2APIC where the CPU has it, else through its page. Every CPU enters for
 * its own; the choice of the mode is the first CPU's.
 */
#include "guest-images/runtime/trap.h"

#define MSR_APIC_BASE	 0x1b
#define APIC_BASE_X2	 (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define MSR_X2APIC	 0x800
#define MSR_TSC_DEADLINE 0x6e0
#define CPUID_X2APIC	 (1u << 21)
#define CPUID_DEADLINE	 (1u << 24)
#define VECTOR_SPURIOUS	 47

/* KVM's APIC bus runs at 1 GHz: with divide by one a tick is 1 ns. */
#define DIVIDE_BY_ONE 0xb

enum reg {
	REG_ID = 0x2,
	REG_EOI = 0xb,
	REG_SPURIOUS = 0xf,
	REG_ICR_LOW = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_LINT0 = 0x35,
	REG_TIMER_COUNT = 0x38,
	REG_TIMER_DIVIDE = 0x3e,
};

#define LVT_MASKED   (1u << 16)
#define LVT_PERIODIC (1u << 17)
#define LVT_DEADLINE (1u << 18)
#define SPURIOUS_ON  (1u << 8)

static bool x2apic;

static uint32_t reg_read(enum reg reg)
{
	if (x2apic)
		return (uint32_t)rdmsr(MSR_X2APIC + (uint32_t)reg);
	return mmio_read32(LAPIC_BASE + (uint64_t)reg * 16);
}

static void reg_write(enum reg reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + (uint32_t)reg, value);
	else
		mmio_write32(LAPIC_BASE + (uint64_t)reg * 16, value);
}

static void ignore(void)
{
}

void lapic_init(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	x2apic = (cpuid(1).ecx & CPUID_X2APIC) && !arg_is("apic", "x");
	wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
	reg_write(REG_LVT_LINT0, LVT_MASKED); /* the old PIC's wire */
	reg_write(REG_SPURIOUS, SPURIOUS_ON | VECTOR_SPURIOUS);
	trap_handle(VECTOR_WAKE, ignore);
}

uint32_t lapic_id(void)
{
	return x2apic ? reg_read(REG_ID) : reg_read(REG_ID) >> 24;
}

void lapic_eoi(void)
{
	reg_write(REG_EOI, 0);
}

static void start_deadline(uint64_t ns)
{
	if (!(cpuid(1).ecx & CPUID_DEADLINE))
		guest_fail(FAIL_NO_DEADLINE);
	reg_write(REG_LVT_TIMER, LVT_DEADLINE | VECTOR_TIMER);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + clock_tsc(ns));
}

void lapic_timer(enum timer kind, uint64_t ns)
{
	uint32_t lvt = VECTOR_TIMER;

	if (kind == TIMER_DEADLINE) {
		start_deadline(ns);
		return;
	}
	if (kind == TIMER_PERIODIC)
		lvt |= LVT_PERIODIC;
	reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_ONE);
	reg_write(REG_LVT_TIMER, lvt);
	reg_write(REG_TIMER_COUNT, ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX);
}

void lapic_timer_stop(void)
{
	reg_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
}

void lapic_send(uint32_t id, uint32_t command)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + REG_ICR_LOW, (uint64_t)id << 32 | command);
		return;
	}
	reg_write(REG_ICR_HIGH, id << 24);
	reg_write(REG_ICR_LOW, command);
}
