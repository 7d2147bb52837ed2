/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker of split rings. The caller's lock serialises. INV-1: a ring
 * field in guest memory is loaded once into a local. INV-2: a chain is
 * walked in at most size steps. INV-3: a head is handed out once until it is
 * pushed. INV-4: an element of used is written before used.idx.
 */
#include "devices/virtq.h"

#include <errno.h>
#include <string.h>

#define DESC_BYTES 16

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY	   1

/* Offsets in the avail and used rings (2.7.6, 2.7.8). */
#define RING_FLAGS 0
#define RING_IDX   2
#define RING_LIST  4

struct desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

static uint16_t load16(const uint8_t *p, int order)
{
	const uint16_t *at = (const void *)p; /* aligned: virtq_start() */

	return order == __ATOMIC_ACQUIRE
		       ? __atomic_load_n(at, __ATOMIC_ACQUIRE)
		       : __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

static void store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELAXED);
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	if ((uintptr_t)p % 8 == 0)
		return __atomic_load_n((const uint64_t *)(const void *)p,
				       __ATOMIC_RELAXED);
	memcpy(&v, p, sizeof(v));
	__asm__ volatile("" : "+r"(v)); /* INV-1 */
	return v;
}

static void load_desc(const uint8_t *p, struct desc *d)
{
	uint64_t rest = load64(p + 8);

	d->gpa = load64(p);
	d->len = (uint32_t)rest;
	d->flags = (uint16_t)(rest >> 32);
	d->next = (uint16_t)(rest >> 48);
}

/* used_event: behind the avail ring; avail_event: behind the used ring. */
static uint8_t *used_event(const struct virtq *q)
{
	return q->host.avail + RING_LIST + 2 * q->st.size;
}

static uint8_t *avail_event(const struct virtq *q)
{
	return q->host.used + RING_LIST + 8 * q->st.size;
}

void virtq_reset(struct virtq *q)
{
	*q = (struct virtq){ .host = { .mem = NULL } };
}

bool virtq_is_started(const struct virtq *q)
{
	return q->host.mem != NULL;
}

static int map_part(const struct gmem *mem, const char *what, uint64_t gpa,
		    uint64_t bytes, uint64_t align, uint8_t **out,
		    struct err *e)
{
	if (gpa % align)
		return err_set(e, -EINVAL, "%s at %#llx is not aligned to %llu",
			       what, (unsigned long long)gpa,
			       (unsigned long long)align);
	*out = gmem_slice(mem, gpa, bytes);
	if (!*out)
		return err_set(e, -EFAULT, "%s at %#llx, %llu bytes: not RAM",
			       what, (unsigned long long)gpa,
			       (unsigned long long)bytes);
	return 0;
}

int virtq_start(struct virtq *q, const struct gmem *mem, bool has_indirect,
		bool has_event_idx, struct err *e)
{
	uint16_t n = q->st.size;
	uint8_t *desc, *avail, *used;
	int r;

	if (!n || n > VIRTQ_SIZE_MAX || (n & (n - 1)))
		return err_set(e, -EINVAL, "queue size %u", n);
	r = map_part(mem, "descriptor table", q->st.desc, DESC_BYTES * n, 16,
		     &desc, e);
	if (!r)
		r = map_part(mem, "driver area", q->st.avail, 6 + 2 * n, 2,
			     &avail, e);
	if (!r)
		r = map_part(mem, "device area", q->st.used, 6 + 8 * n, 4,
			     &used, e);
	if (r)
		return r;
	q->host.desc = desc;
	q->host.avail = avail;
	q->host.used = used;
	q->host.seen_avail = q->st.next_avail;
	q->host.has_indirect = has_indirect;
	q->host.has_event_idx = has_event_idx;
	memset(q->host.busy, 0, sizeof(q->host.busy));
	q->host.busy_count = 0;
	q->host.mem = mem;
	return 0;
}

/* --- chains ---------------------------------------------------------- */

static int add_piece(const struct virtq *q, struct virtq_chain *c,
		     const struct desc *d, struct err *e)
{
	bool writable = d->flags & DESC_WRITE;
	uint64_t *bytes = writable ? &c->write_bytes : &c->read_bytes;
	uint8_t *host;

	if (!writable && c->writes)
		return err_set(e, -EBADMSG,
			       "a readable descriptor follows a writable one");
	if (!d->len)
		return 0;
	host = gmem_slice(q->host.mem, d->gpa, d->len);
	if (!host)
		return err_set(e, -EBADMSG,
			       "descriptor of %u bytes at %#llx is not RAM",
			       d->len, (unsigned long long)d->gpa);
	if (c->read_bytes + c->write_bytes + d->len > VIRTQ_BYTES_MAX)
		return err_set(e, -EBADMSG, "chain of more than 4 GiB");
	c->iov[c->reads + c->writes] = (struct iovec){ host, d->len };
	*bytes += d->len;
	if (writable)
		c->writes++;
	else
		c->reads++;
	return 0;
}

