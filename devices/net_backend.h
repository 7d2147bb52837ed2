/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a network card's frames go to and come from: a tap interface, passt
 * on a stream socket, a hub of datagram sockets. One thread, the card's.
 * Frames have no FCS. A frame goes with a struct virtio_net_hdr (VIRTIO 1.2,
 * 5.1.6) in front where has_header says so, else bare.
 */
#ifndef AMBER_DEVICES_NET_BACKEND_H
#define AMBER_DEVICES_NET_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

#define NET_HEADER_BYTES 12
#define NET_FRAME_MIN	 14
#define NET_FRAME_MAX	 (65535 + 14)
#define NET_QUEUES_MAX	 8 /* pairs of queues */

struct net_backend;

struct net_backend_ops {
	const char *name; /* "tap" */
	/*
	 * Sends one frame. 0: taken, -EAGAIN: wait until the queue's fd is
	 * writable and offer it again, else it is lost: -EINVAL (the frame is
	 * bad), -EPIPE (nobody is there any more)...
	 */
	int (*send)(struct net_backend *b, unsigned int q,
		    const struct iovec *iov, unsigned int n);
	/*
	 * Sends what is left of a frame that was taken. 0: nothing is left,
	 * -EAGAIN: call again when the queue's fd is writable, -EPIPE. NULL:
	 * a frame is taken whole.
	 */
	int (*flush)(struct net_backend *b, unsigned int q);
	/*
	 * Receives one frame into buf. Returns its bytes, -EAGAIN when there
	 * is none, -EPIPE when nobody is there any more.
	 */
	int (*recv)(struct net_backend *b, unsigned int q, uint8_t *buf,
		    uint32_t bytes);
	/* The driver negotiated these VIRTIO_NET_F_GUEST_* bits. May be NULL.
	 */
	void (*set_offload)(struct net_backend *b, uint64_t features);
	void (*destroy)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	unsigned int queues;
	int fd[NET_QUEUES_MAX]; /* owned, nonblocking, to be polled */
	bool has_header;
	uint64_t features; /* VIRTIO_NET_F_* that it can serve */
};

/*
 * A tap interface: an existing one, or one that is made (for which
 * CAP_NET_ADMIN is needed) and goes with the VM. name "" or ending in %d:
 * the kernel chooses, name (IFNAMSIZ bytes) is then filled in. Errors name
 * the cause: -ENOENT (no /dev/net/tun), -EPERM, -EBUSY, -EINVAL.
 */
int net_tap_open(struct net_backend **out, char *name, unsigned int queues,
		 struct err *e);

/*
 * A connected stream socket whose frames have a length of four bytes, big
 * endian, in front (passt, QEMU's -netdev stream). Takes fd over.
 */
int net_stream_create(struct net_backend **out, int fd, struct err *e);

/*
 * A hub: datagram sockets in the directory dir, one per card; every frame
 * goes to the card it is addressed to, or to all. id is the name of this
 * card's socket. Made if it isn't there. Errors: -EADDRINUSE...
 */
int net_hub_open(struct net_backend **out, const char *dir, const char *id,
		 struct err *e);

/* A cable that leads nowhere, for the features of any other backend. */
int net_isolated_create(struct net_backend **out, unsigned int queues,
			struct err *e);

/* NULL is fine. */
static inline void net_backend_destroy(struct net_backend *b)
{
	if (b)
		b->ops->destroy(b);
}

#endif
