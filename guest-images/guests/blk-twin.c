/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk-twin: seeded random reads, writes, discards, write-zeroes and flushes
 * of the first sectors of one or more disks and of a model in memory; every
 * read must give what the model says, and at the end all of it. A discarded
 * sector may hold anything until it is written. The data go in one to four
 * pieces.
 *
 * steps=N (default 1000, 0 = for ever), seed=N (1), sectors=N of each disk
 * (2048), disks=N (1). Prints steps= and bad= each 1000 steps. FAIL 1: a
 * difference, FAIL 2: the disk is too small, FAIL 3: the device refused a
 * request.
 */
#include "guest-images/runtime/blk.h"
#include "guest-images/runtime/memory.h"

#define MOST_SECTORS 64
#define MOST_PIECES  4
#define MOST_DISKS   8

static struct {
	uint64_t steps, sectors, random, bad;
	uint64_t reads, writes, discards, zeroes, flushes;
	uint8_t *model, *buffer;
	uint8_t *known; /* per sector: the model says what is there */
} twin;

static struct {
	struct virtio_dev *dev[MOST_DISKS];
	struct blk blk[MOST_DISKS];
	uint64_t count;
	unsigned now; /* the one that is used */
} disks;

static struct blk *disk(void)
{
	return &disks.blk[disks.now];
}

static uint64_t next_random(void)
{
	twin.random += 0x9e3779b97f4a7c15;
	return virtio_mix(twin.random);
}

static uint64_t below(uint64_t n)
{
	return next_random() % n;
}

/* Where the model has a sector of the disk that is used. */
static uint64_t place(uint64_t sector)
{
	return disks.now * twin.sectors + sector;
}

static void must(uint8_t status)
{
	if (status == BLK_S_OK)
		return;
	fact_u64("status", status);
	guest_fail(3);
}

/* Data of n sectors in up to four pieces of whole sectors. */
static void transfer(enum blk_type type, uint64_t sector, uint64_t n)
{
	struct virtio_buf pieces[MOST_PIECES];
	uint64_t most =
		disk()->seg_max < MOST_PIECES ? disk()->seg_max : MOST_PIECES;
	uint64_t at = 0, used = 0;

	while (at < n) {
		uint64_t part = used + 1 < most ? 1 + below(n - at) : n - at;

		pieces[used++] = (struct virtio_buf){
			twin.buffer + at * BLK_SECTOR,
			(uint32_t)(part * BLK_SECTOR),
		};
		at += part;
	}
	if (!blk_submit_pieces(disk(), &disk()->one, type, sector, pieces,
			       (unsigned)used))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(&disk()->q);
	blk_wait(disk());
	must(disk()->one.status);
}

static bool sector_differs(const uint8_t *a, const uint8_t *b)
{
	const uint64_t *x = (const uint64_t *)a;
	const uint64_t *y = (const uint64_t *)b;
	uint64_t differences = 0;
	unsigned i;

	for (i = 0; i < BLK_SECTOR / 8; i++)
		differences |= x[i] ^ y[i];
	return differences != 0;
}

static void check_read(uint64_t sector, uint64_t n)
{
	uint64_t i;

	memset(twin.buffer, 0xa5, n * BLK_SECTOR);
	transfer(BLK_IN, sector, n);
	for (i = 0; i < n; i++) {
		if (!twin.known[place(sector) + i] ||
		    !sector_differs(twin.buffer + i * BLK_SECTOR,
				    twin.model +
					    (place(sector) + i) * BLK_SECTOR))
			continue;
		if (twin.bad++ == 0)
			fact_u64("bad_sector", sector + i);
	}
	twin.reads++;
}

static void write(uint64_t sector, uint64_t n)
{
	uint64_t *word = (uint64_t *)twin.buffer;
	uint64_t value = next_random();
	uint64_t i;

	for (i = 0; i < n * BLK_SECTOR / 8; i++)
		word[i] = value += 0x9e3779b97f4a7c15;
	memcpy(twin.model + place(sector) * BLK_SECTOR, twin.buffer,
	       n * BLK_SECTOR);
	memset(twin.known + place(sector), 1, n);
	transfer(BLK_OUT, sector, n);
	twin.writes++;
}

