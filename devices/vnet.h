/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device (VIRTIO 1.2, 5.1) in front of a backend. Works on the
 * loop of a thread of its own. What the guest doesn't take is dropped and
 * counted: a guest that reads nothing, or floods, costs one frame of memory
 * for each pair of queues.
 */
#ifndef AMBER_DEVICES_VNET_H
#define AMBER_DEVICES_VNET_H

#include "base/err.h"
#include "devices/net_backend.h"
#include "devices/virtio_loop.h"

#define VNET_MAC_BYTES 6

struct vnet;

struct vnet_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct net_backend *backend; /* owned from a successful create on */
	struct loop *loop;	     /* borrowed */
	uint8_t mac[VNET_MAC_BYTES];
	unsigned int pairs;		    /* of queues, 1..NET_QUEUES_MAX */
	uint64_t bytes_per_s, frames_per_s; /* each way; 0: no limit */
	bool is_down;			    /* link state at the start */
};

int vnet_create(struct vnet **out, const struct vnet_config *cfg,
		struct err *e);
/* After the loop's thread has ended. NULL is fine. */
void vnet_destroy(struct vnet *n);
struct virtio *vnet_virtio(struct vnet *n);

/* Plugs the cable in or out; the guest is told. Any thread. */
void vnet_set_link(struct vnet *n, bool is_up);
/* Takes effect at once. 0: no limit. Any thread. */
void vnet_set_limits(struct vnet *n, uint64_t bytes_per_s,
		     uint64_t frames_per_s);

/*
 * The backend's other end is gone (or a new one came): the loop's thread.
 * The old backend is destroyed; NULL: none, the link is down.
 */
void vnet_set_backend(struct vnet *n, struct net_backend *backend);
/*
 * Told on the loop's thread when the backend's other end is gone. Nobody to
 * tell: the link goes down.
 */
void vnet_on_gone(struct vnet *n, void (*gone)(void *ctx), void *ctx);

struct vnet_way {
	uint64_t frames, bytes;
	uint64_t dropped; /* no room, link down, limits of the backend */
	uint64_t bad;	  /* malformed, by the guest */
};

struct vnet_stats {
	struct vnet_way rx, tx; /* as the guest sees them */
	bool is_up;
	uint64_t bytes_per_s, frames_per_s;
	const char *backend; /* static; "none" */
};

void vnet_get_stats(struct vnet *n, struct vnet_stats *out);
const uint8_t *vnet_mac(const struct vnet *n);

/* "52:54:00:12:34:56" and nothing else; false: it has another form. */
bool vnet_mac_parse(const char *text, uint8_t mac[VNET_MAC_BYTES]);
/*
 * The address of a VM's n-th card: locally administered, always the same for
 * the same VM, and with 46 bits of its UUID's hash not another's.
 */
void vnet_mac_of(const char *uuid, unsigned int n, uint8_t mac[VNET_MAC_BYTES]);

#endif
