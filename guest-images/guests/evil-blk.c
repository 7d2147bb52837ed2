/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evil-blk: requests that a block device must refuse (VIRTIO 1.2, 5.2.6), and
 * a few odd ones it must serve, in well-formed chains. Prints each one's status
 * byte (255: none came) and whether the device needs a reset; it is reset
 * then. The disk must have 64 sectors. `unexpected` counts the answers that
 * the table below doesn't allow; strict=1: that is FAIL 2. FAIL 1: the device
 * did not come back, FAIL 3: a request that must fail was served.
 */
#include "guest-images/runtime/evil.h"

#define DATA	      8192
#define SEGMENTS      256
#define NO_RANGE      UINT32_MAX
#define TYPE_SCSI     2
#define TYPE_LIFETIME 10
#define TYPE_ERASE    14
#define END	      (1ull << 63) /* sector: from the disk's end on */

/* What may come: bits by status byte. */
#define OK     (1u << BLK_S_OK)
#define IOERR  (1u << BLK_S_IOERR)
#define UNSUPP (1u << BLK_S_UNSUPP)
#define BAD    (IOERR | UNSUPP)
#define ANY    (OK | BAD)

/* Data is taken as ranges when `ranges` is not 0. */
struct attack {
	const char *name;
	uint32_t type;
	uint64_t sector; /* END + n: capacity + n */
	uint32_t bytes;
	uint32_t ranges, flags;
	uint32_t sectors; /* of each range */
	unsigned allowed;
};

#define D BLK_DISCARD
#define Z BLK_WRITE_ZEROES

static const struct attack attacks[] = {
	{ "read_last_u64", BLK_IN, UINT64_MAX, 512, 0, 0, 0, IOERR },
	{ "read_wraps", BLK_IN, 1ull << 55, 512, 0, 0, 0, IOERR },
	{ "read_end", BLK_IN, END, 512, 0, 0, 0, IOERR },
	{ "read_over_end", BLK_IN, END - 1, 1024, 0, 0, 0, IOERR },
	{ "read_100", BLK_IN, 0, 100, 0, 0, 0, BAD },
	{ "read_513", BLK_IN, 0, 513, 0, 0, 0, BAD },
	{ "read_nothing", BLK_IN, 0, 0, 0, 0, 0, ANY },
	{ "write_last_u64", BLK_OUT, UINT64_MAX, 512, 0, 0, 0, IOERR },
	{ "write_end", BLK_OUT, END, 512, 0, 0, 0, IOERR },
	{ "write_over_end", BLK_OUT, END - 1, 1024, 0, 0, 0, IOERR },
	{ "write_100", BLK_OUT, 32, 100, 0, 0, 0, BAD },
	{ "write_nothing", BLK_OUT, 32, 0, 0, 0, 0, ANY },
	{ "flush_sector", BLK_FLUSH, END, 0, 0, 0, 0, ANY },
	{ "flush_data", BLK_FLUSH, 0, 512, 0, 0, 0, ANY },
	{ "id_short", BLK_GET_ID, 0, 7, 0, 0, 0, ANY },
	{ "id_nothing", BLK_GET_ID, 0, 0, 0, 0, 0, ANY },
	{ "id_long", BLK_GET_ID, 0, DATA, 0, 0, 0, ANY },
	{ "type_scsi", TYPE_SCSI, 0, 512, 0, 0, 0, BAD },
	{ "type_lifetime", TYPE_LIFETIME, 0, 512, 0, 0, 0, BAD },
	{ "type_erase", TYPE_ERASE, 0, 0, 1, 0, 8, BAD },
	{ "type_77", 77, 0, 512, 0, 0, 0, UNSUPP },
	{ "type_max", UINT32_MAX, 0, 512, 0, 0, 0, UNSUPP },
	{ "discard_nothing", D, 0, 0, 0, 0, 0, BAD },
	{ "discard_8_bytes", D, 0, 8, NO_RANGE, 0, 8, BAD },
	{ "discard_many", D, 32, 0, SEGMENTS, 0, 1, ANY },
	{ "discard_flag", D, 32, 0, 1, 0x80, 8, UNSUPP },
	{ "discard_unmap", D, 32, 0, 1, 1, 8, UNSUPP },
	{ "discard_end", D, END, 0, 1, 0, 8, BAD },
	{ "discard_over_end", D, END - 4, 0, 1, 0, 8, BAD },
	{ "discard_wraps", D, UINT64_MAX - 3, 0, 1, 0, 8, BAD },
	{ "discard_long", D, 32, 0, 1, 0, UINT32_MAX, BAD },
	{ "discard_0", D, 32, 0, 1, 0, 0, ANY },
	{ "zeroes_nothing", Z, 0, 0, 0, 0, 0, BAD },
	{ "zeroes_8_bytes", Z, 0, 8, NO_RANGE, 0, 8, BAD },
	{ "zeroes_many", Z, 32, 0, SEGMENTS, 0, 1, ANY },
	{ "zeroes_flag", Z, 32, 0, 1, 0x80, 8, UNSUPP },
	{ "zeroes_unmap", Z, 32, 0, 1, 1, 8, ANY },
	{ "zeroes_end", Z, END, 0, 1, 0, 8, BAD },
	{ "zeroes_over_end", Z, END - 4, 0, 1, 0, 8, BAD },
	{ "zeroes_wraps", Z, UINT64_MAX - 3, 0, 1, 0, 8, BAD },
	{ "zeroes_long", Z, 32, 0, 1, 0, UINT32_MAX, BAD },
	{ "zeroes_0", Z, 32, 0, 1, 0, 0, ANY },
};

