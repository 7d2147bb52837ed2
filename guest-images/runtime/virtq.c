/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (VIRTIO 1.2, 2.7), the driver's side. One CPU owns a queue,
 * at CPL0 or CPL3; interrupt handlers don't touch it. Which descriptors are
 * free is remembered outside the rings, so a guest may write any nonsense
 * into them and still initialise the queue again after a reset.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/virtio.h"

#define RING_BYTES	 0x4000 /* for VIRTQ_MAX entries */
#define AVAIL_AT	 0x1000
#define USED_AT		 0x2000
#define TABLE_BYTES	 (VIRTQ_TABLE * sizeof(struct virtq_desc))
#define NO_NOTIFY	 1
#define NO_INTERRUPT	 1
#define FEATURE_INDIRECT 28
#define FEATURE_EVENT	 29

/* The size, a power of two, that both sides have. */
static uint16_t pick_size(struct virtq *q, unsigned want)
{
	uint16_t size = 1;

	q->size_max = (uint16_t)virtio_read(q->dev, VIRTIO_QUEUE_SIZE_MAX);
	if (q->size_max == 0 || virtio_read(q->dev, VIRTIO_QUEUE_READY) != 0)
		guest_fail(FAIL_NO_QUEUE);
	if (want > VIRTQ_MAX)
		want = VIRTQ_MAX;
	while (size * 2u <= want && size * 2u <= q->size_max)
		size *= 2;
	return size;
}

static void place_rings(struct virtq *q)
{
	uint64_t at = (uint64_t)q->desc;

	if (at == 0)
		at = (uint64_t)virtio_alloc(RING_BYTES, 0x1000);
	memset((void *)at, 0, RING_BYTES);
	q->desc = (volatile struct virtq_desc *)at;
	q->avail = (volatile uint16_t *)(at + AVAIL_AT);
	q->used = (volatile uint16_t *)(at + USED_AT);
	q->event = q->used + 2 + 4 * q->size;
	if (virtio_has(q->dev, FEATURE_INDIRECT) && !q->tables)
		q->tables = virtio_alloc(VIRTQ_MAX * TABLE_BYTES, 0x1000);
}

static void forget(struct virtq *q)
{
	uint16_t i;

	for (i = 0; i < VIRTQ_MAX; i++) {
		q->next[i] = (uint16_t)(i + 1);
		q->length[i] = 0;
	}
	q->free_head = 0;
	q->free = q->size;
	q->added = q->seen = q->kicked = 0;
}

static void write_address(struct virtq *q, unsigned reg, uint64_t address)
{
	virtio_write(q->dev, reg, (uint32_t)address);
	virtio_write(q->dev, reg + 4, (uint32_t)(address >> 32));
}

void virtq_init(struct virtq *q, struct virtio_dev *d, unsigned index,
		unsigned want)
{
	q->dev = d;
	q->index = (uint16_t)index;
	virtio_write(d, VIRTIO_QUEUE_SEL, index);
	q->size = pick_size(q, want);
	place_rings(q);
	forget(q);
	if (d->polled)
		q->avail[VIRTQ_AVAIL_FLAGS] = NO_INTERRUPT;
	virtio_write(d, VIRTIO_QUEUE_SIZE, q->size);
	write_address(q, VIRTIO_QUEUE_DESC, (uint64_t)q->desc);
	write_address(q, VIRTIO_QUEUE_DRIVER, (uint64_t)q->avail);
	write_address(q, VIRTIO_QUEUE_DEVICE, (uint64_t)q->used);
	virtio_write(d, VIRTIO_QUEUE_READY, 1);
}

static uint16_t flags_of(unsigned i, unsigned out, unsigned in)
{
	uint16_t flags = i < out ? 0 : VIRTQ_F_WRITE;

	return i + 1 < out + in ? flags | VIRTQ_F_NEXT : flags;
}

