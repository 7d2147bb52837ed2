/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the network device: one with a backend that records what is
 * sent and gives what it is told to give. A pipe makes it readable.
 */
#ifndef AMBER_TESTS_UNIT_NET_RIG_H
#define AMBER_TESTS_UNIT_NET_RIG_H

#include <fcntl.h>
#include <unistd.h>

#include "devices/vnet.h"
#include "devices/vnet_format.h"
#include "tests/unit/virtio_rig.h"

#define NET_OFFLOADS                                                         \
	(NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | \
	 NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)
#define NET_RIG_QUEUE  64
#define NET_RIG_BYTES  (NET_HEADER_BYTES + NET_FRAME_MAX)
#define NET_RIG_BUFFER 0x800 /* step of receive buffers in RIG_DATA */

/* A backend that a test drives. One queue of frames for all. */
struct fake_net {
	struct net_backend backend;
	int feed;	       /* writing makes it readable: a byte per frame */
	unsigned int incoming; /* frames that wait to be received */
	uint32_t incoming_bytes; /* of each */
	unsigned int sent, received, reads, flushes;
	uint8_t last[NET_RIG_BYTES]; /* sent, with the header if it has one */
	uint32_t last_bytes;
	int answer; /* of send */
	int flush;  /* answer of flush */
	bool is_dead;
	bool reads_ahead; /* all that wait, so that epoll sees none */
	bool is_fed;	  /* a byte is in the pipe */
	uint64_t offload;
	unsigned int offloads;
	bool *destroyed;
};

static inline int fake_net_send(struct net_backend *b, unsigned int q,
				const struct iovec *iov, unsigned int n)
{
	struct fake_net *f = (struct fake_net *)b;
	unsigned int i;

	(void)q;
	if (f->answer)
		return f->answer;
	f->last_bytes = 0;
	for (i = 0; i < n; i++) {
		if (f->last_bytes + iov[i].iov_len > sizeof(f->last))
			abort();
		memcpy(f->last + f->last_bytes, iov[i].iov_base,
		       iov[i].iov_len);
		f->last_bytes += (uint32_t)iov[i].iov_len;
	}
	f->sent++;
	return 0;
}

static inline int fake_net_flush(struct net_backend *b, unsigned int q)
{
	struct fake_net *f = (struct fake_net *)b;

	(void)q;
	f->flushes++;
	return f->flush;
}

static inline int fake_net_recv(struct net_backend *b, unsigned int q,
				uint8_t *buf, uint32_t bytes)
{
	struct fake_net *f = (struct fake_net *)b;
	uint8_t byte;

	(void)q;
	f->reads++;
	if (f->is_dead)
		return -EPIPE;
	if (!f->incoming)
		return -EAGAIN;
	f->incoming--;
	if (f->is_fed && (f->reads_ahead || !f->incoming)) {
		if (read(b->fd[0], &byte, 1) != 1)
			abort();
		f->is_fed = false;
	}
	if (f->incoming_bytes > bytes)
		abort();
	memset(buf, (int)(0x40 + f->received++ % 64), f->incoming_bytes);
	return (int)f->incoming_bytes;
}

static inline void fake_net_set_offload(struct net_backend *b,
					uint64_t features)
{
	struct fake_net *f = (struct fake_net *)b;

	f->offload = features;
	f->offloads++;
}

static inline void fake_net_destroy(struct net_backend *b)
{
	struct fake_net *f = (struct fake_net *)b;

	close(b->fd[0]);
	if (f->feed >= 0)
		close(f->feed);
	if (f->destroyed)
		*f->destroyed = true;
	free(f);
}

static const struct net_backend_ops fake_net_ops = {
	.name = "fake",
	.send = fake_net_send,
	.flush = fake_net_flush,
	.recv = fake_net_recv,
	.set_offload = fake_net_set_offload,
	.destroy = fake_net_destroy,
};

static inline struct fake_net *fake_net_create(bool has_header)
{
	struct fake_net *f = calloc(1, sizeof(*f));
	int fd[2];

	if (!f || pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		abort();
	f->backend = (struct net_backend){
		.ops = &fake_net_ops,
		.queues = 1,
		.fd = { fd[0] },
		.has_header = has_header,
		.features = has_header ? NET_OFFLOADS : 0,
	};
	f->feed = fd[1];
	f->incoming_bytes = 60;
	return f;
}

/* n more frames wait at the backend. */
static inline void fake_net_feed(struct fake_net *f, unsigned int n,
				 uint32_t bytes)
{
	if (!f->is_fed && write(f->feed, "", 1) != 1)
		abort();
	f->is_fed = true;
	f->incoming += n;
	f->incoming_bytes = bytes;
}

struct net_rig {
	struct rig rig;
	struct loop *loop;
	struct fake_net *fake; /* the card's */
	struct vnet *vnet;
	unsigned int gone;
};

static inline void net_rig_on_gone(void *ctx)
{
	((struct net_rig *)ctx)->gone++;
}

static inline void net_rig_init(struct net_rig *r, bool has_header,
				struct vnet_config c)
{
	memset(r, 0, sizeof(*r));
	rig_init(&r->rig);
	if (loop_create(&r->loop, NULL))
		abort();
	r->fake = fake_net_create(has_header);
	c.virtio = rig_config(&r->rig, "net0");
	c.backend = &r->fake->backend;
	c.loop = r->loop;
	c.pairs = c.pairs ? c.pairs : 1;
	vnet_mac_of("uuid", 0, c.mac);
	if (vnet_create(&r->vnet, &c, NULL))
		abort();
	vnet_on_gone(r->vnet, net_rig_on_gone, r);
	r->rig.device = &vnet_virtio(r->vnet)->device;
}

static inline void net_rig_fini(struct net_rig *r)
{
	vnet_destroy(r->vnet);
	loop_destroy(r->loop);
	rig_fini(&r->rig);
}

/* A card with one pair whose driver took these features. */
static inline void net_rig_start(struct net_rig *r, bool has_header,
				 uint64_t features)
{
	net_rig_init(r, has_header, (struct vnet_config){ .pairs = 1 });
	rig_start(&r->rig, features, 2, NET_RIG_QUEUE);
}

/* Offers n receive buffers of so many bytes. */
static inline void net_rig_buffers(struct net_rig *r, unsigned int n,
				   uint32_t bytes)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		rig_one(&r->rig, 0,
			RIG_DATA + 0x20000 +
				NET_RIG_BUFFER * r->rig.queue[0].next_desc,
			bytes, true);
	rig_serve(&r->rig, 0, r->loop);
}

static inline const uint8_t *net_rig_buffer(struct net_rig *r, uint32_t head)
{
	return r->rig.ram + RIG_DATA + 0x20000 + NET_RIG_BUFFER * head;
}

/* Transmits header and frame as they lie at RIG_DATA; was it answered? */
static inline bool net_rig_send(struct net_rig *r, uint32_t bytes)
{
	rig_one(&r->rig, 1, RIG_DATA, bytes, false);
	rig_serve(&r->rig, 1, r->loop);
	return rig_take(&r->rig, 1, NULL, NULL);
}

static inline struct vnet_stats net_rig_stats(struct net_rig *r)
{
	struct vnet_stats s;

	vnet_get_stats(r->vnet, &s);
	return s;
}

#endif
