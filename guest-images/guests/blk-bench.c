/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk-bench: how fast a disk is. Keeps depth=N (default 32) requests of
 * bytes=N (4096) in flight, op=read, write, flush or sync (read), in order or
 * at random=1 places of the first span_mib=N (all), for seconds=N (1) or
 * count=N requests; op=sync: each is a write and, when that is done, a flush.
 * Prints how many were done in how many nanoseconds, with how many
 * notifications and interrupts. seed=N for the places. then=idle: stays, and
 * does nothing any more.
 * FAIL 1: a request failed, FAIL 2: the numbers don't fit the disk.
 */
#include "guest-images/runtime/blk.h"

#define DEPTH_MAX  256
#define SECOND_NS  1000000000u
#define DATA_ALIGN 0x200000u /* where a host may have huge pages */

static struct {
	uint64_t depth, bytes, seconds, count, places, place, random, seed;
	enum blk_type type;
	bool sync;
	uint64_t done, failed, ns;
} job;

static struct blk disk;
static struct blk_request requests[DEPTH_MAX];
static uint8_t *data;

static uint64_t next_sector(void)
{
	uint64_t place = job.place++;

	if (job.random)
		place = virtio_mix(job.seed + place);
	return place % job.places * (job.bytes / BLK_SECTOR);
}

static void start(struct blk_request *r)
{
	uint8_t *at = data + (uint64_t)(r - requests) * job.bytes;
	bool flush = job.type == BLK_FLUSH;

	if (!blk_submit(&disk, r, job.type, flush ? 0 : next_sector(), at,
			flush ? 0 : (uint32_t)job.bytes))
		guest_fail(FAIL_NO_QUEUE);
}

/* The second half of a sync; false: r is done. */
static bool goes_on(struct blk_request *r)
{
	if (!job.sync || r->head.type == BLK_FLUSH || r->status != BLK_S_OK)
		return false;
	if (!blk_submit(&disk, r, BLK_FLUSH, 0, NULL, 0))
		guest_fail(FAIL_NO_QUEUE);
	return true;
}

static bool more(uint64_t started, uint64_t start_ns)
{
	if (job.count)
		return started < job.count;
	return clock_ns() - start_ns < job.seconds * SECOND_NS;
}

/* One waited for, then all that are done as well; one notification for all. */
static void measure(void)
{
	uint64_t started, start_ns = clock_ns();
	void *token;

	for (started = 0; started < job.depth; started++)
		start(&requests[started]);
	virtq_kick(&disk.q);
	while (job.done < started) {
		token = virtq_wait(&disk.q, NULL);
		do {
			struct blk_request *r = token;

			if (goes_on(r))
				continue;
			job.done++;
			job.failed += r->status != BLK_S_OK;
			if (more(started, start_ns)) {
				start(r);
				started++;
			}
		} while (virtq_take(&disk.q, &token, NULL));
		virtq_kick(&disk.q);
	}
	job.ns = clock_ns() - start_ns;
}

static void plan_places(void)
{
	uint64_t bytes = disk.sectors * BLK_SECTOR;
	uint64_t span = arg_u64("span_mib", 0) << 20;

	if (span == 0 || span > bytes)
		span = bytes;
	job.places = job.bytes ? span / job.bytes : 0;
	if (job.places == 0 || job.bytes % BLK_SECTOR || job.depth == 0 ||
	    job.depth > DEPTH_MAX || (job.count && job.count < job.depth))
		guest_fail(2);
}

static uint64_t run(void *dev)
{
	blk_start(&disk, dev, VIRTQ_MAX);
	plan_places();
	data = virtio_alloc(job.depth * job.bytes, DATA_ALIGN);
	for (uint64_t i = 0; i < job.depth * job.bytes / 8; i++)
		((uint64_t *)data)[i] = virtio_mix(i + 1);
	measure();
	line_begin();
	line_u64("operations", job.done);
	line_u64("ns", job.ns);
	line_u64("failed", job.failed);
	line_u64("notifies", disk.q.notifies);
	line_u64("interrupts", disk.dev->interrupts);
	line_end();
	if (arg_is("then", "idle"))
		for (;;)
			virtio_wait(disk.dev, disk.dev->interrupts);
	return job.failed > 0;
}

void guest_main(void)
{
	job.depth = arg_u64("depth", 32);
	job.bytes = arg_u64("bytes", 4096);
	job.seconds = arg_u64("seconds", 1);
	job.count = arg_u64("count", 0);
	job.random = arg_u64("random", 0);
	job.seed = arg_u64("seed", 1);
	job.type = BLK_IN;
	job.sync = arg_is("op", "sync");
	if (job.sync || arg_is("op", "write"))
		job.type = BLK_OUT;
	if (arg_is("op", "flush"))
		job.type = BLK_FLUSH;
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
