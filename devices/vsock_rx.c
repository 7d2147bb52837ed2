/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for the guest, made when it has a buffer for them and not before
 * (VIRTIO 1.2, 5.10.6). The loop's thread, under the device's lock; INV-n:
 * vsock_private.h. Connections with something to tell take turns, a packet
 * each.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "devices/vsock_private.h"

#define ROUND	    64
#define EVENT_RESET 0 /* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET */
#define EVENT_BYTES 4
#define NOTHING	    0 /* no operation */

static void print(const struct vsock_header *h, uint8_t *b)
{
	put_le64(b, h->src_cid);
	put_le64(b + 8, h->dst_cid);
	put_le32(b + 16, h->src_port);
	put_le32(b + 20, h->dst_port);
	put_le32(b + 24, h->len);
	put_le16(b + 28, h->type);
	put_le16(b + 30, h->op);
	put_le32(b + 32, h->flags);
	put_le32(b + 36, h->buf_alloc);
	put_le32(b + 40, h->fwd_cnt);
}

/* Reads up to room bytes of the host's program into host.piece. */
static enum vsock_op take_data(struct vsock_conn *c, uint32_t room,
			       uint32_t *len)
{
	struct vsock *s = c->owner;
	uint32_t credit = vsock_conn_credit(c);
	ssize_t n;

	room = room < credit ? room : credit;
	room = room < sizeof(s->host.piece) ? room : sizeof(s->host.piece);
	do
		n = recv(c->fd, s->host.piece, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* Less than asked for: that was all, likely. */
		c->is_readable = n == (ssize_t)room || c->is_hung_up;
		c->sent += (uint32_t)n;
		*len = (uint32_t)n;
		vsock_count(&s->counters.to_guest_bytes, (uint64_t)n);
		return VSOCK_OP_RW;
	}
	if (n < 0 && errno == EAGAIN && !c->is_hung_up) {
		c->is_readable = false;
		return NOTHING;
	}
	if (n < 0 && errno != EAGAIN)
		return VSOCK_OP_RST;
	c->is_readable = false;
	c->host_shut |= c->is_hung_up ? VSOCK_SHUT_BOTH : VSOCK_SHUT_SEND;
	return VSOCK_OP_SHUTDOWN;
}

/* What is to be told first; room: bytes behind the header. */
static enum vsock_op choose(struct vsock_conn *c, uint32_t room, uint32_t *len)
{
	enum vsock_op op = NOTHING;

	if (c->tell & TELL_REQUEST)
		return VSOCK_OP_REQUEST;
	if (c->tell & TELL_RESPONSE)
		return VSOCK_OP_RESPONSE;
	if (c->tell & TELL_SHUTDOWN)
		return VSOCK_OP_SHUTDOWN;
	if (vsock_conn_has_data(c))
		op = take_data(c, room, len);
	if (op != NOTHING)
		return op;
	if (c->tell & TELL_CREDIT)
		return VSOCK_OP_CREDIT_UPDATE;
	return c->tell & TELL_ASK ? VSOCK_OP_CREDIT_REQUEST : NOTHING;
}

static void told(struct vsock_conn *c, enum vsock_op op)
{
	c->told_fwd = c->fwd;
	c->tell &= (uint8_t)~TELL_CREDIT;
	if (op == VSOCK_OP_REQUEST)
		c->tell &= (uint8_t)~TELL_REQUEST;
	else if (op == VSOCK_OP_RESPONSE)
		c->tell &= (uint8_t)~TELL_RESPONSE;
	else if (op == VSOCK_OP_CREDIT_REQUEST)
		c->tell &= (uint8_t)~TELL_ASK;
	else if (op == VSOCK_OP_SHUTDOWN)
		c->tell &= (uint8_t)~TELL_SHUTDOWN;
	/* A reset is the guest's answer to the end of both ways. */
	if (op == VSOCK_OP_SHUTDOWN && c->host_shut == VSOCK_SHUT_BOTH)
		vsock_conn_linger(c, VSOCK_LINGER_NS);
}

