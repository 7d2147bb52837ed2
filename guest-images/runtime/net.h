/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network devices (VIRTIO 1.2, 5.1): whole Ethernet frames in and out, no
 * offloads. At CPL3 or CPL0, one CPU.
 */
#ifndef GUEST_RUNTIME_NET_H
#define GUEST_RUNTIME_NET_H

#include "guest-images/runtime/virtio.h"

#define NET_FRAME_MAX 1514
#define NET_HEADER    12 /* struct virtio_net_hdr with num_buffers */
#define NET_BUFFERS   128
#define NET_F_MTU     3
#define NET_F_MAC     5
#define NET_F_STATUS  16

struct net_buffer {
	uint8_t header[NET_HEADER];
	uint8_t frame[2048 - NET_HEADER];
};

struct net {
	struct virtio_dev *dev;
	struct virtq rx, tx;
	uint8_t mac[6];
	struct net_buffer *buffers; /* rx, then tx */
	unsigned tx_used;	    /* tx buffers that were ever sent */
	uint64_t bad; /* received frames of an impossible length */
};

/* Handshake, both queues, all receive buffers given to the device. */
void net_start(struct net *n, struct virtio_dev *d);
/* Sleeps until a frame came; it is the caller's until net_give(). */
struct net_buffer *net_receive(struct net *n, unsigned *bytes);
/* The same without sleeping: NULL when there is none. */
struct net_buffer *net_poll(struct net *n, unsigned *bytes);
void net_give(struct net *n, struct net_buffer *b);
/* A buffer to fill; sleeps until there is one. Then it must be sent. */
struct net_buffer *net_take(struct net *n);
/* Hands it to the device; net_flush() tells it. */
void net_send(struct net *n, struct net_buffer *b, unsigned bytes);
void net_flush(struct net *n);
/* Sleeps until all frames were sent. */
void net_drain(struct net *n);

/* Numbers in network byte order. */
static inline unsigned net_get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static inline void net_put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* RFC 1071 over bytes, on top of a sum so far; not yet complemented. */
unsigned net_sum(const uint8_t *at, unsigned bytes, unsigned sum);

#endif
