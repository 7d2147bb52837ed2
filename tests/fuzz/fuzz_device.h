/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For fuzzers of virtio devices: bytes of the input, chains of any shape
 * made of them, and a snapshot in place that checks what it promises.
 */
#ifndef AMBER_TESTS_FUZZ_FUZZ_DEVICE_H
#define AMBER_TESTS_FUZZ_FUZZ_DEVICE_H

#include "tests/unit/virtio_rig.h"

#define FUZZ_PIECES	 10
#define FUZZ_STATE_LIMIT 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	const uint8_t *at, *end;
};

static inline uint8_t next(struct reader *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static inline uint16_t next16(struct reader *r)
{
	uint16_t low = next(r);

	return (uint16_t)(low | next(r) << 8);
}

static inline uint32_t next32(struct reader *r)
{
	uint32_t low = next16(r);

	return low | (uint32_t)next16(r) << 16;
}

static inline void must(bool ok)
{
	if (!ok)
		abort();
}

/* Mostly RAM, also its ends, what is behind them, and anywhere. */
static inline uint64_t next_gpa(struct reader *r)
{
	uint8_t where = next(r);

	switch (where & 15) {
	case 0:
		return RIG_RAM - next(r);
	case 1:
		return RIG_HIGH + next(r);
	case 2:
		return RIG_HIGH + RIG_HIGH_RAM - next(r);
	case 3:
		return (uint64_t)next32(r) << (where >> 2 & 32) | next32(r);
	default:
		return RIG_DATA + next16(r);
	}
}

static inline uint32_t next_len(struct reader *r)
{
	uint8_t how = next(r);

	if (how < 200)
		return how;
	return how < 240 ? next16(r) * 4u : how < 250 ? 0 : next32(r);
}

/* Offers a chain of fuzzed pieces; its first readable bytes are fuzzed. */
static inline void fuzz_chain(struct rig *rig, struct reader *r, unsigned int q)
{
	struct rig_piece piece[FUZZ_PIECES];
	unsigned int n = 1 + next(r) % FUZZ_PIECES, i, k;
	uint8_t writable = next(r), *to;

	if (!rig->queue[q].size)
		return;
	for (i = 0; i < n; i++) {
		piece[i] = (struct rig_piece){ next_gpa(r), next_len(r),
					       i >= writable % (n + 1u) };
		to = gmem_slice(&rig->mem, piece[i].gpa, piece[i].len);
		for (k = 0; to && k < 16 && k < piece[i].len; k++)
			to[k] = next(r);
	}
	if (writable & 128) /* the order is wrong, or not */
		piece[0].writable = writable & 64;
	rig_chain(rig, q, piece, n);
}

static inline void fuzz_settle(struct loop *l)
{
	int i;

	for (i = 0; i < 8; i++)
		loop_step(l, 0);
}

static inline void fuzz_save(struct device *d, struct buf *out)
{
	struct state_io io;

	buf_reset(out);
	state_save(&io, d->ops->name, out);
	d->ops->sync(d, &io);
	must(!state_end(&io, NULL));
}

/* Any state that was reached loads, and is then the same. */
static inline void fuzz_snapshot(struct device *d)
{
	struct buf before, after;
	struct state_io io;

	buf_init(&before, FUZZ_STATE_LIMIT);
	buf_init(&after, FUZZ_STATE_LIMIT);
	must(d->ops->quiesce(d, NULL, NULL));
	fuzz_save(d, &before);
	d->ops->reset(d);
	state_load(&io, d->ops->name, before.data, before.len);
	d->ops->sync(d, &io);
	must(!state_end(&io, NULL));
	must(!d->ops->validate(d, NULL));
	fuzz_save(d, &after);
	must(before.len == after.len &&
	     !memcmp(before.data, after.data, before.len));
	/* A device may have something to say then: that it is back. */
	must(!d->ops->restored(d, NULL));
	d->ops->resume(d);
	buf_fini(&before);
	buf_fini(&after);
}

/* Bytes that were never a state are refused, or do no harm. */
static inline void fuzz_load(struct device *d, struct reader *r)
{
	struct state_io io;
	struct buf bytes;
	unsigned int n;

	buf_init(&bytes, FUZZ_STATE_LIMIT);
	must(d->ops->quiesce(d, NULL, NULL));
	fuzz_save(d, &bytes);
	for (n = 1 + next(r) % 4; n; n--)
		bytes.data[next16(r) % bytes.len] = next(r);
	d->ops->reset(d);
	state_load(&io, d->ops->name, bytes.data, bytes.len);
	d->ops->sync(d, &io);
	/* Who is refused is thrown away; here a reset stands for it. */
	if (state_end(&io, NULL) || d->ops->validate(d, NULL) ||
	    d->ops->restored(d, NULL))
		d->ops->reset(d);
	d->ops->resume(d);
	buf_fini(&bytes);
}

#endif