static void discard(uint64_t sector, uint64_t n)
{
	memset(twin.known + place(sector), 0, n);
	must(blk_do(disk(), BLK_DISCARD, sector, NULL,
		    (uint32_t)(n * BLK_SECTOR)));
	twin.discards++;
}

static void write_zeroes(uint64_t sector, uint64_t n)
{
	memset(twin.model + place(sector) * BLK_SECTOR, 0, n * BLK_SECTOR);
	memset(twin.known + place(sector), 1, n);
	must(blk_do(disk(), BLK_WRITE_ZEROES, sector, NULL,
		    (uint32_t)(n * BLK_SECTOR)));
	twin.zeroes++;
}

static void step(void)
{
	uint64_t sector = below(twin.sectors);
	uint64_t n = 1 + below(MOST_SECTORS);
	uint64_t dice = below(16);

	if (disks.count > 1)
		disks.now = (unsigned)below(disks.count);
	if (n > twin.sectors - sector)
		n = twin.sectors - sector;
	if (dice == 0 && virtio_has(disk()->dev, BLK_F_FLUSH)) {
		must(blk_do(disk(), BLK_FLUSH, 0, NULL, 0));
		twin.flushes++;
	} else if (dice == 1 && virtio_has(disk()->dev, BLK_F_DISCARD)) {
		discard(sector, n);
	} else if (dice == 2 && virtio_has(disk()->dev, BLK_F_WRITE_ZEROES)) {
		write_zeroes(sector, n);
	} else if (dice < 9) {
		write(sector, n);
	} else {
		check_read(sector, n);
	}
}

static void print_progress(uint64_t steps)
{
	line_begin();
	line_u64("steps", steps);
	line_u64("bad", twin.bad);
	line_end();
}

static bool start(void)
{
	uint64_t all = disks.count * twin.sectors;

	for (disks.now = 0; disks.now < disks.count; disks.now++) {
		blk_start(disk(), disks.dev[disks.now], 64);
		if (twin.sectors == 0 || twin.sectors > disk()->sectors)
			return false;
	}
	disks.now = 0;
	twin.model = virtio_alloc(all * BLK_SECTOR, 0x1000);
	twin.known = virtio_alloc(all, 0x1000);
	twin.buffer = virtio_alloc(MOST_SECTORS * BLK_SECTOR, 0x1000);
	memset(twin.known, 0, all);
	return true;
}

static uint64_t run(void *dev)
{
	uint64_t i;

	disks.dev[0] = dev;
	if (!start())
		return 2;
	for (i = 1; twin.steps == 0 || i <= twin.steps; i++) {
		step();
		if (i % 1000 == 0 || i == twin.steps)
			print_progress(i);
	}
	for (disks.now = 0; disks.now < disks.count; disks.now++)
		for (i = 0; i + MOST_SECTORS <= twin.sectors; i += MOST_SECTORS)
			check_read(i, MOST_SECTORS);
	line_begin();
	line_u64("reads", twin.reads);
	line_u64("writes", twin.writes);
	line_u64("discards", twin.discards);
	line_u64("zeroes", twin.zeroes);
	line_u64("flushes", twin.flushes);
	line_u64("bad", twin.bad);
	line_end();
	return twin.bad > 0;
}

void guest_main(void)
{
	uint64_t i;

	twin.steps = arg_u64("steps", 1000);
	twin.random = arg_u64("seed", 1);
	twin.sectors = arg_u64("sectors", 2048);
	disks.count = arg_u64("disks", 1);
	if (disks.count < 1 || disks.count > MOST_DISKS)
		guest_fail(FAIL_BAD_NUMBER);
	for (i = 1; i < disks.count; i++)
		disks.dev[i] = virtio_open_next(VIRTIO_ID_BLK, i);
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
