/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the other CPUs with INIT and SIPI (Intel SDM volume 3, 9.4) and
 * waits for them in HLT: whoever arrives or finishes sends the first CPU an
 * interrupt. smp_start() and smp_join() belong to the first CPU; the others
 * enter at smp_cpu_main(). Shared counters are atomic.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/trap.h"

#define ICR_INIT  0x4500 /* delivery INIT, level assert */
#define ICR_SIPI  0x4600 /* delivery start-up, level assert */
#define ICR_FIXED 0x4000 /* level assert */

#define START_LIMIT_NS 4000000000u
#define START_LIMITS   3

extern const uint8_t smp_trampoline[], smp_trampoline_end[], smp_cr3[];

uint32_t smp_next_index = 1; /* smp_entry.S takes from here */
uint64_t smp_areas;	     /* the area of index 0, were there one */
static uint32_t ids[SMP_MAX_CPUS];
static uint32_t arrived_ids[SMP_MAX_CPUS];
static uint32_t arrived, finished;
static uint32_t first_id;
static void (*cpu_work)(unsigned index);
static unsigned timeouts;

static void count_and_wake(uint32_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
	lapic_send(first_id, ICR_FIXED | VECTOR_WAKE);
}

void smp_cpu_main(unsigned index)
{
	trap_init();
	lapic_init();
	arrived_ids[index] = lapic_id();
	count_and_wake(&arrived);
	cpu_work(index);
	count_and_wake(&finished);
	guest_idle();
}

uint32_t smp_apic_id(unsigned index)
{
	return arrived_ids[index];
}

static uint32_t load(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static void on_timeout(void)
{
	timeouts++;
}

/* Copies the code of the other CPUs below 1 MiB, with our page tables. */
static void place_trampoline(void)
{
	uint64_t start = (uint64_t)smp_trampoline;
	uint64_t bytes = (uint64_t)smp_trampoline_end - start;
	uint64_t cr3_at = AP_TRAMPOLINE + (uint64_t)smp_cr3 - start;

	memcpy((void *)AP_TRAMPOLINE, smp_trampoline, bytes);
	mmio_write32(cr3_at, (uint32_t)read_cr3());
}

static unsigned start_others(unsigned count)
{
	unsigned i, sent = 0;

	for (i = 0; i < count; i++) {
		if (ids[i] == first_id)
			continue;
		lapic_send(ids[i], ICR_INIT);
		lapic_send(ids[i], ICR_SIPI | AP_TRAMPOLINE >> 12);
		sent++;
	}
	return sent;
}

unsigned smp_start(void (*work)(unsigned index))
{
	unsigned count = acpi_cpus(ids, SMP_MAX_CPUS);
	unsigned others;

	paging_init();
	lapic_init();
	first_id = lapic_id();
	arrived_ids[0] = first_id;
	cpu_work = work;
	smp_areas =
		boot_reserve((uint64_t)count * CPU_AREA_BYTES, CPU_AREA_BYTES);
	place_trampoline();
	others = start_others(count);
	trap_handle(VECTOR_TIMER, on_timeout);
	lapic_timer(TIMER_PERIODIC, START_LIMIT_NS);
	while (load(&arrived) < others && timeouts < START_LIMITS)
		cpu_wait();
	lapic_timer_stop();
	return load(&arrived) + 1;
}

void smp_join(void)
{
	while (load(&finished) < load(&arrived))
		cpu_wait();
}
