/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk-rw: block n of the disk, counted from 1, gets the number n, a seed's
 * pattern and a checksum; every flush that the device acknowledged is printed
 * as flushed=N: blocks 1 to N must be there whatever happens. Then all are
 * read back. mode=verify only reads, after whatever happened.
 *
 * blocks=N (default 256), first=N (1), seed=N (1), sectors=N a block (8),
 * flush=N blocks between flushes (16), depth=N in flight (4), expect=N (0).
 * FAIL 1: a block up to expect (mode=write: any) is not there, FAIL 2: the
 * disk is too small, FAIL 3: the device refused a request.
 */
#include "guest-images/runtime/blk.h"

#define MAGIC	    0x3a6b6c62726562ull
#define SECTORS_MAX 128
#define DEPTH_MAX   32
#define HEAD_WORDS  4 /* magic, number, seed, checksum */

static struct {
	uint64_t blocks, first, seed, sectors, flush, depth, expect;
	uint64_t bytes, words;
	uint64_t highest, missing, torn, lost;
} job;

static struct blk disk;
static struct blk_request requests[DEPTH_MAX];
static uint64_t *buffers[DEPTH_MAX];
static bool busy[DEPTH_MAX];

static uint64_t checksum(const uint64_t *block)
{
	uint64_t sum = block[1] ^ block[2];
	uint64_t i;

	for (i = HEAD_WORDS; i < job.words; i++)
		sum = (sum << 1 | sum >> 63) + block[i];
	return sum;
}

static void fill(uint64_t *block, uint64_t number)
{
	uint64_t value = virtio_mix(job.seed + virtio_mix(number));
	uint64_t i;

	block[0] = MAGIC;
	block[1] = number;
	block[2] = job.seed;
	for (i = HEAD_WORDS; i < job.words; i++, value += MAGIC)
		block[i] = value;
	block[3] = checksum(block);
}

static bool is_whole(const uint64_t *block, uint64_t number)
{
	return block[0] == MAGIC && block[1] == number &&
	       block[2] == job.seed && block[3] == checksum(block) &&
	       (job.words == HEAD_WORDS ||
		block[HEAD_WORDS] == virtio_mix(job.seed + virtio_mix(number)));
}

static bool is_empty(const uint64_t *block)
{
	uint64_t all = 0, i;

	for (i = 0; i < job.words; i++)
		all |= block[i];
	return all == 0;
}

/* Torn: neither what belongs there nor zeros. */
static void judge(const uint64_t *block, uint64_t number)
{
	if (is_whole(block, number)) {
		if (number > job.highest)
			job.highest = number;
		return;
	}
	if (is_empty(block))
		job.missing++;
	else
		job.torn++;
	if (number <= job.expect)
		job.lost++;
}

static void finish(enum blk_type type, struct blk_request *r)
{
	uint64_t slot = (uint64_t)(r - requests);

	if (r->status != BLK_S_OK)
		guest_fail(3);
	if (type == BLK_IN)
		judge(buffers[slot], r->tag);
	busy[slot] = false;
}

static uint64_t free_slot(void)
{
	uint64_t slot;

	for (slot = 0; slot < job.depth; slot++)
		if (!busy[slot])
			break;
	return slot;
}

static void start(enum blk_type type, uint64_t number, uint64_t slot)
{
	busy[slot] = true;
	requests[slot].tag = number;
	if (type == BLK_OUT)
		fill(buffers[slot], number);
	if (!blk_submit(&disk, &requests[slot], type,
			(number - 1) * job.sectors, buffers[slot],
			(uint32_t)job.bytes))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(&disk.q);
}

/* Reads or writes blocks from..to with depth requests in flight. */
static void pass(enum blk_type type, uint64_t from, uint64_t to)
{
	uint64_t in_flight = 0;

	while (from <= to || in_flight > 0) {
		if (from <= to && in_flight < job.depth) {
			start(type, from++, free_slot());
			in_flight++;
			continue;
		}
		finish(type, blk_wait(&disk));
		in_flight--;
	}
}

static void write_all(void)
{
	uint64_t from = job.first, to;

	while (from <= job.blocks) {
		to = from + job.flush - 1;
		if (to > job.blocks)
			to = job.blocks;
		pass(BLK_OUT, from, to);
		if (virtio_has(disk.dev, BLK_F_FLUSH) &&
		    blk_do(&disk, BLK_FLUSH, 0, NULL, 0) != BLK_S_OK)
			guest_fail(3);
		fact_u64("flushed", to);
		from = to + 1;
	}
	job.expect = job.blocks;
}

static uint64_t run(void *dev)
{
	uint64_t i;

	blk_start(&disk, dev, 256);
	if (job.blocks > disk.sectors / job.sectors)
		return 2;
	for (i = 0; i < job.depth; i++)
		buffers[i] = virtio_alloc(job.bytes, 0x1000);
	if (!arg_is("mode", "verify"))
		write_all();
	pass(BLK_IN, 1, job.blocks);
	line_begin();
	line_u64("highest", job.highest);
	line_u64("missing", job.missing);
	line_u64("torn", job.torn);
	line_u64("lost", job.lost);
	line_end();
	return job.lost > 0;
}

static uint64_t arg_between(const char *key, uint64_t fallback, uint64_t most)
{
	uint64_t value = arg_u64(key, fallback);

	if (value == 0 || value > most)
		guest_fail(FAIL_BAD_NUMBER);
	return value;
}

void guest_main(void)
{
	job.blocks = arg_u64("blocks", 256);
	job.first = arg_between("first", 1, UINT32_MAX);
	job.seed = arg_u64("seed", 1);
	job.sectors = arg_between("sectors", 8, SECTORS_MAX);
	job.flush = arg_between("flush", 16, UINT32_MAX);
	job.depth = arg_between("depth", 4, DEPTH_MAX);
	job.expect = arg_u64("expect", 0);
	job.bytes = job.sectors * BLK_SECTOR;
	job.words = job.bytes / 8;
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
