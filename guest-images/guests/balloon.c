/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balloon: the memory balloon (VIRTIO 1.2, 5.5). Fills pages=N (default 1024)
 * pages, gives them to the device, waits wait_ms=N (100), takes them back and
 * writes all of them again. Then, where the device has them: report=N (256)
 * pages through free page reporting, and statistics whenever it asks, for
 * stats_ms=N (100). follow=1 instead does what the device's num_pages says, for
 * ever, and prints actual= after each change. FAIL 1: no memory for that many,
 * FAIL 2: a page that was never given lost its content.
 */
#include "guest-images/runtime/virtio.h"

#define F_STATS	      1
#define F_DEFLATE_OOM 2
#define F_HINT	      3
#define F_REPORTING   5
#define CONFIG_PAGES  0
#define CONFIG_ACTUAL 4
#define PAGE	      4096ull
#define WORDS	      (PAGE / 8)
#define BATCH	      256 /* page numbers in one buffer */
#define TICK_NS	      10000000u
#define STAT_FREE     4
#define STAT_TOTAL    5

struct stat {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static struct virtio_dev *dev;
static struct virtq inflate, deflate, stats, hints, reports;
static uint32_t numbers[BATCH];
static struct stat values[2];
static uint64_t *memory, *guard;
static uint64_t pages, given;

static void fill(uint64_t from, uint64_t n, uint64_t seed)
{
	uint64_t i;

	for (i = from * WORDS; i < (from + n) * WORDS; i++)
		memory[i] = seed + i;
}

/* How many pages still hold what fill() wrote. */
static uint64_t kept(uint64_t n, uint64_t seed)
{
	const volatile uint64_t *word = memory;
	uint64_t page, i, whole = 0, differences;

	for (page = 0; page < n; page++) {
		differences = 0;
		for (i = page * WORDS; i < (page + 1) * WORDS; i++)
			differences |= word[i] ^ (seed + i);
		whole += differences == 0;
	}
	return whole;
}

static void move(struct virtq *q, uint64_t from, uint64_t n)
{
	uint64_t i, part;

	for (; n > 0; n -= part, from += part) {
		struct virtio_buf buf = { numbers, 0 };

		part = n < BATCH ? n : BATCH;
		for (i = 0; i < part; i++)
			numbers[i] =
				(uint32_t)((uint64_t)memory / PAGE + from + i);
		buf.bytes = (uint32_t)(part * sizeof(numbers[0]));
		if (!virtq_add(q, &buf, 1, 0, numbers))
			guest_fail(FAIL_NO_QUEUE);
		virtq_kick(q);
		virtq_wait(q, NULL);
	}
}

static void set_given(uint64_t n)
{
	if (n > given)
		move(&inflate, given, n - given);
	else
		move(&deflate, n, given - n);
	given = n;
	mmio_write32(dev->base + VIRTIO_CONFIG + CONFIG_ACTUAL, (uint32_t)n);
	line_begin();
	line_u64("actual", given);
	line_u64("num_pages", virtio_config(dev, CONFIG_PAGES, 4));
	line_end();
}

static void wait_ms(uint64_t ms)
{
	uint64_t until = clock_ns() + ms * 1000000;

	while (clock_ns() < until)
		sys_call(SYS_WAIT, 0, 0);
}

/* Free pages, one to a buffer; the device drops them and returns it. */
static void report(uint64_t n)
{
	uint64_t i, ns = clock_ns();

	for (i = 0; i < n; i++) {
		struct virtio_buf buf = { memory + i * WORDS, PAGE };

		if (!virtq_add(&reports, &buf, 0, 1, memory)) {
			virtq_kick(&reports);
			virtq_wait(&reports, NULL);
			i--;
		}
	}
	virtq_kick(&reports);
	while (reports.free < reports.size)
		virtq_wait(&reports, NULL);
	line_begin();
	line_u64("reported", n);
	line_u64("ns", clock_ns() - ns);
	line_u64("kept", kept(n, 3));
	line_end();
}

static void give_stats(void)
{
	struct virtio_buf buf = { values, sizeof(values) };

	values[0] = (struct stat){ STAT_FREE, (pages - given) * PAGE };
	values[1] = (struct stat){ STAT_TOTAL, boot_ram_mib() << 20 };
	virtq_add(&stats, &buf, 1, 0, values);
	virtq_kick(&stats);
}

/* The device returns the buffer when it wants the next. */
static void serve_stats(uint64_t ms)
{
	uint64_t until = clock_ns() + ms * 1000000, asked = 0;
	void *token;

	give_stats();
	while (clock_ns() < until) {
		if (virtq_take(&stats, &token, NULL)) {
			asked++;
			give_stats();
		} else {
			sys_call(SYS_WAIT, 0, 0);
		}
	}
	fact_u64("stats_asked", asked);
}

static void follow(void)
{
	for (;;) {
		uint64_t n = virtio_config(dev, CONFIG_PAGES, 4);
		uint32_t changes = dev->config_changes;

		if (n > pages)
			n = pages;
		if (n != given)
			set_given(n);
		else if (dev->config_changes == changes)
			sys_call(SYS_WAIT, 0, 0);
	}
}

/* Which queues there are depends on the features, 5.5.2. */
static void start(void)
{
	unsigned next = 2;

	virtio_start(dev, 1ull << F_STATS | 1ull << F_DEFLATE_OOM |
				  1ull << F_REPORTING);
	virtq_init(&inflate, dev, 0, 64);
	virtq_init(&deflate, dev, 1, 64);
	if (dev->offered >> F_STATS & 1)
		virtq_init(&stats, dev, next++, 4);
	if (dev->offered >> F_HINT & 1)
		virtq_init(&hints, dev, next++, 4);
	if (virtio_has(dev, F_REPORTING))
		virtq_init(&reports, dev, next, 32);
	virtio_go(dev);
	fact_hex("features", dev->offered);
	fact_u64("num_pages", virtio_config(dev, CONFIG_PAGES, 4));
}

static uint64_t inflate_and_back(void)
{
	fill(0, pages, 1);
	guard[0] = (uint64_t)guard;
	set_given(pages);
	wait_ms(arg_u64("wait_ms", 100));
	set_given(0);
	fact_u64("kept", kept(pages, 1));
	fill(0, pages, 2);
	line_begin();
	line_u64("pages", pages);
	line_u64("rewritten", kept(pages, 2));
	line_end();
	return kept(pages, 2) == pages && guard[0] == (uint64_t)guard ? 0 : 2;
}

static uint64_t run(void *device)
{
	uint64_t failed, n;

	dev = device;
	start();
	if (arg_u64("follow", 0))
		follow();
	failed = inflate_and_back();
	n = arg_u64("report", 256);
	if (!failed && virtio_has(dev, F_REPORTING) && n <= pages) {
		fill(0, pages, 3);
		report(n);
	}
	if (!failed && virtio_has(dev, F_STATS))
		serve_stats(arg_u64("stats_ms", 100));
	return failed;
}

void guest_main(void)
{
	struct ram_range free = boot_free_ram();

	pages = arg_u64("pages", 1024);
	if (pages == 0 || pages > (free.end - free.start) / PAGE - 256)
		guest_fail(1);
	memory = virtio_alloc(pages * PAGE, PAGE);
	guard = virtio_alloc(PAGE, PAGE);
	virtio_tick(TICK_NS);
	virtio_guest(VIRTIO_ID_BALLOON, run);
}

GUEST_PVH;
