/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk-info: what a block device says of itself: sectors, features (offered),
 * block size, limits, serial, and in which widths (their sum, 15 is all) the
 * capacity reads alike. FAIL 1: the serial can't be had.
 */
#include "guest-images/runtime/blk.h"

#define SERIAL_BYTES 20

static struct blk disk;
static char serial[SERIAL_BYTES + 1];

/* The capacity once more, put together from pieces of that width. */
static uint64_t capacity_by(const struct virtio_dev *d, unsigned width)
{
	uint64_t value = 0;
	unsigned at;

	for (at = 0; at < 8; at += width)
		value |= virtio_config(d, BLK_CONFIG_CAPACITY + at, width)
			 << at * 8;
	return value;
}

static void print_limit(unsigned feature, const char *key, unsigned at)
{
	if (virtio_has(disk.dev, feature))
		fact_u64(key, virtio_config(disk.dev, at, 4));
}

static void print_limits(void)
{
	print_limit(BLK_F_BLK_SIZE, "blk_size", BLK_CONFIG_BLK_SIZE);
	print_limit(BLK_F_SEG_MAX, "seg_max", BLK_CONFIG_SEG_MAX);
	print_limit(BLK_F_SIZE_MAX, "size_max", BLK_CONFIG_SIZE_MAX);
	print_limit(BLK_F_DISCARD, "discard_max", BLK_CONFIG_DISCARD_MAX);
	print_limit(BLK_F_DISCARD, "discard_segs", BLK_CONFIG_DISCARD_SEGS);
	print_limit(BLK_F_WRITE_ZEROES, "zeroes_max", BLK_CONFIG_ZEROES_MAX);
	print_limit(BLK_F_WRITE_ZEROES, "zeroes_segs", BLK_CONFIG_ZEROES_SEGS);
}

static uint64_t run(void *dev)
{
	unsigned width, widths = 0;

	blk_start(&disk, dev, 16);
	fact_u64("slot", disk.dev->slot);
	fact_u64("sectors", disk.sectors);
	fact_hex("features", disk.dev->offered);
	fact_u64("queue_max", disk.q.size_max);
	fact_u64("readonly", virtio_has(disk.dev, BLK_F_RO));
	print_limits();
	for (width = 1; width <= 8; width *= 2)
		if (capacity_by(disk.dev, width) == disk.sectors)
			widths += width;
	fact_u64("widths", widths);
	if (blk_do(&disk, BLK_GET_ID, 0, serial, SERIAL_BYTES) != BLK_S_OK)
		return 1;
	fact_text("serial", serial);
	return 0;
}

void guest_main(void)
{
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
