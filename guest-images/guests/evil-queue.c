/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evil-queue: breaks the rules of virtqueues (VIRTIO 1.2, 2.7) with a block
 * device, class=N of the table below (default 0: all, one after the other).
 * After each it prints whether the device needs a reset, how many chains came
 * back and the request's status byte, then resets the device and reads
 * sector 0 as it should be done. `missed` counts the classes that should have
 * broken the device and did not; strict=1: that is FAIL 2.
 * FAIL 1: the device did not come back, FAIL 3: no such class.
 */
#include "guest-images/runtime/evil.h"

#define N    VIRTQ_F_NEXT
#define W    VIRTQ_F_WRITE
#define I    VIRTQ_F_INDIRECT
#define DATA 4096
#define HOLE ((const uint8_t *)0xd8000000)

static struct blk disk;
static struct blk_head head; /* all zero: read sector 0 */
static uint8_t data[DATA] __attribute__((aligned(4096)));
static uint8_t status;
static struct virtq_desc table[VIRTQ_MAX + 2] __attribute__((aligned(16)));

static const uint8_t *ram_end(void)
{
	return (const uint8_t *)boot_free_ram().end;
}

static void desc(unsigned i, const void *addr, uint32_t len, uint16_t flags,
		 uint16_t next)
{
	evil_desc(&disk, i, addr, len, flags, next);
}

/* A good read in descriptors 0 to 2, to be hurt by the caller. */
static void good(void)
{
	desc(0, &head, sizeof(head), N, 1);
	desc(1, data, BLK_SECTOR, N | W, 2);
	desc(2, &status, 1, W, 0);
}

static void good_table(void)
{
	table[0] = (struct virtq_desc){ (uint64_t)&head, sizeof(head), N, 1 };
	table[1] = (struct virtq_desc){ (uint64_t)data, BLK_SECTOR, N | W, 2 };
	table[2] = (struct virtq_desc){ (uint64_t)&status, 1, W, 0 };
}

static void go(uint16_t first)
{
	evil_offer(&disk, first);
	evil_notify(&disk);
}

static void self_loop(void)
{
	good();
	desc(0, &head, sizeof(head), N, 0);
	go(0);
}

static void two_cycle(void)
{
	good();
	desc(2, &status, 1, N | W, 1);
	go(0);
}

static void cycle_in_table(void)
{
	good_table();
	table[2].flags = N | W;
	table[2].next = 1;
	desc(0, table, 3 * 16, I, 0);
	go(0);
}

static void head_is_size(void)
{
	good();
	go(disk.q.size);
}

static void head_ffff(void)
{
	good();
	go(0xffff);
}

static void next_is_size(void)
{
	good();
	desc(1, data, BLK_SECTOR, N | W, disk.q.size);
	go(0);
}

static void table_of(const void *addr, uint32_t bytes, uint16_t flags)
{
	good();
	good_table();
	desc(0, addr, bytes, flags, 1);
	go(0);
}

static void table_empty(void)
{
	table_of(table, 0, I);
}

static void table_odd(void)
{
	table_of(table, 3 * 16 + 1, I);
}

static void table_too_long(void)
{
	unsigned i, n = disk.q.size + 1u;

	good();
	for (i = 0; i < n; i++)
		table[i] = (struct virtq_desc){ (uint64_t)data + i, 1, N | W,
						(uint16_t)(i + 1) };
	table[0] = (struct virtq_desc){ (uint64_t)&head, sizeof(head), N, 1 };
	table[n - 1].flags = W;
	desc(0, table, n * 16, I, 0);
	go(0);
}

static void table_nested(void)
{
	good();
	good_table();
	table[1] = (struct virtq_desc){ (uint64_t)table, 3 * 16, I, 0 };
	desc(0, table, 3 * 16, I, 0);
	go(0);
}

static void table_and_next(void)
{
	table_of(table, 3 * 16, I | N);
}

static void table_past_ram(void)
{
	table_of(ram_end() - 16, 4 * 16, I);
}

static void data_at(const void *addr, uint32_t bytes)
{
	good();
	desc(1, addr, bytes, N | W, 2);
	go(0);
}

static void data_wraps(void)
{
	data_at((const void *)(UINT64_MAX - 255), BLK_SECTOR);
}

static void data_past_ram(void)
{
	data_at(ram_end() - BLK_SECTOR + 1, BLK_SECTOR);
}

static void data_in_hole(void)
{
	data_at(HOLE, BLK_SECTOR);
}

static void data_at_device(void)
{
	data_at((const void *)disk.dev->base, BLK_SECTOR);
}

static void data_empty(void)
{
	data_at(data, 0);
}

static void data_huge(void)
{
	data_at(data, UINT32_MAX);
}

static void head_empty(void)
{
	good();
	desc(0, &head, 0, N, 1);
	go(0);
}

static void status_empty(void)
{
	good();
	desc(2, &status, 0, W, 0);
	go(0);
}

