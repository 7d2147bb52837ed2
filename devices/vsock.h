/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device (VIRTIO 1.2, 5.10): stream connections between programs
 * of the host and of the guest, without a network. On the host it is Unix
 * sockets: one that the device listens on, where a program says which port
 * of the guest it wants ("CONNECT 52\n"), and one per port of the host that
 * programs listen on ("<path>_1234"). Works on a loop of its thread.
 */
#ifndef AMBER_DEVICES_VSOCK_H
#define AMBER_DEVICES_VSOCK_H

#include "base/err.h"
#include "devices/virtio_loop.h"

#define VSOCK_CID_MIN	 3
#define VSOCK_CID_MAX	 4294967294u
#define VSOCK_CONNS_MAX	 256 /* at once, those that only begin included */
#define VSOCK_PATH_BYTES 108 /* of a Unix socket's path, with the NUL */

struct vsock;

struct vsock_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct loop *loop;	     /* borrowed */
	uint32_t cid;		     /* the guest's */
	char path[VSOCK_PATH_BYTES]; /* of the socket that is listened on */
};

struct vsock_stats {
	uint32_t open;		/* connections now */
	uint64_t connections;	/* that came about, ever */
	uint64_t to_host_bytes; /* that host programs took */
	uint64_t to_guest_bytes;
	uint64_t resets;  /* sent to the guest */
	uint64_t refused; /* did not come about, from either side */
	uint64_t dropped; /* packets of the guest with a wrong sender */
};

/*
 * Makes the socket (0600); a socket file that is there is replaced: the
 * caller holds the VM's lock. Errors: -EINVAL (cid), -ENAMETOOLONG, -EEXIST
 * (no socket is there), what socket() and bind() say.
 */
int vsock_create(struct vsock **out, const struct vsock_config *cfg,
		 struct err *e);
/* After the loop's thread has ended; removes the socket. NULL is fine. */
void vsock_destroy(struct vsock *s);
struct virtio *vsock_virtio(struct vsock *s);

/*
 * Ends all connections and tells the guest that they are gone, as after a
 * restore. Any thread.
 */
void vsock_transport_reset(struct vsock *s);

/* Any thread. */
void vsock_get_stats(struct vsock *s, struct vsock_stats *out);

#endif