static int check_indirect(const struct virtq *q, const struct desc *d,
			  struct err *e)
{
	if (!q->host.has_indirect)
		return err_set(e, -EBADMSG,
			       "indirect descriptor was not negotiated");
	if (d->flags & DESC_NEXT)
		return err_set(e, -EBADMSG, "descriptor is INDIRECT and NEXT");
	if (!d->len || d->len % DESC_BYTES || d->len / DESC_BYTES > q->st.size)
		return err_set(e, -EBADMSG,
			       "indirect table of %u bytes (queue size %u)",
			       d->len, q->st.size);
	return 0;
}

/* Where descriptors are read from: the queue's table, or an indirect one. */
struct table {
	const uint8_t *host;
	uint32_t entries;
	bool is_indirect;
};

static int enter_indirect(const struct virtq *q, struct table *t,
			  const struct desc *d, struct err *e)
{
	int r = check_indirect(q, d, e);

	if (r)
		return r;
	if (t->is_indirect)
		return err_set(e, -EBADMSG, "nested indirect descriptor");
	t->host = gmem_slice(q->host.mem, d->gpa, d->len);
	if (!t->host)
		return err_set(e, -EBADMSG,
			       "indirect table of %u bytes at %#llx is not RAM",
			       d->len, (unsigned long long)d->gpa);
	t->entries = d->len / DESC_BYTES;
	t->is_indirect = true;
	return 0;
}

static int walk(const struct virtq *q, uint16_t head, struct virtq_chain *c,
		struct err *e)
{
	struct table t = { q->host.desc, q->st.size, false };
	unsigned int steps = 0;
	uint32_t at = head;
	struct desc d;
	int r;

	c->head = head;
	c->reads = c->writes = 0;
	c->read_bytes = c->write_bytes = 0;
	for (;;) {
		if (at >= t.entries)
			return err_set(e, -EBADMSG,
				       "next %u is beyond a table of %u", at,
				       t.entries);
		load_desc(t.host + at * DESC_BYTES, &d);
		if (d.flags & DESC_INDIRECT) {
			r = enter_indirect(q, &t, &d, e);
			if (r)
				return r;
			at = 0;
			continue;
		}
		if (steps++ == q->st.size) /* INV-2 */
			return err_set(e, -EBADMSG,
				       "chain of more than %u descriptors",
				       q->st.size);
		r = add_piece(q, c, &d, e);
		if (r)
			return r;
		if (!(d.flags & DESC_NEXT))
			return 0;
		at = d.next;
	}
}

static bool is_busy(const struct virtq *q, uint16_t head)
{
	return q->host.busy[head / 64] >> (head % 64) & 1;
}

static void set_busy(struct virtq *q, uint16_t head, bool busy)
{
	uint64_t bit = 1ULL << (head % 64);

	if (busy)
		q->host.busy[head / 64] |= bit;
	else
		q->host.busy[head / 64] &= ~bit;
	q->host.busy_count += busy ? 1 : -1U;
}

static int look_at_avail(struct virtq *q, struct err *e)
{
	uint16_t idx = load16(q->host.avail + RING_IDX, __ATOMIC_ACQUIRE);
	uint16_t ahead = (uint16_t)(idx - q->st.next_avail);

	if (ahead > q->st.size)
		return err_set(e, -EBADMSG,
			       "avail.idx went from %u to %u (queue size %u)",
			       q->st.next_avail, idx, q->st.size);
	q->host.seen_avail = idx;
	return ahead;
}

int virtq_claim(struct virtq *q, uint16_t head, struct err *e)
{
	if (head >= q->st.size)
		return err_set(e, -EBADMSG, "head %u (queue size %u)", head,
			       q->st.size);
	if (is_busy(q, head))
		return err_set(e, -EBADMSG, "head %u is in flight already",
			       head);
	set_busy(q, head, true);
	return 0;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c, struct err *e)
{
	uint16_t slot = q->st.next_avail & (q->st.size - 1), head;
	int r;

	if (q->host.seen_avail == q->st.next_avail) {
		r = look_at_avail(q, e);
		if (r <= 0)
			return r;
	}
	head = load16(q->host.avail + RING_LIST + 2 * slot, __ATOMIC_RELAXED);
	r = virtq_claim(q, head, e); /* INV-3 */
	if (r)
		return r;
	r = walk(q, head, c, e);
	if (r)
		return r;
	q->st.next_avail++;
	return 1;
}

