/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One random number at CPL3, where kvm_pvm has RDRAND: from the CPU if it
 * offers it, else mixed from the time stamp counter over some rounds. Good
 * enough to tell two boots apart; it guards no secret. No state.
 */
#include "guest-images/runtime/guest.h"

#define CPUID_RDRAND (1u << 30)
#define TRIES	     10
#define MIX_ROUNDS   64

static bool rdrand(uint64_t *value)
{
	uint8_t ok;

	__asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*value), "=qm"(ok));
	return ok != 0;
}

static uint64_t mix(uint64_t x)
{
	unsigned i;

	for (i = 0; i < MIX_ROUNDS; i++) {
		x ^= rdtsc();
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static uint64_t draw(void *has_rdrand)
{
	uint64_t value = 0;

	if (*(const bool *)has_rdrand)
		for (unsigned i = 0; i < TRIES; i++)
			if (rdrand(&value) && value != 0)
				return value;
	return mix(0x9e3779b97f4a7c15);
}

uint64_t user_random(void)
{
	bool has_rdrand = (cpuid(1).ecx & CPUID_RDRAND) != 0;

	return user_call(draw, &has_rdrand);
}