static struct blk disk;
static struct blk_request request;
static uint8_t data[DATA];
static struct blk_range ranges[SEGMENTS];
static uint64_t unexpected;

static uint64_t real_sector(uint64_t sector)
{
	if (sector >= END - 8 && sector < END + 8)
		return disk.sectors + (sector - END);
	return sector;
}

static struct virtio_buf fill_ranges(const struct attack *a)
{
	uint32_t n = a->ranges == NO_RANGE ? 1 : a->ranges;
	uint32_t i;

	for (i = 0; i < n; i++)
		ranges[i] = (struct blk_range){ real_sector(a->sector),
						a->sectors, a->flags };
	return (struct virtio_buf){ ranges,
				    a->ranges == NO_RANGE
					    ? a->bytes
					    : n * (uint32_t)sizeof(ranges[0]) };
}

/* The device refuses writes, or knows no such request: another refusal. */
static unsigned allowed(const struct attack *a)
{
	bool unknown =
		(a->type == D && !virtio_has(disk.dev, BLK_F_DISCARD)) ||
		(a->type == Z && !virtio_has(disk.dev, BLK_F_WRITE_ZEROES)) ||
		(a->type == BLK_FLUSH && !virtio_has(disk.dev, BLK_F_FLUSH));

	return unknown || virtio_has(disk.dev, BLK_F_RO) ? a->allowed | BAD
							 : a->allowed;
}

static void print_answer(unsigned i, bool broken)
{
	line_begin();
	line_u64("case", i + 1);
	line_u64("status", request.status);
	line_u64("needs_reset", broken);
	line_text("name", attacks[i].name);
	line_end();
}

static uint64_t try_attack(unsigned i)
{
	const struct attack *a = &attacks[i];
	struct virtio_buf piece = { data, a->bytes };
	bool broken;

	if (a->ranges)
		piece = fill_ranges(a);
	if (!blk_submit_pieces(&disk, &request, (enum blk_type)a->type,
			       a->ranges ? 0 : real_sector(a->sector), &piece,
			       piece.bytes ? 1 : 0))
		return FAIL_NO_QUEUE;
	virtq_kick(&disk.q);
	broken = (evil_settle(&disk, 1) & VIRTIO_S_NEEDS_RESET) != 0;
	print_answer(i, broken);
	if (request.status == BLK_S_OK && !(a->allowed & OK))
		return 3;
	if (request.status > BLK_S_UNSUPP ||
	    !(allowed(a) >> request.status & 1))
		unexpected++;
	return evil_recover(&disk) ? 0 : 1;
}

static uint64_t run(void *dev)
{
	uint64_t failed = 0;
	unsigned i;

	evil_begin(&disk, dev);
	for (i = 0; i < sizeof(attacks) / sizeof(attacks[0]) && !failed; i++)
		failed = try_attack(i);
	fact_u64("unexpected", unexpected);
	if (failed)
		return failed;
	return unexpected > 0 && arg_u64("strict", 0) ? 2 : 0;
}

void guest_main(void)
{
	virtio_tick(EVIL_TICK_NS);
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
