/* SPDX-License-Identifier: Apache-2.0 */
/* The network device's insides, shared by vnet.c, vnet_rx.c, vnet_tx.c. */
#ifndef AMBER_DEVICES_VNET_PRIVATE_H
#define AMBER_DEVICES_VNET_PRIVATE_H

#include "base/bucket.h"
#include "devices/vnet.h"
#include "devices/vnet_format.h"

#define VNET_QUEUE_SIZE VIRTQ_SIZE_MAX
#define VNET_ROUND	64 /* frames, then others get their turn */
#define VNET_RX_BYTES	(NET_HEADER_BYTES + NET_FRAME_MAX)

struct vnet_way_counters {
	_Atomic uint64_t frames, bytes, dropped, bad;
};

/* A pair of queues: receive 2n, transmit 2n + 1. */
struct vnet_pair {
	struct vnet *vnet; /* borrowed */
	unsigned int index;
	struct loop_fd watch; /* of the backend's descriptor */
	uint32_t events;      /* that it is watched for */
	uint8_t *frame;	      /* owned: header and frame on their way in */
	uint32_t frame_bytes; /* with the header; 0: none */
};

struct vnet {
	struct virtio virtio;
	struct vnet_config cfg;
	struct {
		_Atomic bool is_up;
		/* Asks the driver to; until it says that it did. */
		_Atomic bool announces;
		uint16_t pairs; /* that the driver uses */
	} st;
	struct vnet_way_counters rx, tx;
	struct {
		struct virtio_loop loop;
		struct net_backend *backend; /* owned; NULL: none */
		struct vnet_pair pair[NET_QUEUES_MAX];
		struct virtq_chain chain; /* the loop's thread only */
		struct limiter rx_limiter, tx_limiter;
		struct loop_timer rx_timer, tx_timer, gone_timer;
		struct limits limits; /* each way */
		bool is_pulled;	      /* the cable, by a person; v->lock */
		bool has_news; /* of the link, since it was quiet; v->lock */
		void (*gone)(void *ctx);
		void *gone_ctx;
	} host;
};

/* Receives for a pair until the backend or the guest has no more. */
void vnet_receive(struct vnet_pair *p);
/* Transmits what a pair's queue holds. */
void vnet_transmit(struct vnet_pair *p);

/* Watches the backend of p for events (EPOLLIN, EPOLLOUT). */
void vnet_watch(struct vnet_pair *p, uint32_t events);
/* The backend said -EPIPE. */
void vnet_lost(struct vnet *n);

static inline void vnet_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