int virtq_again(struct virtq *q, uint16_t head, struct virtq_chain *c,
		struct err *e)
{
	return walk(q, head, c, e);
}

void virtq_unpop(struct virtq *q, uint16_t head)
{
	set_busy(q, head, false);
	q->st.next_avail--;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	uint16_t slot = q->st.used_idx & (q->st.size - 1);
	uint8_t *element = q->host.used + RING_LIST + 8 * slot;

	store32(element, head);
	store32(element + 4, written);
	q->st.used_idx++;
	store16(q->host.used + RING_IDX, q->st.used_idx); /* INV-4 */
	set_busy(q, head, false);
}

/* --- when to tell each other (2.7.7, 2.7.10) ------------------------- */

bool virtq_wants_irq(struct virtq *q)
{
	uint16_t now = q->st.used_idx, told = q->st.told_idx, event;

	if (now == told)
		return false;
	q->st.told_idx = now;
	/* used.idx must be out before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->host.has_event_idx)
		return !(load16(q->host.avail + RING_FLAGS, __ATOMIC_RELAXED) &
			 AVAIL_NO_INTERRUPT);
	event = load16(used_event(q), __ATOMIC_RELAXED);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - told);
}

bool virtq_enable_kicks(struct virtq *q)
{
	if (q->host.has_event_idx)
		store16(avail_event(q), q->st.next_avail);
	else
		store16(q->host.used + RING_FLAGS, 0);
	/* The wish must be out before avail.idx is looked at again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(q->host.avail + RING_IDX, __ATOMIC_RELAXED) !=
	       q->st.next_avail;
}

void virtq_disable_kicks(struct virtq *q)
{
	/* With EVENT_IDX an old avail_event asks for nothing. */
	if (!q->host.has_event_idx)
		store16(q->host.used + RING_FLAGS, USED_NO_NOTIFY);
}

/* --- state ----------------------------------------------------------- */

void virtq_sync(struct virtq_state *st, struct state_io *io)
{
	state_u16(io, &st->size);
	state_bool(io, &st->ready);
	state_u64(io, &st->desc);
	state_u64(io, &st->avail);
	state_u64(io, &st->used);
	state_u16(io, &st->next_avail);
	state_u16(io, &st->used_idx);
	state_u16(io, &st->told_idx);
}

int virtq_validate(const struct virtq_state *st, uint16_t max, struct err *e)
{
	if (st->size > max || (st->size & (st->size - 1)))
		return err_set(e, -EINVAL, "queue size %u (limit %u)", st->size,
			       max);
	if (st->ready && !st->size)
		return err_set(e, -EINVAL, "a ready queue of size 0");
	if ((uint16_t)(st->next_avail - st->used_idx) > st->size)
		return err_set(e, -EINVAL,
			       "%u chains taken, %u given back, size %u",
			       st->next_avail, st->used_idx, st->size);
	return 0;
}

/* --- bytes of a chain ------------------------------------------------ */

static uint64_t copy(const struct iovec *iov, unsigned int count,
		     uint64_t offset, void *flat, uint64_t len, bool to_guest)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < count && done < len; i++) {
		uint64_t room = iov[i].iov_len, n;
		uint8_t *at = iov[i].iov_base;

		if (offset >= room) {
			offset -= room;
			continue;
		}
		n = room - offset;
		if (n > len - done)
			n = len - done;
		if (to_guest)
			memcpy(at + offset, (uint8_t *)flat + done, n);
		else
			memcpy((uint8_t *)flat + done, at + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

uint64_t virtq_copy_out(const struct virtq_chain *c, uint64_t offset, void *to,
			uint64_t len)
{
	return copy(c->iov, c->reads, offset, to, len, false);
}

uint64_t virtq_copy_in(const struct virtq_chain *c, uint64_t offset,
		       const void *from, uint64_t len)
{
	union {
		const void *in;
		void *out;
	} flat = { .in = from }; /* copy() only reads it here */

	return copy(c->iov + c->reads, c->writes, offset, flat.out, len, true);
}
