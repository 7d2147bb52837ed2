/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the walker of rings: table, rings and indirect tables are made of
 * the input, and a second thread changes them all the time. What is handed
 * out lies in RAM, adds up, and is bounded; what isn't has a reason.
 */
#include <pthread.h>

#include "tests/fuzz/fuzz_device.h"

#define POPS	 300
#define RESTARTS 4

static struct rig rig;

struct flipper {
	pthread_t thread;
	_Atomic bool is_over;
	uint32_t seed;
	uint16_t size;
};

static uint32_t dice(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Somewhere in table, rings or what indirect tables point to. */
static uint64_t somewhere(uint32_t n, uint16_t size)
{
	switch (n & 7) {
	case 0:
		return rig_avail(0) + 2; /* the index */
	case 1:
	case 2:
		return rig_avail(0) + 4 + (n >> 3) % (2u * size + 2);
	case 3:
		return rig_used(0) + (n >> 3) % (8u * size + 6);
	case 4:
		return RIG_DATA + (n >> 3) % (16u * size);
	default:
		return rig_desc(0) + (n >> 3) % (16u * size);
	}
}

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->is_over)) {
		uint8_t *at = rig.ram + somewhere(dice(&f->seed), f->size);
		uint32_t n = dice(&f->seed);

		__atomic_store_n(at,
				 n & 1 ? (uint8_t)(n >> 8) : (uint8_t)(*at + 1),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void check(const struct virtq_chain *c, uint16_t size)
{
	uint64_t sum[2] = { 0, 0 };
	unsigned int i;

	must(c->head < size && c->reads + c->writes <= size);
	for (i = 0; i < c->reads + c->writes; i++) {
		const uint8_t *at = c->iov[i].iov_base;
		size_t len = c->iov[i].iov_len;

		must(len &&
		     ((at >= rig.ram && at + len <= rig.ram + RIG_RAM) ||
		      (at >= rig.high && at + len <= rig.high + RIG_HIGH_RAM)));
		sum[i >= c->reads] += len;
	}
	must(sum[0] == c->read_bytes && sum[1] == c->write_bytes);
	must(sum[0] + sum[1] <= VIRTQ_BYTES_MAX);
}

/* Pops until the queue breaks or is empty. */
static void walk(struct virtq *q, struct reader *r)
{
	static struct virtq_chain chain;
	struct err e = ERR_NONE;
	uint8_t bytes[64];
	unsigned int i;
	int rc = 1;

	for (i = 0; i < POPS && rc > 0; i++) {
		rc = virtq_pop(q, &chain, &e);
		must(rc >= 0 || (rc == -EBADMSG && e.text[0]));
		must(q->host.busy_count <= q->st.size);
		if (rc <= 0)
			break;
		check(&chain, q->st.size);
		virtq_copy_out(&chain, next(r), bytes, sizeof(bytes));
		virtq_copy_in(&chain, next(r), bytes, sizeof(bytes));
		switch (next(r) % 8) {
		case 0:
			virtq_unpop(q, chain.head);
			break;
		case 1: /* kept */
			break;
		case 2:
			rc = virtq_again(q, chain.head, &chain, &e) ? -1 : 1;
			if (rc > 0)
				check(&chain, q->st.size);
			break;
		default:
			virtq_push(q, chain.head, next(r));
			virtq_wants_irq(q);
		}
		if (next(r) & 1)
			virtq_enable_kicks(q);
		else
			virtq_disable_kicks(q);
	}
}

/* Input becomes memory: descriptors of few bytes each, then the rings. */
static void fill(struct reader *r, uint16_t size)
{
	unsigned int i;

	for (i = 0; i < size && r->at < r->end; i++) {
		uint16_t flags = next(r) & 7;
		bool indirect = flags & RIG_INDIRECT;

		rig_put_desc(&rig, i & 1 ? RIG_DATA : rig_desc(0),
			     (uint16_t)(i / 2),
			     indirect ? RIG_DATA : next_gpa(r),
			     indirect ? 16u * (next(r) % 40u) : next_len(r),
			     flags, next(r));
	}
	for (i = 0; i < size; i++)
		put_le16(rig.ram + rig_avail(0) + 4 + 2 * i,
			 (uint16_t)(next(r) % (size + 1u)));
	put_le16(rig.ram + rig_avail(0) + 2, next(r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { data, data + size };
	uint8_t how = next(&r);
	struct virtq q;
	struct flipper f = { .size = (uint16_t)(1u << (how & 7)) };
	unsigned int i;

	if (!rig.ram)
		rig_init(&rig);
	memset(rig.ram, 0, RIG_DATA + 0x2000);
	fill(&r, f.size);
	f.seed = next32(&r) | 1;
	if (how & 32)
		must(!pthread_create(&f.thread, NULL, flip, &f));
	for (i = 0; i < RESTARTS; i++) {
		virtq_reset(&q);
		q.st = (struct virtq_state){ .size = f.size,
					     .ready = true,
					     .desc = rig_desc(0),
					     .avail = rig_avail(0),
					     .used = rig_used(0),
					     .next_avail = next(&r) };
		q.st.used_idx = q.st.next_avail;
		must(!virtq_start(&q, &rig.mem, how & 8, how & 16, NULL));
		walk(&q, &r);
	}
	atomic_store(&f.is_over, true);
	if (how & 32)
		pthread_join(f.thread, NULL);
	return 0;
}