/* Every descriptor of the queue is used; more than 4 GiB in all. */
static void sum_huge(void)
{
	unsigned i, last = disk.q.size - 1u;

	desc(0, &head, sizeof(head), N, 1);
	for (i = 1; i < last; i++)
		desc(i, data, 0xfffffe00, N | W, (uint16_t)(i + 1));
	desc(last, &status, 1, W, 0);
	go(0);
}

static void all_of_one_byte(void)
{
	unsigned i, last = disk.q.size - 1u;

	desc(0, &head, sizeof(head), N, 1);
	for (i = 1; i < last; i++)
		desc(i, data + i, 1, N | W, (uint16_t)(i + 1));
	desc(last, &status, 1, W, 0);
	go(0);
}

static void write_before_read(void)
{
	desc(0, data, BLK_SECTOR, N | W, 1);
	desc(1, &head, sizeof(head), N, 2);
	desc(2, &status, 1, W, 0);
	go(0);
}

static void status_readable(void)
{
	good();
	desc(1, data, BLK_SECTOR, N, 2);
	desc(2, &status, 1, 0, 0);
	go(0);
}

static void status_missing(void)
{
	desc(0, &head, sizeof(head), 0, 0);
	go(0);
}

static void head_in_three(void)
{
	const uint8_t *h = (const uint8_t *)&head;

	desc(0, h, 4, N, 1);
	desc(1, h + 4, 1, N, 2);
	desc(2, h + 5, sizeof(head) - 5, N, 3);
	desc(3, data, BLK_SECTOR, N | W, 4);
	desc(4, &status, 1, W, 0);
	go(0);
}

static void idx_jumps(void)
{
	good();
	disk.q.added = (uint16_t)(disk.q.added + disk.q.size);
	go(0);
}

static void idx_back(void)
{
	good();
	go(0);
	evil_settle(&disk, 1);
	disk.q.avail[VIRTQ_AVAIL_IDX] = (uint16_t)(disk.q.added - 1);
	evil_notify(&disk);
}

static void head_twice(void)
{
	good();
	evil_offer(&disk, 0);
	go(0);
}

/* The queue made anew, of that size and with rings at those places. */
static void remake(uint32_t size, const void *at, uint64_t avail, uint64_t used)
{
	struct virtio_dev *d = disk.dev;
	uint64_t places[3] = { (uint64_t)at, avail, used };
	unsigned i;

	virtio_start(d, BLK_WANTED);
	virtio_write(d, VIRTIO_QUEUE_SEL, 0);
	virtio_write(d, VIRTIO_QUEUE_SIZE, size);
	for (i = 0; i < 3; i++) {
		unsigned reg = VIRTIO_QUEUE_DESC + 16 * i;

		virtio_write(d, reg, (uint32_t)places[i]);
		virtio_write(d, reg + 4, (uint32_t)(places[i] >> 32));
	}
	virtio_write(d, VIRTIO_QUEUE_READY, 1);
	virtio_go(d);
	good();
	go(0);
}

static const void *desc_at(void)
{
	return (const void *)(uint64_t)disk.q.desc;
}

static uint64_t avail_at(void)
{
	return (uint64_t)disk.q.avail;
}

static uint64_t used_at(void)
{
	return (uint64_t)disk.q.used;
}

static void size_0(void)
{
	remake(0, desc_at(), avail_at(), used_at());
}

static void size_3(void)
{
	remake(3, desc_at(), avail_at(), used_at());
}

static void size_65535(void)
{
	remake(65535, desc_at(), avail_at(), used_at());
}

static void desc_in_hole(void)
{
	remake(disk.q.size, HOLE, avail_at(), used_at());
}

static void avail_in_hole(void)
{
	remake(disk.q.size, desc_at(), (uint64_t)HOLE, used_at());
}

static void used_in_hole(void)
{
	remake(disk.q.size, desc_at(), avail_at(), (uint64_t)HOLE);
}

static void rings_past_ram(void)
{
	remake(disk.q.size, ram_end() - 32, avail_at(), used_at());
}

static void rings_wrap(void)
{
	remake(disk.q.size, desc_at(), UINT64_MAX - 1, UINT64_MAX - 3);
}

static void rings_odd(void)
{
	remake(disk.q.size, (const uint8_t *)desc_at() + 1, avail_at() + 1,
	       used_at() + 1);
}

static void write_running(unsigned reg, uint32_t value)
{
	virtio_write(disk.dev, VIRTIO_QUEUE_SEL, 0);
	virtio_write(disk.dev, reg, value);
	good();
	go(0);
}

static void size_running(void)
{
	write_running(VIRTIO_QUEUE_SIZE, 2);
}

static void place_running(void)
{
	write_running(VIRTIO_QUEUE_DESC, (uint32_t)(uint64_t)HOLE);
}

static void ready_running(void)
{
	virtio_write(disk.dev, VIRTIO_QUEUE_READY, 0);
	write_running(VIRTIO_QUEUE_READY, 1);
}

