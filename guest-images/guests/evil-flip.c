/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evil-flip: a second CPU (or, with one CPU, this one) keeps changing
 * descriptors, an indirect table and avail.idx, and puts them right again,
 * while the device works on a block device's read requests. Addresses only
 * turn into ones outside RAM, but lengths, flags and links turn into anything:
 * requests may become writes to the first sectors. count=N rounds (default
 * 500) of eight requests, seed=N (1). Prints the rounds in which the device
 * broke. FAIL 1: a reset did not bring it back.
 */
#include "guest-images/runtime/evil.h"

#define REQUESTS    8
#define PIECE	    4096
#define FLIPS_ALONE 64
#define PAUSES	    8
#define ROOM	    (1 << 20)

static struct blk disk;
static struct virtq_desc table[3] __attribute__((aligned(16)));
/*
 * Each with room behind it, so that longer reads harm nothing: also a status
 * may be given up to 64 KiB, and gets them when that makes whole sectors.
 */
static uint8_t *data, *status;
static struct blk_head *heads;
static uint64_t random_state, flips;
static bool alone; /* there is no other CPU */
static volatile bool flipping, in_flip, stop;

static void hold(void)
{
	unsigned i;

	for (i = 0; i < PAUSES; i++)
		__asm__ volatile("pause" : : : "memory");
}

static void flip_desc(volatile struct virtq_desc *d, uint64_t r)
{
	struct virtq_desc was = { d->addr, d->len, d->flags, d->next };

	switch (r & 3) {
	case 0:
		d->addr = r & 4 ? UINT64_MAX - (r >> 56) : 0xd8000000;
		break;
	case 1:
		d->len = r & 4 ? UINT32_MAX : (uint32_t)(r >> 48);
		break;
	case 2:
		d->flags = (uint16_t)(was.flags ^ (1u << (r >> 8 & 3)));
		break;
	default:
		d->next = (uint16_t)(r & 4 ? r >> 48 : r >> 8 & 31);
		break;
	}
	hold();
	d->addr = was.addr;
	d->len = was.len;
	d->flags = was.flags;
	d->next = was.next;
}

static void flip_idx(uint64_t r)
{
	uint16_t was = disk.q.avail[VIRTQ_AVAIL_IDX];

	disk.q.avail[VIRTQ_AVAIL_IDX] = (uint16_t)(was + (r >> 16));
	hold();
	disk.q.avail[VIRTQ_AVAIL_IDX] = was;
}

static void flip_once(void)
{
	uint64_t r = virtio_mix(random_state++);

	if (r >> 32 & 7)
		flip_desc(&disk.q.desc[r >> 40 & 31], r);
	else if (r >> 35 & 1)
		flip_desc(&table[r >> 40 & 1], r);
	else
		flip_idx(r);
	flips++;
}

/* The other CPU; it changes nothing while `flipping` is off. */
static uint64_t flip_for_ever(void *unused)
{
	(void)unused;
	while (!stop) {
		in_flip = true;
		virtio_fence();
		if (flipping)
			flip_once();
		in_flip = false;
		hold();
	}
	return 0;
}

static void second_cpu(unsigned index)
{
	if (index == 1)
		user_call(flip_for_ever, NULL);
}

static void offer_all(void)
{
	unsigned i;

	table[0] = (struct virtq_desc){ (uint64_t)&heads[0], sizeof(heads[0]),
					VIRTQ_F_NEXT, 1 };
	table[1] = (struct virtq_desc){ (uint64_t)data, PIECE,
					VIRTQ_F_NEXT | VIRTQ_F_WRITE, 2 };
	table[2] = (struct virtq_desc){ (uint64_t)&status[0], 1, VIRTQ_F_WRITE,
					0 };
	evil_desc(&disk, 0, table, sizeof(table), VIRTQ_F_INDIRECT, 0);
	for (i = 1; i < REQUESTS; i++) {
		unsigned at = i * 3;

		evil_desc(&disk, at, &heads[i], sizeof(heads[i]), VIRTQ_F_NEXT,
			  (uint16_t)(at + 1));
		evil_desc(&disk, at + 1, data + i * PIECE, PIECE,
			  VIRTQ_F_NEXT | VIRTQ_F_WRITE, (uint16_t)(at + 2));
		evil_desc(&disk, at + 2, &status[i], 1, VIRTQ_F_WRITE, 0);
	}
	for (i = 0; i < REQUESTS; i++)
		evil_offer(&disk, (uint16_t)(i * 3));
}

static bool round(void)
{
	unsigned i;

	for (i = 0; i < REQUESTS; i++)
		heads[i] = (struct blk_head){ .type = BLK_IN, .sector = i };
	offer_all();
	flipping = true;
	evil_notify(&disk);
	for (i = 0; alone && i < FLIPS_ALONE; i++)
		flip_once();
	evil_settle(&disk, REQUESTS);
	flipping = false;
	virtio_fence();
	while (in_flip && !alone)
		hold();
	return (virtio_read(disk.dev, VIRTIO_STATUS) & VIRTIO_S_NEEDS_RESET);
}

static uint64_t run(void *dev)
{
	uint64_t count = arg_u64("count", 500);
	uint64_t broken = 0, i;

	data = virtio_alloc(ROOM, 0x1000);
	status = virtio_alloc(ROOM, 0x1000);
	heads = virtio_alloc(ROOM, 0x1000);
	evil_begin(&disk, dev);
	for (i = 0; i < count; i++) {
		broken += round();
		if (!evil_recover(&disk))
			return 1;
	}
	stop = true;
	line_begin();
	line_u64("rounds", count);
	line_u64("broken", broken);
	line_u64("flips", flips);
	line_end();
	return 0;
}

void guest_main(void)
{
	unsigned cpus;

	random_state = arg_u64("seed", 1) << 32;
	cpus = smp_start(second_cpu);
	alone = cpus < 2;
	fact_u64("cpus", cpus);
	virtio_tick(EVIL_TICK_NS);
	virtio_guest(VIRTIO_ID_BLK, run);
}

GUEST_PVH;
