/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of the guest (VIRTIO 1.2, 5.10.6). The loop's thread, under the
 * device's lock; INV-n: vsock_private.h. A packet is read once, into our own
 * memory. What breaks the protocol of a connection resets that connection;
 * only a packet without room for a header breaks the device.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "devices/vsock_private.h"

#define ROUND 64 /* packets, then others get their turn */

static void parse(const uint8_t *b, struct vsock_header *h)
{
	h->src_cid = get_le64(b);
	h->dst_cid = get_le64(b + 8);
	h->src_port = get_le32(b + 16);
	h->dst_port = get_le32(b + 20);
	h->len = get_le32(b + 24);
	h->type = get_le16(b + 28);
	h->op = get_le16(b + 30);
	h->flags = get_le32(b + 32);
	h->buf_alloc = get_le32(b + 36);
	h->fwd_cnt = get_le32(b + 40);
}

/* Answers h by a reset, unless it is one. */
static void reply_rst(struct vsock *s, const struct vsock_header *h)
{
	if (h->op != VSOCK_OP_RST)
		vsock_queue_rst(s, (struct vsock_rst){ h->dst_cid, h->dst_port,
						       h->src_port, h->type });
}

/* Could it belong to a connection, and does its length say the truth? */
static bool is_sound(const struct vsock_header *h, uint64_t payload)
{
	return h->dst_cid == VSOCK_CID_HOST && h->type == VSOCK_TYPE_STREAM &&
	       h->op >= VSOCK_OP_REQUEST && h->op <= VSOCK_OP_CREDIT_REQUEST &&
	       h->src_port != VSOCK_PORT_ANY && h->dst_port != VSOCK_PORT_ANY &&
	       h->len == payload;
}

static void take_credit(struct vsock_conn *c, const struct vsock_header *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
}

static void on_request(struct vsock *s, const struct vsock_header *h)
{
	int fd = vsock_dial(s, h->dst_port);
	struct vsock_conn *c = fd < 0 ? NULL : vsock_conn_take(s, fd);

	if (!c) {
		if (fd >= 0)
			close(fd);
		vsock_count(&s->counters.refused, 1);
		reply_rst(s, h);
		return;
	}
	vsock_conn_name(c, h->src_port, h->dst_port);
	take_credit(c, h);
	vsock_conn_open(c);
	c->tell = TELL_RESPONSE;
	vsock_conn_settle(c);
}

/* --- on a connection; false: against the protocol -------------------- */

static bool on_response(struct vsock_conn *c)
{
	char line[VSOCK_LINE_MAX];
	int len = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	if (c->state != REQUESTED || c->tell & TELL_REQUEST)
		return false;
	/* The first bytes on a socket always fit. */
	if (send(c->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
		return false;
	vsock_conn_open(c);
	return true;
}

static bool on_data(struct vsock_conn *c, const struct virtq_chain *chain,
		    uint32_t len)
{
	uint8_t *piece = c->owner->host.piece;

	if (c->state != OPEN || c->guest_shut & VSOCK_SHUT_SEND)
		return false;
	if (len > VSOCK_BUFFER_BYTES - c->used) /* beyond its credit: INV-3 */
		return false;
	virtq_copy_out(chain, VSOCK_HEADER_BYTES, piece, len);
	vsock_conn_write(c, piece, len);
	return true;
}

static bool on_shutdown(struct vsock_conn *c, uint32_t flags)
{
	if (c->state != OPEN)
		return false;
	c->guest_shut |= flags & VSOCK_SHUT_BOTH;
	return true;
}

/* The guest ended it, or never wanted it. */
static void on_rst(struct vsock_conn *c)
{
	if (c->state == REQUESTED)
		vsock_count(&c->owner->counters.refused, 1);
	/* Unless it said before that this was all it is an abort. */
	if (c->guest_shut & VSOCK_SHUT_SEND)
		vsock_conn_forget(c);
	else
		vsock_conn_drop(c);
}

static bool on_packet_of(struct vsock_conn *c, const struct vsock_header *h,
			 const struct virtq_chain *chain)
{
	take_credit(c, h);
	switch (h->op) {
	case VSOCK_OP_RESPONSE:
		return on_response(c);
	case VSOCK_OP_SHUTDOWN:
		return on_shutdown(c, h->flags);
	case VSOCK_OP_RW:
		return on_data(c, chain, h->len);
	case VSOCK_OP_CREDIT_REQUEST:
		c->tell |= TELL_CREDIT;
		return c->state == OPEN;
	case VSOCK_OP_CREDIT_UPDATE:
		return c->state == OPEN;
	default: /* a REQUEST for what is there */
		return false;
	}
}

static void on_packet(struct vsock *s, const struct virtq_chain *chain)
{
	struct vsock_conn *c = NULL;
	uint8_t bytes[VSOCK_HEADER_BYTES];
	struct vsock_header h;

	virtq_copy_out(chain, 0, bytes, sizeof(bytes));
	parse(bytes, &h);
	if (h.src_cid != s->cfg.cid) {
		vsock_count(&s->counters.dropped, 1);
		return;
	}
	if (h.dst_cid == VSOCK_CID_HOST && h.type == VSOCK_TYPE_STREAM)
		c = vsock_conn_find(s, h.src_port, h.dst_port);
	if (c && h.op == VSOCK_OP_RST) {
		on_rst(c);
	} else if (!is_sound(&h, chain->read_bytes - VSOCK_HEADER_BYTES)) {
		reply_rst(s, &h);
		if (c)
			vsock_conn_drop(c);
	} else if (c && on_packet_of(c, &h, chain)) {
		vsock_conn_settle(c);
	} else if (c) {
		vsock_conn_reset(c);
	} else if (h.op == VSOCK_OP_REQUEST) {
		on_request(s, &h);
	} else {
		reply_rst(s, &h);
	}
}

bool vsock_serve_tx(struct virtio *v)
{
	struct vsock *s = (struct vsock *)v;
	struct virtq_chain *chain = &s->host.chain;
	char text[96];
	unsigned int i;

	for (i = 0; i < ROUND; i++) {
		if (!virtio_pop(v, VSOCK_TX, chain))
			return virtio_ask(v, VSOCK_TX);
		if (chain->read_bytes < VSOCK_HEADER_BYTES) {
			snprintf(text, sizeof(text),
				 "packet of %llu bytes, its header has %d",
				 (unsigned long long)chain->read_bytes,
				 VSOCK_HEADER_BYTES);
			virtio_break(v, VSOCK_TX, text);
			return false;
		}
		on_packet(s, chain);
		virtq_push(&v->queue[VSOCK_TX], chain->head, 0);
	}
	return true;
}
