/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time by kvmclock (Documentation/virt/kvm/x86/msr.rst in Linux): the host
 * keeps a scale and a base in a page of ours, the TSC does the rest. Used by
 * the first CPU only; the page is registered at first use.
 */
#include "guest-images/runtime/guest.h"

#define CPUID_KVM_SIGNATURE  0x40000000
#define CPUID_KVM_FEATURES   0x40000001
#define KVM_SIGNATURE_EBX    0x4b4d564b /* "KVMK" */
#define FEATURE_CLOCKSOURCE2 (1u << 3)
#define MSR_SYSTEM_TIME_NEW  0x4b564d01

struct time_info {
	uint32_t version; /* odd while the host writes */
	uint32_t pad;
	uint64_t tsc, ns;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static volatile struct time_info page __attribute__((aligned(64)));
static bool registered;

static void register_page(void)
{
	if (cpuid(CPUID_KVM_SIGNATURE).ebx != KVM_SIGNATURE_EBX ||
	    !(cpuid(CPUID_KVM_FEATURES).eax & FEATURE_CLOCKSOURCE2))
		guest_fail(FAIL_NO_KVMCLOCK);
	wrmsr(MSR_SYSTEM_TIME_NEW, (uint64_t)&page | 1);
	registered = true;
}

/* One consistent copy. */
static struct time_info read_page(void)
{
	struct time_info t = { 0 };

	if (!registered)
		register_page();
	do {
		t.version = page.version;
		t.tsc = page.tsc;
		t.ns = page.ns;
		t.multiplier = page.multiplier;
		t.shift = page.shift;
	} while ((t.version & 1) || t.version != page.version);
	return t;
}

uint64_t clock_ns(void)
{
	struct time_info t = read_page();
	uint64_t ticks = rdtsc() - t.tsc;

	ticks = t.shift < 0 ? ticks >> -t.shift : ticks << t.shift;
	return t.ns + (uint64_t)((unsigned __int128)ticks * t.multiplier >> 32);
}

uint64_t clock_tsc(uint64_t ns)
{
	struct time_info t = read_page();
	uint64_t ticks;

	ticks = ns / t.multiplier << 32;
	ticks += (ns % t.multiplier << 32) / t.multiplier;
	return t.shift < 0 ? ticks << -t.shift : ticks >> t.shift;
}

static volatile bool fired;

static void on_timer(void)
{
	fired = true;
}

void clock_sleep(uint64_t ns)
{
	fired = false;
	trap_handle(VECTOR_TIMER, on_timer);
	lapic_timer(TIMER_ONESHOT, ns);
	while (!fired)
		cpu_wait();
}
