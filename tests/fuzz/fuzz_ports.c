/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes all devices on the port bus: the input is a list of accesses,
 * console input, keys, resets and snapshots in place. Two promises are
 * checked on the way: any state that was reached is valid, and save, reset,
 * load brings back the same bytes and the same interrupt lines.
 */
#include "tests/unit/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX	    2048
#define STATE_LIMIT 4096

struct reader {
	const uint8_t *at, *end;
};

static uint8_t next(struct reader *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint64_t next_port(struct board *b, struct reader *r)
{
	const struct bus_range *range = &b->port.range[next(r) % b->port.count];

	return range->start + next(r) % range->bytes;
}

static void snapshot_in_place(struct board *b, struct device *d)
{
	bool level[GSI_COUNT];
	struct buf before, after;
	unsigned int i;

	buf_init(&before, STATE_LIMIT);
	buf_init(&after, STATE_LIMIT);
	board_resume(d); /* takes input that waited for room */
	for (i = 0; i < GSI_COUNT; i++)
		level[i] = b->irq[i].level;
	must(!board_save(d, &before));
	d->ops->reset(d);
	must(!board_load(d, before.data, before.len, NULL));
	board_resume(d);
	must(!board_save(d, &after));
	must(before.len == after.len &&
	     !memcmp(before.data, after.data, before.len));
	for (i = 0; i < GSI_COUNT; i++)
		must(level[i] == b->irq[i].level);
	buf_fini(&before);
	buf_fini(&after);
}

static void wide_access(struct board *b, struct reader *r)
{
	uint64_t port = next_port(b, r), v;
	uint8_t size = (uint8_t)(1u << (next(r) & 3));
	bool write = next(r) & 1;

	v = next(r) * 0x0101010101010101ULL;
	if (write) {
		bus_write(&b->port, port, size, v);
		return;
	}
	bus_read(&b->port, port, size, &v);
	must(size == 8 || !(v >> (8 * size)));
}

static void read_console(struct board *b, struct reader *r)
{
	uint64_t cursor = (uint64_t)next(r) << (next(r) & 31), dropped;
	uint8_t out[256];
	size_t n = console_read(b->console, &cursor, out, next(r), &dropped);

	must(n <= 255 && cursor <= console_position(b->console));
	console_ack(b->console, cursor);
}

/* What comes from outside the guest. */
static void outside(struct board *b, struct reader *r)
{
	struct device *d = b->device[next(r) % BOARD_DEVICES];
	struct buf text;

	switch (next(r) % 6) {
	case 0:
		d->ops->reset(d);
		break;
	case 1:
		i8042_ctrl_alt_del(b->i8042, NULL);
		break;
	case 2:
		power_button(b->power);
		break;
	case 3:
		power_genid_changed(b->power);
		break;
	case 4:
		read_console(b, r);
		break;
	default:
		buf_init(&text, STATE_LIMIT);
		d->ops->describe(d, &text);
		must(!text.error && text.len);
		buf_fini(&text);
	}
}

static void one(struct board *b, struct reader *r)
{
	uint8_t op = next(r);
	uint64_t port;
	size_t n;

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
		port = next_port(b, r);
		board_out(b, port, next(r));
		break;
	case 3:
		board_in(b, next_port(b, r));
		break;
	case 4:
		wide_access(b, r);
		break;
	case 5:
		n = (size_t)(r->end - r->at);
		n = n < (op >> 3) ? n : (size_t)(op >> 3);
		console_input(b->console, r->at, n);
		r->at += n;
		break;
	case 6:
		outside(b, r);
		break;
	default:
		snapshot_in_place(b, b->device[(op >> 3) % BOARD_DEVICES]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { data, data + size };
	unsigned int i;
	struct board b;

	board_init(&b);
	for (i = 0; i < OPS_MAX && r.at < r.end; i++)
		one(&b, &r);
	for (i = 0; i < BOARD_DEVICES; i++)
		snapshot_in_place(&b, b.device[i]);
	board_fini(&b);
	return 0;
}
