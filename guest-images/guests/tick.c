/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tick: counts timer interrupts of the local APIC and prints each. With
 * count=N it ends after N, else never; period_ms=N (default 100);
 * timer=periodic (default), oneshot or deadline.
 */
#include "guest-images/runtime/guest.h"

#define DEFAULT_PERIOD_MS 100
#define MAX_PERIOD_MS	  4000

static volatile uint64_t ticks;

static void on_tick(void)
{
	ticks++;
}

static enum timer wanted_timer(void)
{
	if (arg_is("timer", "oneshot"))
		return TIMER_ONESHOT;
	if (arg_is("timer", "deadline"))
		return TIMER_DEADLINE;
	return TIMER_PERIODIC;
}

static void wait_for(uint64_t n)
{
	while (ticks < n)
		cpu_wait();
}

void guest_main(void)
{
	uint64_t period_ms = arg_u64("period_ms", DEFAULT_PERIOD_MS);
	uint64_t count = arg_u64("count", UINT64_MAX);
	enum timer timer = wanted_timer();
	uint64_t n;

	if (period_ms == 0 || period_ms > MAX_PERIOD_MS)
		guest_fail(1);
	lapic_init();
	trap_handle(VECTOR_TIMER, on_tick);
	lapic_timer(timer, period_ms * 1000000);
	guest_ready();
	for (n = 1; n <= count; n++) {
		wait_for(n);
		if (timer != TIMER_PERIODIC)
			lapic_timer(timer, period_ms * 1000000);
		fact_u64("count", n);
	}
}