static void fill_table(struct virtq *q, uint16_t head,
		       const struct virtio_buf *bufs, unsigned out, unsigned in)
{
	struct virtq_desc *table = q->tables + head * VIRTQ_TABLE;
	unsigned i;

	for (i = 0; i < out + in; i++) {
		table[i].addr = (uint64_t)bufs[i].addr;
		table[i].len = bufs[i].bytes;
		table[i].flags = flags_of(i, out, in);
		table[i].next = (uint16_t)(i + 1);
	}
	q->desc[head].addr = (uint64_t)table;
	q->desc[head].len = (uint32_t)((out + in) * sizeof(*table));
	q->desc[head].flags = VIRTQ_F_INDIRECT;
}

static void fill_chain(struct virtq *q, uint16_t head,
		       const struct virtio_buf *bufs, unsigned out, unsigned in)
{
	uint16_t at = head;
	unsigned i;

	for (i = 0; i < out + in; i++) {
		q->desc[at].addr = (uint64_t)bufs[i].addr;
		q->desc[at].len = bufs[i].bytes;
		q->desc[at].flags = flags_of(i, out, in);
		q->desc[at].next = q->next[at];
		at = q->next[at];
	}
}

/* Takes n descriptors off the free list; next[] still links them. */
static uint16_t take_free(struct virtq *q, uint16_t n)
{
	uint16_t head = q->free_head;
	uint16_t i;

	for (i = 0; i < n; i++)
		q->free_head = q->next[q->free_head];
	q->free = (uint16_t)(q->free - n);
	q->length[head] = n;
	return head;
}

bool virtq_add(struct virtq *q, const struct virtio_buf *bufs, unsigned out,
	       unsigned in, void *token)
{
	unsigned n = out + in;
	bool indirect = virtio_has(q->dev, FEATURE_INDIRECT) && n > 1 &&
			n <= VIRTQ_TABLE;
	uint16_t head;

	if (n == 0 || (indirect ? 1 : n) > q->free)
		return false;
	head = take_free(q, indirect ? 1 : (uint16_t)n);
	if (indirect)
		fill_table(q, head, bufs, out, in);
	else
		fill_chain(q, head, bufs, out, in);
	q->tokens[head] = token;
	q->avail[VIRTQ_AVAIL_RING + q->added % q->size] = head;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	q->avail[VIRTQ_AVAIL_IDX] = ++q->added;
	return true;
}

void virtq_kick(struct virtq *q)
{
	uint16_t from = q->kicked;
	bool wanted;

	virtio_fence();
	q->kicked = q->added;
	if (virtio_has(q->dev, FEATURE_EVENT))
		wanted = (uint16_t)(q->added - *q->event - 1) <
			 (uint16_t)(q->added - from);
	else
		wanted = !(q->used[VIRTQ_AVAIL_FLAGS] & NO_NOTIFY);
	if (!wanted)
		return;
	q->notifies++;
	virtio_write(q->dev, VIRTIO_QUEUE_NOTIFY, q->index);
}

static void give_back(struct virtq *q, uint16_t head)
{
	uint16_t last = head;
	uint16_t i;

	for (i = 1; i < q->length[head]; i++)
		last = q->next[last];
	q->next[last] = q->free_head;
	q->free_head = head;
	q->free = (uint16_t)(q->free + q->length[head]);
	q->length[head] = 0;
}

bool virtq_take(struct virtq *q, void **token, uint32_t *bytes)
{
	const volatile uint32_t *element;
	uint32_t head;

	if (q->used[VIRTQ_AVAIL_IDX] == q->seen)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	element = (const volatile uint32_t *)(q->used + 2) +
		  q->seen % q->size * 2;
	head = element[0];
	if (head >= q->size || q->length[head] == 0)
		guest_fail(FAIL_BAD_USED);
	if (bytes)
		*bytes = element[1];
	*token = q->tokens[head];
	give_back(q, (uint16_t)head);
	q->seen++;
	if (virtio_has(q->dev, FEATURE_EVENT)) {
		q->avail[VIRTQ_AVAIL_RING + q->size] = q->seen;
		virtio_fence();
	}
	return true;
}

void *virtq_wait(struct virtq *q, uint32_t *bytes)
{
	void *token;
	uint32_t seen;

	for (;;) {
		seen = q->dev->interrupts;
		if (virtq_take(q, &token, bytes))
			return token;
		virtio_wait(q->dev, seen);
	}
}
