/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp: starts all CPUs of the MADT. Each one adds to one shared number, at
 * CPL3 and atomically; the first prints every APIC id, the number of CPUs and
 * the sum, and checks both. adds=N (default 10000) for each CPU; then=idle
 * stays up afterwards. FAIL 1: a CPU did not come, FAIL 2: the sum is wrong.
 */
#include "guest-images/runtime/guest.h"

static uint64_t adds, sum;

static uint64_t add(void *unused)
{
	uint64_t i;

	(void)unused;
	for (i = 0; i < adds; i++)
		__atomic_add_fetch(&sum, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void work(unsigned index)
{
	(void)index;
	user_call(add, NULL);
}

static unsigned cpus_in_madt(void)
{
	static uint32_t ids[SMP_MAX_CPUS];

	return acpi_cpus(ids, SMP_MAX_CPUS);
}

void guest_main(void)
{
	unsigned expected = cpus_in_madt();
	unsigned cpus, i;

	adds = arg_u64("adds", 10000);
	cpus = smp_start(work);
	work(0);
	smp_join();
	for (i = 0; i < cpus; i++)
		fact_u64("apic_id", smp_apic_id(i));
	fact_u64("cpus", cpus);
	fact_u64("sum", sum);
	if (cpus != expected)
		guest_fail(1);
	if (sum != cpus * adds)
		guest_fail(2);
	guest_ready();
	if (arg_is("then", "idle"))
		guest_idle();
}
