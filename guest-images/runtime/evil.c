/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks on a block device and the way back. CPL3, one CPU; the ticks of
 * virtio_tick() bound every wait.
 */
#include "guest-images/runtime/evil.h"

#define SETTLE_TICKS 30
#define QUEUE_SIZE   64

static uint64_t sector0[BLK_SECTOR / 8], again[BLK_SECTOR / 8];
static struct blk_request request;

static void load_sector0(struct blk *b, uint64_t *to)
{
	if (!blk_submit(b, &request, BLK_IN, 0, to, BLK_SECTOR))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(&b->q);
}

void evil_begin(struct blk *b, struct virtio_dev *d)
{
	blk_start(b, d, QUEUE_SIZE);
	load_sector0(b, sector0);
	blk_wait(b);
	blk_start(b, d, QUEUE_SIZE);
}

unsigned evil_used(const struct blk *b)
{
	return b->q.used[VIRTQ_AVAIL_IDX];
}

uint32_t evil_settle(struct blk *b, unsigned used)
{
	uint32_t status = 0;
	unsigned i;

	for (i = 0; i < SETTLE_TICKS; i++) {
		status = virtio_read(b->dev, VIRTIO_STATUS);
		if ((status & VIRTIO_S_NEEDS_RESET) || evil_used(b) >= used)
			break;
		sys_call(SYS_WAIT, 0, 0);
	}
	return status;
}

bool evil_recover(struct blk *b)
{
	unsigned i, differences = 0;

	blk_start(b, b->dev, QUEUE_SIZE);
	for (i = 0; i < BLK_SECTOR / 8; i++)
		again[i] = ~sector0[i];
	load_sector0(b, again);
	for (i = 0; i < SETTLE_TICKS && evil_used(b) == 0; i++)
		evil_settle(b, 1);
	for (i = 0; i < BLK_SECTOR / 8; i++)
		differences += again[i] != sector0[i];
	if (evil_used(b) != 1 || request.status != BLK_S_OK || differences)
		return false;
	blk_start(b, b->dev, QUEUE_SIZE);
	return true;
}

void evil_desc(struct blk *b, unsigned i, const void *addr, uint32_t len,
	       uint16_t flags, uint16_t next)
{
	b->q.desc[i].addr = (uint64_t)addr;
	b->q.desc[i].len = len;
	b->q.desc[i].flags = flags;
	b->q.desc[i].next = next;
}

void evil_offer(struct blk *b, uint16_t head)
{
	struct virtq *q = &b->q;

	q->avail[VIRTQ_AVAIL_RING + q->added % q->size] = head;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	q->avail[VIRTQ_AVAIL_IDX] = ++q->added;
}

void evil_notify(struct blk *b)
{
	virtio_fence();
	virtio_write(b->dev, VIRTIO_QUEUE_NOTIFY, b->q.index);
}
