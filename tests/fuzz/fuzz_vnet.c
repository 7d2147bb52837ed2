/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the network device: chains of any shape to send and to receive
 * into, frames of any size from a backend that is busy, fails and dies.
 * What reaches the backend is a frame, what the guest gets fits its buffer.
 */
#include "tests/fuzz/fuzz_device.h"
#include "tests/unit/net_rig.h"

#define OPS_MAX 256

struct world {
	struct reader in;
	struct net_rig n;
	bool is_gone; /* the fake backend was destroyed */
	unsigned int pairs;
};

/* Features that were offered, less some. */
static void start(struct world *w)
{
	uint64_t f = rig_features(&w->n.rig);

	f &= ~((uint64_t)next32(&w->in) & 0xffffff);
	rig_start(&w->n.rig, f, 2 * w->pairs + (w->pairs > 1),
		  (uint16_t)(1u << (next(&w->in) % 7)));
}

static void new_backend(struct world *w)
{
	struct fake_net *f = NULL;

	if (next(&w->in) & 3) {
		f = fake_net_create(w->pairs == 1);
		f->destroyed = &w->is_gone;
	}
	vnet_set_backend(w->n.vnet, f ? &f->backend : NULL);
	w->n.fake = f;
	w->is_gone = !f;
}

static void backend(struct world *w)
{
	static const int answers[] = { 0, 0, -EAGAIN, -EINVAL, -EPIPE, -EIO };
	struct fake_net *f = w->n.fake;
	uint8_t how = next(&w->in);

	if (w->is_gone || how % 8 == 7) {
		new_backend(w);
		return;
	}
	switch (how % 8) {
	case 0:
		f->answer = answers[next(&w->in) % 6];
		f->flush = next(&w->in) % 8 ? 0 : -EAGAIN;
		break;
	case 1:
		f->is_dead = !(next(&w->in) & 15);
		f->reads_ahead = next(&w->in) & 1;
		break;
	case 2:
		close(f->feed); /* it hangs up */
		f->feed = -1;
		f->is_dead = true;
		break;
	default:
		if (f->feed >= 0)
			fake_net_feed(f, 1 + how % 100u,
				      how & 8 ? 12u + next(&w->in)
					      : next32(&w->in) % NET_FRAME_MAX +
							1);
	}
}

/* What came in: no more bytes than the guest had room for. */
static void take(struct world *w)
{
	unsigned int q;
	uint32_t head, len;

	for (q = 0; q < 2 * w->pairs; q++) {
		if (!w->n.rig.queue[q].size)
			continue;
		while (rig_take(&w->n.rig, q, &head, &len)) {
			must(head < w->n.rig.queue[q].size);
			must(q % 2 ? !len : len <= NET_RIG_BYTES);
		}
	}
}

static void outside(struct world *w)
{
	struct device *d = w->n.rig.device;
	uint8_t how = next(&w->in);
	struct vnet_stats s;

	switch (how % 8) {
	case 0:
		fuzz_snapshot(d);
		break;
	case 1:
		fuzz_load(d, &w->in);
		memset(w->n.rig.queue, 0, sizeof(w->n.rig.queue));
		break;
	case 2:
		d->ops->quiesce(d, NULL, NULL);
		break;
	case 3:
		vnet_set_link(w->n.vnet, how & 8);
		break;
	case 4:
		vnet_set_limits(w->n.vnet, how & 8 ? next32(&w->in) : 0,
				how & 16 ? next16(&w->in) : 0);
		break;
	case 5:
		vnet_get_stats(w->n.vnet, &s);
		break;
	default:
		d->ops->resume(d);
	}
}

/* A header and a frame as they should be, more or less. */
static void send(struct world *w)
{
	uint8_t *h = w->n.rig.ram + RIG_DATA, wrong = next(&w->in);
	unsigned int i;

	memset(h, 0, NET_HEADER_BYTES);
	for (i = 0; wrong & 1 && i < NET_HEADER_BYTES; i++)
		h[i] = next(&w->in);
	if (wrong & 2)
		h[next(&w->in) % NET_HEADER_BYTES] = next(&w->in);
	if (w->n.rig.queue[1].size)
		rig_one(&w->n.rig, 1, RIG_DATA, next16(&w->in), false);
	rig_kick(&w->n.rig, 1);
}

static void one(struct world *w)
{
	uint8_t op = next(&w->in);
	unsigned int q = (op >> 3) % (2 * w->pairs + (w->pairs > 1));

	switch (op & 7) {
	case 0:
		start(w);
		break;
	case 1:
		fuzz_chain(&w->n.rig, &w->in, q);
		rig_kick(&w->n.rig, q);
		break;
	case 2:
		send(w);
		break;
	case 3:
		backend(w);
		break;
	case 4:
		outside(w);
		break;
	case 5:
		if (w->n.rig.queue[0].size)
			rig_one(&w->n.rig, 0, RIG_DATA + 0x10000,
				next16(&w->in) * 2u, true);
		rig_kick(&w->n.rig, 0);
		break;
	case 6:
		take(w);
		break;
	default:
		fuzz_settle(w->n.loop);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .in = { data, data + size } };
	uint8_t how = next(&w.in);
	unsigned int i;

	w.pairs = how & 1 ? 2 : 1;
	net_rig_init(&w.n, how & 2, (struct vnet_config){ .pairs = w.pairs });
	w.n.fake->destroyed = &w.is_gone;
	for (i = 0; i < OPS_MAX && w.in.at < w.in.end; i++)
		one(&w);
	fuzz_settle(w.n.loop);
	fuzz_snapshot(w.n.rig.device);
	fuzz_settle(w.n.loop);
	net_rig_fini(&w.n);
	return 0;
}
