/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the console device: control messages of any kind in any order,
 * ports that open and close on both sides, chains of any shape, snapshots.
 * What the guest is told is about ports that are there.
 */
#include "tests/fuzz/fuzz_device.h"
#include "tests/unit/console_rig.h"

#define OPS_MAX 256

struct world {
	struct reader in;
	struct console_rig c;
};

static void message(struct world *w)
{
	uint8_t how = next(&w->in);
	uint32_t port = how & 128 ? next32(&w->in) : how % 4u;

	if (!w->c.rig.queue[Q_CTL_TX].size)
		return;
	console_rig_say(&w->c, port, how & 64 ? next16(&w->in) : how >> 2 & 7,
			next(&w->in) & 3);
}

static void hear(struct world *w)
{
	unsigned int i;
	char text[160];

	if (!w->c.rig.queue[Q_CTL_RX].size)
		return;
	for (i = 0; i < 64; i++) {
		uint32_t head, len;
		const uint8_t *m;

		if (!rig_take(&w->c.rig, Q_CTL_RX, &head, &len))
			return;
		must(head < CONSOLE_QUEUE && len <= 128);
		if (len < 8)
			continue;
		m = w->c.rig.ram + CONSOLE_RIG_MESSAGES + 128 * head;
		memcpy(text, m, len); /* it is all there */
	}
}

static void host(struct world *w)
{
	static uint8_t bytes[CHANNEL_BYTES];
	uint8_t how = next(&w->in);
	struct channel *c = w->c.channel[how & 1];
	size_t n = next16(&w->in);

	switch (how >> 1 & 3) {
	case 0:
		channel_host_open(c, how & 8);
		break;
	case 1:
		must(channel_host_write(c, bytes, n) <= n);
		break;
	case 2:
		must(channel_host_read(c, bytes, n) <= n);
		break;
	default:
		console_input(w->c.console, bytes, n);
		vconsole_input_ready(w->c.vconsole);
	}
}

static void outside(struct world *w)
{
	struct device *d = w->c.rig.device;

	switch (next(&w->in) % 5) {
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
		d->ops->reset(d);
		break;
	default:
		d->ops->resume(d);
	}
}

static void one(struct world *w)
{
	uint8_t op = next(&w->in);
	unsigned int q = (op >> 3) % CONSOLE_QUEUES;

	switch (op & 7) {
	case 0:
		rig_start(&w->c.rig, op & 128 ? 0 : CONSOLE_MULTIPORT,
			  CONSOLE_QUEUES, CONSOLE_QUEUE);
		break;
	case 1:
	case 2:
		message(w);
		break;
	case 3:
		if (w->c.rig.queue[Q_CTL_RX].size)
			console_rig_listen(&w->c, 1 + (op >> 3));
		hear(w);
		break;
	case 4:
		host(w);
		break;
	case 5:
		fuzz_chain(&w->c.rig, &w->in, q);
		rig_kick(&w->c.rig, q);
		break;
	case 6:
		outside(w);
		break;
	default:
		fuzz_settle(w->c.loop);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .in = { data, data + size } };
	unsigned int i;

	console_rig_init(&w.c);
	rig_start(&w.c.rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	for (i = 0; i < OPS_MAX && w.in.at < w.in.end; i++)
		one(&w);
	fuzz_settle(w.c.loop);
	fuzz_snapshot(w.c.rig.device);
	fuzz_settle(w.c.loop);
	console_rig_fini(&w.c);
	return 0;
}
