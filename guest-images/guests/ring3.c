/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring3: heavy memory work by code at CPL3 with system calls through the
 * gate. Every round first checks that each page still holds what the round
 * before wrote, writes the new pattern, then sums all of it up. A page that
 * was lost, torn or swapped by a snapshot, a restore or a clone is counted.
 *
 * mib=N (default 16), rounds=N (default 1, 0 = for ever), seed=N, rate=N
 * MiB/s at most (default 0, unlimited), first=N (default 1) the round to begin
 * with, where another machine left those before in this memory, rest_ms=N
 * (default 0) of doing nothing before the next one, every=N (default 1): rounds
 * behind the first see to every N-th page alone. The sum depends on mib, every,
 * round and seed only. FAIL 1: pages were bad, FAIL 2: the memory is too small.
 */
#include "guest-images/runtime/guest.h"

#define PAGE_BYTES     4096
#define PAGE_WORDS     (PAGE_BYTES / 8)
#define PAGES_PER_MIB  256
#define TICK_NS	       10000000
#define TICKS_PER_S    100
#define SYS_ROUND_DONE SYS_GUEST
#define SYS_RESTED     (SYS_GUEST + 1)
#define GOLDEN	       0x9e3779b97f4a7c15

static struct {
	uint64_t *memory;
	uint64_t pages, every, first, rounds, seed, pages_per_tick, rest_ticks;
	uint64_t bad, calls, round_start_ns;
} job;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* The first word of a page in a round; the others follow by addition. */
static uint64_t pattern(uint64_t page, uint64_t round)
{
	return mix(job.seed + page * GOLDEN + mix(round));
}

static void write_page(uint64_t page, uint64_t round)
{
	uint64_t *word = job.memory + page * PAGE_WORDS;
	uint64_t value = pattern(page, round);
	unsigned i;

	for (i = 0; i < PAGE_WORDS; i++, value += GOLDEN)
		word[i] = value;
}

static bool page_is(uint64_t page, uint64_t round)
{
	const volatile uint64_t *word = job.memory + page * PAGE_WORDS;
	uint64_t value = pattern(page, round);
	uint64_t differences = 0;
	unsigned i;

	for (i = 0; i < PAGE_WORDS; i++, value += GOLDEN)
		differences |= word[i] ^ value;
	return differences == 0;
}

/* From one page of a round to the next. */
static uint64_t step_of(uint64_t round)
{
	return round > 1 ? job.every : 1;
}

static uint64_t sum_of_memory(uint64_t round)
{
	uint64_t sum = 0;
	uint64_t page, i;

	for (page = 0; page < job.pages; page += step_of(round))
		for (i = page * PAGE_WORDS; i < (page + 1) * PAGE_WORDS; i++)
			sum = (sum << 1 | sum >> 63) + job.memory[i];
	return sum;
}

static void dirty_round(uint64_t round)
{
	uint64_t page, in_tick = 0;

	for (page = 0; page < job.pages; page += step_of(round)) {
		if (round > 1 && !page_is(page, round - 1))
			job.bad++;
		write_page(page, round);
		if (job.pages_per_tick && ++in_tick == job.pages_per_tick) {
			sys_call(SYS_WAIT, 0, 0);
			in_tick = 0;
		}
	}
}

static void rest(void)
{
	uint64_t i;

	for (i = 0; i < job.rest_ticks; i++)
		sys_call(SYS_WAIT, 0, 0);
	sys_call(SYS_RESTED, 0, 0);
}

static uint64_t work(void *unused)
{
	uint64_t round, page;

	(void)unused;
	for (round = job.first; job.rounds == 0 || round <= job.rounds;
	     round++) {
		dirty_round(round);
		sys_call(SYS_ROUND_DONE, round, sum_of_memory(round));
		if (job.rest_ticks)
			rest();
	}
	for (page = 0; page < job.pages; page += step_of(job.rounds))
		if (!page_is(page, job.rounds))
			job.bad++;
	return 0;
}

static uint64_t on_syscall(uint64_t number, uint64_t round, uint64_t sum)
{
	uint64_t now = clock_ns();

	job.calls++;
	if (number == SYS_RESTED) {
		job.round_start_ns = now;
		return 0;
	}
	if (number != SYS_ROUND_DONE)
		return UINT64_MAX;
	line_begin();
	line_u64("round", round);
	line_hex("sum", sum);
	line_u64("bad", job.bad);
	line_u64("ms", (now - job.round_start_ns) / 1000000);
	line_end();
	job.round_start_ns = now;
	return 0;
}

static void on_tick(void)
{
}

static void plan(void)
{
	uint64_t mib = arg_u64("mib", 16);
	uint64_t rate = arg_u64("rate", 0);
	struct ram_range free = boot_free_ram();

	if (mib == 0 || mib > (free.end - free.start) >> 20)
		guest_fail(2);
	job.memory = (uint64_t *)free.start;
	job.pages = mib * PAGES_PER_MIB;
	job.every = arg_u64("every", 1);
	if (job.every == 0)
		job.every = 1;
	job.first = arg_u64("first", 1);
	job.rounds = arg_u64("rounds", 1);
	job.seed = arg_u64("seed", 1);
	if (rate > 0)
		job.pages_per_tick =
			(rate * PAGES_PER_MIB + TICKS_PER_S - 1) / TICKS_PER_S;
	job.rest_ticks = arg_u64("rest_ms", 0) * TICKS_PER_S / 1000;
}

void guest_main(void)
{
	plan();
	lapic_init();
	trap_handle(VECTOR_TIMER, on_tick);
	if (job.pages_per_tick || job.rest_ticks)
		lapic_timer(TIMER_PERIODIC, TICK_NS);
	user_set_syscalls(on_syscall);
	job.round_start_ns = clock_ns();
	guest_ready();
	user_call(work, NULL);
	line_begin();
	line_u64("pages", job.pages);
	line_u64("bad", job.bad);
	line_u64("calls", job.calls);
	line_end();
	if (job.bad > 0)
		guest_fail(1);
}

/* Other VMMs can boot it too: it stands beside them in make bench. */
GUEST_PVH;
