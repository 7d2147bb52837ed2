/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: a frame comes from the backend into the pair's buffer, from
 * there into one or more chains of the guest (VIRTIO 1.2, 5.1.6.4). A frame
 * that finds no chain waits there, and the backend is not read until it is
 * gone. The loop's thread.
 */
#include <string.h>
#include <sys/epoll.h>

#include "devices/vnet_private.h"

#define CHAINS_MAX 64 /* of one frame */

enum delivery { DELIVERED, NO_ROOM, MORE_ROOM, TOO_LARGE };

/* Brings one frame into p's buffer. 0, or a negative errno. */
static int fetch(struct vnet_pair *p)
{
	struct net_backend *b = p->vnet->host.backend;
	uint32_t at = b->has_header ? 0 : NET_HEADER_BYTES;
	int r;

	r = b->ops->recv(b, p->index, p->frame + at, VNET_RX_BYTES - at);
	if (r < 0)
		return r;
	if (at + (uint32_t)r <= NET_HEADER_BYTES)
		return -EAGAIN; /* no frame: a backend does not do that */
	memset(p->frame, 0, at);
	p->frame_bytes = at + (uint32_t)r;
	return 0;
}

/*
 * Chains taken for a frame that does not fit are given back in reverse, so
 * that the queue is as it was.
 */
static void give_back(struct virtq *q, const uint16_t *head, unsigned int n)
{
	while (n)
		virtq_unpop(q, head[--n]);
}

/* Where a byte of the writable part lies; NULL: beyond its end. */
static uint8_t *byte_at(const struct virtq_chain *c, size_t offset)
{
	unsigned int i;

	for (i = c->reads; i < c->reads + c->writes; i++) {
		if (offset < c->iov[i].iov_len)
			return (uint8_t *)c->iov[i].iov_base + offset;
		offset -= c->iov[i].iov_len;
	}
	return NULL;
}

/*
 * No chain is left: asks for a kick as long as all are taken, so that the
 * wish is about the next one, then gives them back.
 */
static enum delivery wait_for_more(struct virtio *v, struct virtq *q,
				   const uint16_t *head, unsigned int n)
	LOCK_NEEDS(v->lock)
{
	bool more =
		!(v->st.status & VIRTIO_NEEDS_RESET) && virtq_enable_kicks(q);

	give_back(q, head, n);
	return more ? MORE_ROOM : NO_ROOM;
}

static enum delivery deliver(struct virtio *v, struct vnet_pair *p)
	LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	struct virtq_chain *c = &n->host.chain;
	struct virtq *q = &v->queue[2 * p->index];
	uint8_t *count_at[2] = { NULL, NULL };
	uint16_t head[CHAINS_MAX];
	uint32_t len[CHAINS_MAX], done = 0;
	unsigned int chains = 0, i;

	do {
		if (chains == CHAINS_MAX ||
		    (chains && !virtio_has(v, NET_F_MRG_RXBUF))) {
			give_back(q, head, chains);
			return TOO_LARGE;
		}
		if (!virtio_pop(v, 2 * p->index, c))
			return wait_for_more(v, q, head, chains);
		for (i = 0; !chains && i < 2; i++)
			count_at[i] = byte_at(c, NET_HDR_NUM_BUFFERS + i);
		head[chains] = c->head;
		len[chains] = (uint32_t)virtq_copy_in(c, 0, p->frame + done,
						      p->frame_bytes - done);
		done += len[chains++];
	} while (done < p->frame_bytes && c->write_bytes);
	if (done < p->frame_bytes || !count_at[1]) {
		give_back(q, head, chains);
		return TOO_LARGE;
	}
	*count_at[0] = (uint8_t)chains;
	*count_at[1] = 0;
	for (i = 0; i < chains; i++)
		virtq_push(q, head[i], len[i]);
	return DELIVERED;
}

/* A chain that can hold no frame is given back as if it were empty. */
static void skip_chain(struct virtio *v, struct vnet_pair *p)
	LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;

	if (virtio_pop(v, 2 * p->index, &n->host.chain))
		virtq_push(&v->queue[2 * p->index], n->host.chain.head, 0);
}

static void drop(struct vnet_pair *p)
{
	vnet_count(&p->vnet->rx.dropped, 1);
	p->frame_bytes = 0;
}

/* Puts the frame of p into the guest; false when it has to wait. */
static bool pass_on(struct virtio *v, struct vnet_pair *p) LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	uint32_t bytes = p->frame_bytes;

	/* A state that is being loaded may want it. */
	if (v->host.is_quiet)
		return false;
	if (!n->st.is_up || !(v->st.status & VIRTIO_DRIVER_OK) ||
	    p->index >= n->st.pairs) {
		drop(p);
		return true;
	}
	if (!virtio_may_work(v, 2 * p->index))
		return false;
	switch (deliver(v, p)) {
	case NO_ROOM:
		return false;
	case MORE_ROOM:
		return true; /* the frame is still there: once more */
	case TOO_LARGE:
		skip_chain(v, p);
		drop(p);
		return true;
	case DELIVERED:
		break;
	}
	p->frame_bytes = 0;
	vnet_count(&n->rx.frames, 1);
	vnet_count(&n->rx.bytes, bytes - NET_HEADER_BYTES);
	limiter_take(&n->host.rx_limiter, bytes);
	return true;
}

static void on_rx_timer(void *ctx)
{
	struct vnet *n = ctx;
	unsigned int i;

	for (i = 0; i < n->cfg.pairs; i++)
		vnet_receive(&n->host.pair[i]);
}

static bool is_limited(struct vnet *n)
{
	uint64_t wait_ns =
		limiter_wait_ns(&n->host.rx_limiter, &n->host.limits);

	if (wait_ns)
		loop_arm(n->host.loop.loop, &n->host.rx_timer, wait_ns,
			 on_rx_timer, n);
	return wait_ns;
}

/* One frame; 1: go on, 0: the backend is empty, -1: wait for the guest. */
static int receive_one(struct virtio *v, struct vnet_pair *p)
	LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	int r = 0;

	if (is_limited(n))
		return -1;
	if (!p->frame_bytes)
		r = fetch(p);
	if (r == -EPIPE) {
		vnet_lost(n);
		return -1;
	}
	if (r < 0)
		return 0;
	return pass_on(v, p) ? 1 : -1;
}

void vnet_receive(struct vnet_pair *p)
{
	struct virtio *v = &p->vnet->virtio;
	unsigned int i;
	int more = 1;

	lock_take(&v->lock);
	for (i = 0; i < VNET_ROUND && more > 0 && p->vnet->host.backend; i++)
		more = receive_one(v, p);
	/*
	 * Level-triggered: what is left of the backend wakes us again, but
	 * not what it has read already, nor a frame that waits here.
	 */
	vnet_watch(p, more < 0 ? p->events & ~(uint32_t)EPOLLIN
			       : p->events | EPOLLIN);
	if (i == VNET_ROUND && more > 0)
		virtio_kick(v, 2 * p->index);
	if (virtq_is_started(&v->queue[2 * p->index]))
		virtio_tell(v, 2 * p->index);
	lock_release(&v->lock);
}