/* The next packet about c; false when there is none, or c is gone. */
static bool next_of(struct vsock_conn *c, uint32_t room, struct vsock_header *h)
{
	uint32_t len = 0;
	enum vsock_op op = choose(c, room, &len);

	if (op == VSOCK_OP_RST) {
		vsock_conn_reset(c); /* the list of resets is next */
		return false;
	}
	if (op != NOTHING) {
		*h = (struct vsock_header){
			.src_cid = VSOCK_CID_HOST,
			.dst_cid = c->owner->cfg.cid,
			.src_port = c->host_port,
			.dst_port = c->guest_port,
			.len = len,
			.type = VSOCK_TYPE_STREAM,
			.op = (uint16_t)op,
			.flags = op == VSOCK_OP_SHUTDOWN ? c->host_shut : 0,
			.buf_alloc = VSOCK_BUFFER_BYTES,
			.fwd_cnt = c->fwd,
		};
		told(c, op);
	}
	vsock_conn_settle(c);
	return op != NOTHING;
}

static bool next_rst(struct vsock *s, struct vsock_header *h)
{
	const struct vsock_rst *r = &s->host.rst[s->host.rst_start];

	if (!s->host.rsts)
		return false;
	*h = (struct vsock_header){ .src_cid = r->src_cid,
				    .dst_cid = s->cfg.cid,
				    .src_port = r->src_port,
				    .dst_port = r->dst_port,
				    .type = r->type,
				    .op = VSOCK_OP_RST };
	s->host.rst_start = (s->host.rst_start + 1) % VSOCK_RSTS_MAX;
	s->host.rsts--;
	vsock_count(&s->counters.resets, 1);
	return true;
}

/*
 * Each turn sends a packet, or takes a connection out of the list: it ends.
 */
static bool next_packet(struct vsock *s, uint32_t room, struct vsock_header *h)
{
	while (s->host.rsts || !TAILQ_EMPTY(&s->host.ready))
		if (next_rst(s, h) ||
		    next_of(TAILQ_FIRST(&s->host.ready), room, h))
			return true;
	return false;
}

static uint32_t room_of(const struct virtq_chain *chain)
{
	uint64_t room = chain->write_bytes - VSOCK_HEADER_BYTES;

	return room < VSOCK_BUFFER_BYTES ? (uint32_t)room : VSOCK_BUFFER_BYTES;
}

static void put(struct vsock *s, const struct vsock_header *h)
{
	const struct virtq_chain *chain = &s->host.chain;
	uint8_t bytes[VSOCK_HEADER_BYTES];

	print(h, bytes);
	virtq_copy_in(chain, 0, bytes, sizeof(bytes));
	virtq_copy_in(chain, sizeof(bytes), s->host.piece, h->len);
	virtq_push(&s->virtio.queue[VSOCK_RX], chain->head,
		   VSOCK_HEADER_BYTES + h->len);
}

bool vsock_serve_rx(struct virtio *v)
{
	struct vsock *s = (struct vsock *)v;
	struct virtq_chain *chain = &s->host.chain;
	struct vsock_header h;
	char text[96];
	unsigned int i;

	for (i = 0; i < ROUND; i++) {
		if (!s->host.rsts && TAILQ_EMPTY(&s->host.ready))
			return false;
		if (!virtio_pop(v, VSOCK_RX, chain))
			return virtio_ask(v, VSOCK_RX);
		if (chain->write_bytes <= VSOCK_HEADER_BYTES) {
			snprintf(text, sizeof(text),
				 "buffer of %llu bytes, a header has %d",
				 (unsigned long long)chain->write_bytes,
				 VSOCK_HEADER_BYTES);
			virtio_break(v, VSOCK_RX, text);
			return false;
		}
		if (!next_packet(s, room_of(chain), &h)) {
			virtq_unpop(&v->queue[VSOCK_RX], chain->head);
			return false;
		}
		put(s, &h);
	}
	return true;
}

bool vsock_serve_event(struct virtio *v)
{
	struct vsock *s = (struct vsock *)v;
	struct virtq_chain *chain = &s->host.chain;
	uint8_t bytes[EVENT_BYTES];
	uint64_t n;

	if (!s->st.reset_due)
		return false;
	if (!virtio_pop(v, VSOCK_EVENT, chain))
		return virtio_ask(v, VSOCK_EVENT);
	put_le32(bytes, EVENT_RESET);
	n = virtq_copy_in(chain, 0, bytes, sizeof(bytes));
	virtq_push(&v->queue[VSOCK_EVENT], chain->head, (uint32_t)n);
	s->st.reset_due = n < sizeof(bytes); /* too short: another try */
	return s->st.reset_due;
}
