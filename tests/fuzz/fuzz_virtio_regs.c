/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the registers of virtio devices: an entropy device, a balloon, a
 * console. The input is a list of accesses of any width, chains, kicks,
 * pauses and snapshots. Promises: nothing of a queue changes once the driver
 * is ready, a state that was reached loads again.
 */
#include "devices/vballoon.h"
#include "devices/vrng.h"
#include "tests/fuzz/fuzz_device.h"
#include "tests/unit/console_rig.h"

#define OPS_MAX 512

struct world {
	struct reader in;
	struct console_rig c; /* its rig and loop serve the others, too */
	struct vrng *rng;
	struct vballoon *balloon;
	struct virtio *v;
};

static void on_discard(void *ctx, void *host, uint64_t bytes)
{
	const struct rig *rig = ctx;
	uint8_t *p = host;

	must(bytes && bytes % 4096 == 0);
	must((p >= rig->ram && p + bytes <= rig->ram + RIG_RAM) ||
	     (p >= rig->high && p + bytes <= rig->high + RIG_HIGH_RAM));
}

static void world_init(struct world *w, uint8_t kind)
{
	struct vrng_config rc = { .bytes_per_s = 0 };
	struct vballoon_config bc = { .discard = on_discard };

	console_rig_init(&w->c);
	rc.virtio = bc.virtio = rig_config(&w->c.rig, "dev0");
	rc.loop = bc.loop = w->c.loop;
	bc.ctx = &w->c.rig;
	must(!vrng_create(&w->rng, &rc, NULL));
	must(!vballoon_create(&w->balloon, &bc, NULL));
	w->v = kind % 3 == 0   ? vrng_virtio(w->rng)
	       : kind % 3 == 1 ? vballoon_virtio(w->balloon)
			       : vconsole_virtio(w->c.vconsole);
	w->c.rig.device = &w->v->device;
}

static void world_fini(struct world *w)
{
	vrng_destroy(w->rng);
	vballoon_destroy(w->balloon);
	console_rig_fini(&w->c);
}

/* Registers that mean something, or any offset. */
static uint64_t next_offset(struct reader *r)
{
	static const uint16_t regs[] = {
		0x10, 0x14, 0x20, 0x24, 0x30,  0x34,  0x38, 0x44,
		0x50, 0x60, 0x64, 0x70, 0x70,  0x80,  0x84, 0x90,
		0x94, 0xa0, 0xa4, 0xfc, 0x100, 0x104, 0xac,
	};
	uint8_t n = next(r);

	if (n < 230)
		return regs[n % (sizeof(regs) / sizeof(regs[0]))];
	return n < 250 ? next16(r) : (uint64_t)next32(r) << (n & 1 ? 32 : 0);
}

static void access_register(struct world *w)
{
	struct reader *r = &w->in;
	struct device *d = &w->v->device;
	uint64_t offset = next_offset(r);
	uint8_t how = next(r),
		size = how & 1 ? (uint8_t)(1u << (how >> 1 & 3)) : 4;
	struct virtq_state was[VIRTIO_QUEUES_MAX];
	bool is_ready = w->v->st.status & VIRTIO_DRIVER_OK;
	unsigned int q;

	if (how & 128) {
		d->ops->read(d, 0, offset, size);
		return;
	}
	for (q = 0; q < w->v->cfg.queues; q++)
		was[q] = w->v->queue[q].st;
	d->ops->write(d, 0, offset, size, how & 64 ? next32(r) : next(r));
	if (!is_ready || !(w->v->st.status & VIRTIO_DRIVER_OK))
		return;
	for (q = 0; q < w->v->cfg.queues; q++) {
		const struct virtq_state *st = &w->v->queue[q].st;

		must(st->size == was[q].size && st->ready == was[q].ready &&
		     st->desc == was[q].desc && st->avail == was[q].avail &&
		     st->used == was[q].used);
	}
}

/* A driver as it should be; what it does next is fuzzed again. */
static void start(struct world *w)
{
	uint8_t how = next(&w->in);
	uint64_t f = rig_features(&w->c.rig);

	rig_start(&w->c.rig, f & ~(uint64_t)next(&w->in),
		  how & 1 ? w->v->cfg.queues : 1,
		  (uint16_t)(1u << (how >> 1 & 3)));
}

static void outside(struct world *w)
{
	struct device *d = &w->v->device;
	struct vballoon_stats s;
	struct buf text;

	switch (next(&w->in) % 8) {
	case 0:
		fuzz_snapshot(d);
		break;
	case 1:
		fuzz_load(d, &w->in);
		memset(w->c.rig.queue, 0, sizeof(w->c.rig.queue));
		break;
	case 2:
		d->ops->quiesce(d, NULL, NULL);
		break;
	case 3:
		d->ops->resume(d);
		break;
	case 4:
		vballoon_set_target(w->balloon, next32(&w->in));
		vballoon_get_stats(w->balloon, &s);
		break;
	case 5:
		buf_init(&text, FUZZ_STATE_LIMIT);
		d->ops->describe(d, &text);
		must(text.len && !text.error);
		buf_fini(&text);
		break;
	case 6:
		d->ops->reset(d);
		break;
	default:
		console_input(w->c.console, "0123456789", 10);
		vconsole_input_ready(w->c.vconsole);
		channel_host_open(w->c.channel[0], next(&w->in) & 1);
	}
}

static void one(struct world *w)
{
	uint8_t op = next(&w->in);
	unsigned int q = (op >> 3) % w->v->cfg.queues;

	switch (op & 7) {
	case 0:
		start(w);
		break;
	case 1:
		fuzz_chain(&w->c.rig, &w->in, q);
		rig_kick(&w->c.rig, q);
		break;
	case 2:
		fuzz_settle(w->c.loop);
		break;
	case 3:
		outside(w);
		break;
	default:
		access_register(w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .in = { data, data + size } };
	unsigned int i;

	world_init(&w, next(&w.in));
	for (i = 0; i < OPS_MAX && w.in.at < w.in.end; i++)
		one(&w);
	fuzz_settle(w.c.loop);
	fuzz_snapshot(&w.v->device);
	fuzz_settle(w.c.loop);
	world_fini(&w);
	return 0;
}