static void features_running(void)
{
	write_running(VIRTIO_DRIVER_FEATURES, UINT32_MAX);
}

static void no_features_ok(void)
{
	virtio_reset(disk.dev);
	virtio_write(disk.dev, VIRTIO_STATUS,
		     VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER |
			     VIRTIO_S_DRIVER_OK);
	good();
	go(0);
}

static void no_queue(void)
{
	virtio_start(disk.dev, BLK_WANTED);
	virtio_go(disk.dev);
	good();
	go(0);
}

/* A reset while many requests are on their way. */
static void reset_in_flight(void)
{
	uint16_t i;

	for (i = 0; i + 3 <= disk.q.size; i = (uint16_t)(i + 3)) {
		desc(i, &head, sizeof(head), N, (uint16_t)(i + 1));
		desc(i + 1u, data, DATA, N | W, (uint16_t)(i + 2));
		desc(i + 2u, &status, 1, W, 0);
		evil_offer(&disk, i);
	}
	evil_notify(&disk);
	virtio_reset(disk.dev);
}

enum verdict { ANY, BREAKS };

static const struct {
	const char *name;
	void (*attack)(void);
	enum verdict verdict;
} classes[] = {
	{ "self_loop", self_loop, BREAKS },
	{ "two_cycle", two_cycle, BREAKS },
	{ "cycle_in_table", cycle_in_table, BREAKS },
	{ "head_is_size", head_is_size, BREAKS },
	{ "head_ffff", head_ffff, BREAKS },
	{ "next_is_size", next_is_size, BREAKS },
	{ "table_empty", table_empty, BREAKS },
	{ "table_odd", table_odd, BREAKS },
	{ "table_too_long", table_too_long, ANY },
	{ "table_nested", table_nested, BREAKS },
	{ "table_and_next", table_and_next, BREAKS },
	{ "table_past_ram", table_past_ram, BREAKS },
	{ "data_wraps", data_wraps, BREAKS },
	{ "data_past_ram", data_past_ram, BREAKS },
	{ "data_in_hole", data_in_hole, BREAKS },
	{ "data_at_device", data_at_device, BREAKS },
	{ "data_empty", data_empty, ANY },
	{ "data_huge", data_huge, BREAKS },
	{ "head_empty", head_empty, ANY },
	{ "status_empty", status_empty, ANY },
	{ "sum_huge", sum_huge, BREAKS },
	{ "all_of_one_byte", all_of_one_byte, ANY },
	{ "write_before_read", write_before_read, BREAKS },
	{ "status_readable", status_readable, BREAKS },
	{ "status_missing", status_missing, BREAKS },
	{ "head_in_three", head_in_three, ANY },
	{ "idx_jumps", idx_jumps, BREAKS },
	{ "idx_back", idx_back, BREAKS },
	{ "head_twice", head_twice, ANY },
	{ "size_0", size_0, ANY },
	{ "size_3", size_3, ANY },
	{ "size_65535", size_65535, ANY },
	{ "desc_in_hole", desc_in_hole, ANY },
	{ "avail_in_hole", avail_in_hole, ANY },
	{ "used_in_hole", used_in_hole, ANY },
	{ "rings_past_ram", rings_past_ram, ANY },
	{ "rings_wrap", rings_wrap, ANY },
	{ "rings_odd", rings_odd, ANY },
	{ "size_running", size_running, ANY },
	{ "place_running", place_running, ANY },
	{ "ready_running", ready_running, ANY },
	{ "features_running", features_running, ANY },
	{ "no_features_ok", no_features_ok, ANY },
	{ "no_queue", no_queue, ANY },
	{ "reset_in_flight", reset_in_flight, ANY },
};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static uint64_t missed;

static bool try_class(unsigned i)
{
	/* What must break may be served first, in part. */
	bool must_break = classes[i].verdict == BREAKS, broken, back;
	unsigned used;

	status = BLK_S_NONE;
	classes[i].attack();
	broken = (evil_settle(&disk, must_break ? ~0u : 1) &
		  VIRTIO_S_NEEDS_RESET) != 0;
	used = evil_used(&disk);
	missed += must_break && !broken;
	back = evil_recover(&disk);
	line_begin();
	line_u64("class", i + 1);
	line_u64("needs_reset", broken);
	line_u64("recovered", back);
	line_u64("used", used);
	line_u64("status", status);
	line_text("name", classes[i].name);
	line_end();
	return back;
}

static uint64_t run(void *dev)
{
	uint64_t class = arg_u64("class", 0);
	unsigned i;

	if (class > CLASSES)
		return 3;
	evil_begin(&disk, dev);
	for (i = 0; i < CLASSES; i++)
		if ((class == 0 || class == i + 1) && !try_class(i))
			return 1;
	fact_u64("missed", missed);
	return missed > 0 && arg_u64("strict", 0) ? 2 : 0;
}

void guest_main(void)
{
	virtio_tick(EVIL_TICK_NS);
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
