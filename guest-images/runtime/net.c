/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames through two queues: NET_BUFFERS buffers of 2 KiB for each direction,
 * header and frame in one descriptor. The caller's CPU and privilege.
 */
#include "guest-images/runtime/net.h"

#define QUEUE_RX 0
#define QUEUE_TX 1

static void read_mac(struct net *n)
{
	unsigned i;

	for (i = 0; i < sizeof(n->mac); i++)
		n->mac[i] = virtio_has(n->dev, NET_F_MAC)
				    ? (uint8_t)virtio_config(n->dev, i, 1)
				    : (uint8_t)(i ? i : 2);
}

void net_start(struct net *n, struct virtio_dev *d)
{
	unsigned i;

	n->dev = d;
	virtio_start(d, 1ull << NET_F_MAC | 1ull << NET_F_STATUS);
	virtq_init(&n->rx, d, QUEUE_RX, NET_BUFFERS);
	virtq_init(&n->tx, d, QUEUE_TX, NET_BUFFERS);
	virtio_go(d);
	read_mac(n);
	if (!n->buffers)
		n->buffers = virtio_alloc(2 * NET_BUFFERS * sizeof(*n->buffers),
					  0x1000);
	n->tx_used = 0;
	for (i = 0; i < n->rx.size; i++)
		net_give(n, &n->buffers[i]);
	virtq_kick(&n->rx);
}

void net_give(struct net *n, struct net_buffer *b)
{
	struct virtio_buf buf = { b, sizeof(*b) };

	if (!virtq_add(&n->rx, &buf, 0, 1, b))
		guest_fail(FAIL_NO_QUEUE);
}

struct net_buffer *net_poll(struct net *n, unsigned *bytes)
{
	void *token;
	uint32_t used;

	while (virtq_take(&n->rx, &token, &used)) {
		if (used >= NET_HEADER && used <= sizeof(struct net_buffer)) {
			*bytes = used - NET_HEADER;
			return token;
		}
		n->bad++;
		net_give(n, token);
	}
	return NULL;
}

struct net_buffer *net_receive(struct net *n, unsigned *bytes)
{
	struct net_buffer *b;
	uint32_t seen;

	for (;;) {
		seen = n->dev->interrupts;
		b = net_poll(n, bytes);
		if (b)
			return b;
		virtq_kick(&n->rx);
		virtio_wait(n->dev, seen);
	}
}

struct net_buffer *net_take(struct net *n)
{
	void *token;

	if (virtq_take(&n->tx, &token, NULL))
		return token;
	if (n->tx_used < n->tx.size)
		return &n->buffers[NET_BUFFERS + n->tx_used++];
	virtq_kick(&n->tx);
	return virtq_wait(&n->tx, NULL);
}

void net_send(struct net *n, struct net_buffer *b, unsigned bytes)
{
	struct virtio_buf buf = { b, NET_HEADER + bytes };
	unsigned i;

	for (i = 0; i < NET_HEADER; i++)
		b->header[i] = 0;
	if (!virtq_add(&n->tx, &buf, 1, 0, b))
		guest_fail(FAIL_NO_QUEUE);
}

void net_flush(struct net *n)
{
	virtq_kick(&n->tx);
}

void net_drain(struct net *n)
{
	virtq_kick(&n->tx);
	while (n->tx.free < n->tx.size)
		virtq_wait(&n->tx, NULL);
	n->tx_used = 0;
}

unsigned net_sum(const uint8_t *at, unsigned bytes, unsigned sum)
{
	unsigned i;

	for (i = 0; i + 1 < bytes; i += 2)
		sum += net_get16(at + i);
	if (bytes & 1)
		sum += (unsigned)at[bytes - 1] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}
