/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nonce: a random number that exists in this machine's RAM only, printed
 * with a counter at every tick. A machine that was restored goes on with the
 * same number and the next count; one that was rebooted can't. With count=N
 * it ends after N ticks, else never; period_ms=N (default 100).
 */
#include "guest-images/runtime/guest.h"

#define DEFAULT_PERIOD_MS 100
#define MAX_PERIOD_MS	  4000

static volatile uint64_t nonce;
static volatile bool ticked;

static void on_tick(void)
{
	ticked = true;
}

static void print_state(uint64_t count)
{
	line_begin();
	line_hex("nonce", nonce);
	line_u64("count", count);
	line_end();
}

void guest_main(void)
{
	uint64_t period_ms = arg_u64("period_ms", DEFAULT_PERIOD_MS);
	uint64_t last = arg_u64("count", UINT64_MAX);
	uint64_t count;

	if (period_ms == 0 || period_ms > MAX_PERIOD_MS)
		guest_fail(1);
	nonce = user_random();
	lapic_init();
	trap_handle(VECTOR_TIMER, on_tick);
	lapic_timer(TIMER_PERIODIC, period_ms * 1000000);
	guest_ready();
	for (count = 1; count <= last; count++) {
		ticked = false;
		while (!ticked)
			cpu_wait();
		print_state(count);
	}
}

/* Other VMMs can boot it too: it stands beside them in make bench. */
GUEST_PVH;
