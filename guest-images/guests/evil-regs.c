/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evil-regs: reads and writes every byte offset of a block device's registers
 * in widths of 1, 2, 4 and 8 bytes, aligned or not, also across the slot's
 * end; selects queue 0xffff and sets it up; notifies queues that are not
 * there; then count=N (default 10000) random accesses, seed=N (1). After each
 * part the device must read sector 0. Prints how many accesses there were.
 * FAIL 1: the device did not come back, FAIL 2: an odd read of the status
 * register gave something else than all ones or zero (strict=1 only).
 */
#include "guest-images/runtime/evil.h"
#include "guest-images/runtime/mmio.h"

#define SWEEP_BYTES 0x180
#define SLOT_BYTES  0x200 /* the smaller one of amber's and QEMU's */

static struct blk disk;
static uint64_t reads, writes, odd, odd_values, random_state;

static uint64_t read_at(uint64_t at, unsigned width)
{
	reads++;
	return mmio_read(disk.dev->base + at, width);
}

static void write_at(uint64_t at, unsigned width, uint64_t value)
{
	writes++;
	mmio_write(disk.dev->base + at, width, value);
}

/* Registers are 32 bits wide: others widths read all ones, or zero. */
static void read_all(void)
{
	uint64_t at;
	unsigned width;

	for (at = 0; at < SWEEP_BYTES; at++)
		for (width = 1; width <= 8; width *= 2) {
			uint64_t value = read_at(at, width);

			if (at >= VIRTIO_CONFIG || (width == 4 && at % 4 == 0))
				continue;
			odd++;
			odd_values += value != 0 && value != mmio_ones(width);
		}
}

static void write_all(uint64_t value)
{
	uint64_t at;
	unsigned width;

	for (at = 0; at < SWEEP_BYTES; at++)
		for (width = 1; width <= 8; width *= 2)
			write_at(at, width, value);
}

/* Every write on a running device, so that the one before harms nothing. */
static void write_each(uint64_t value)
{
	uint64_t at;

	for (at = 0; at < VIRTIO_CONFIG; at += 4) {
		blk_start(&disk, disk.dev, 16);
		write_at(at, 4, value);
		write_at(VIRTIO_QUEUE_NOTIFY, 4, 0);
	}
}

static void slot_end(void)
{
	uint64_t at;
	unsigned width;

	for (at = SLOT_BYTES - 8; at < SLOT_BYTES; at++)
		for (width = 1; width <= 8; width *= 2) {
			read_at(at, width);
			if (at + width <= SLOT_BYTES)
				write_at(at, width, UINT64_MAX);
		}
}

static void odd_queues(void)
{
	static const uint32_t queues[] = {
		1, 2, 64, 0xffff, 0x10000, UINT32_MAX
	};
	unsigned i;

	for (i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		write_at(VIRTIO_QUEUE_SEL, 4, queues[i]);
		read_at(VIRTIO_QUEUE_SIZE_MAX, 4);
		write_at(VIRTIO_QUEUE_SIZE, 4, 8);
		write_at(VIRTIO_QUEUE_DESC, 4, 0x1000);
		write_at(VIRTIO_QUEUE_DRIVER, 4, 0x2000);
		write_at(VIRTIO_QUEUE_DEVICE, 4, 0x3000);
		write_at(VIRTIO_QUEUE_READY, 4, 1);
		read_at(VIRTIO_QUEUE_READY, 4);
		write_at(VIRTIO_QUEUE_NOTIFY, 4, queues[i]);
	}
}

static void any(uint64_t count)
{
	while (count-- > 0) {
		uint64_t r = virtio_mix(random_state++);
		uint64_t at = r % SWEEP_BYTES;
		unsigned width = 1u << (r >> 16 & 3);

		/* Rings made of random memory would be the guest's own. */
		if (at >= VIRTIO_QUEUE_DESC - 7 &&
		    at < VIRTIO_CONFIG_GENERATION)
			at = r >> 20 & 0x7f;
		if (r >> 40 & 1)
			write_at(at, width, virtio_mix(r));
		else
			read_at(at, width);
	}
}

static uint64_t run(void *dev)
{
	uint64_t count = arg_u64("count", 10000);
	unsigned bits;

	evil_begin(&disk, dev);
	read_all();
	if (!evil_recover(&disk))
		return 1;
	for (bits = 0; bits <= 64; bits += 8) {
		write_all(bits ? UINT64_MAX >> (64 - bits) : 0);
		if (!evil_recover(&disk))
			return 1;
	}
	write_each(UINT32_MAX);
	write_each(0xffff);
	slot_end();
	odd_queues();
	if (!evil_recover(&disk))
		return 1;
	any(count);
	if (!evil_recover(&disk))
		return 1;
	line_begin();
	line_u64("reads", reads);
	line_u64("writes", writes);
	line_u64("odd_reads", odd);
	line_u64("odd_values", odd_values);
	line_end();
	return odd_values > 0 && arg_u64("strict", 0) ? 2 : 0;
}

void guest_main(void)
{
	random_state = arg_u64("seed", 1) << 32;
	virtio_tick(EVIL_TICK_NS);
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
