/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmitting: a chain's header is read once and checked, then the rest of
 * the chain goes to the backend as it lies in guest memory (VIRTIO 1.2,
 * 5.1.6.2). The loop's thread.
 */
#include <string.h>
#include <sys/epoll.h>

#include "base/bytes.h"
#include "devices/vnet_private.h"

enum verdict { SENT, LATER, LOST };

/* Cuts the header off; out[0] is left for it. Returns how many pieces. */
static unsigned int cut_header(const struct virtq_chain *c, struct iovec *out)
{
	size_t skip = NET_HEADER_BYTES;
	unsigned int i, n = 1;

	for (i = 0; i < c->reads; i++) {
		if (c->iov[i].iov_len <= skip) {
			skip -= c->iov[i].iov_len;
			continue;
		}
		out[n] = c->iov[i];
		out[n].iov_base = (uint8_t *)out[n].iov_base + skip;
		out[n].iov_len -= skip;
		skip = 0;
		n++;
	}
	return n;
}

static bool gso_fits(const struct virtio *v, const uint8_t *h)
{
	switch (h[NET_HDR_GSO_TYPE] & ~NET_GSO_ECN) {
	case NET_GSO_NONE:
		return true;
	case NET_GSO_TCPV4:
		return virtio_has(v, NET_F_HOST_TSO4) &&
		       get_le16(h + NET_HDR_GSO_SIZE);
	case NET_GSO_TCPV6:
		return virtio_has(v, NET_F_HOST_TSO6) &&
		       get_le16(h + NET_HDR_GSO_SIZE);
	default:
		return false;
	}
}

static bool header_fits(const struct virtio *v, const uint8_t *h,
			uint64_t frame_bytes)
{
	uint32_t start = get_le16(h + NET_HDR_CSUM_START);
	uint32_t offset = get_le16(h + NET_HDR_CSUM_OFFSET);

	if (frame_bytes < NET_FRAME_MIN || frame_bytes > NET_FRAME_MAX ||
	    get_le16(h + NET_HDR_HDR_LEN) > frame_bytes || !gso_fits(v, h))
		return false;
	if (!(h[NET_HDR_FLAGS] & NET_HDR_NEEDS_CSUM))
		return true;
	return virtio_has(v, NET_F_CSUM) && start + offset + 2 <= frame_bytes;
}

static enum verdict send_chain(struct virtio *v, struct vnet_pair *p)
	LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	struct net_backend *b = n->host.backend;
	const struct virtq_chain *c = &n->host.chain;
	struct iovec iov[VIRTQ_CHAIN_MAX + 1];
	uint8_t h[NET_HEADER_BYTES];
	uint64_t bytes = c->read_bytes - NET_HEADER_BYTES;
	unsigned int pieces;
	int r;

	if (virtq_copy_out(c, 0, h, sizeof(h)) != sizeof(h) ||
	    !header_fits(v, h, bytes)) {
		vnet_count(&n->tx.bad, 1);
		return LOST;
	}
	if (!b || !n->st.is_up) {
		vnet_count(&n->tx.dropped, 1);
		return LOST;
	}
	pieces = cut_header(c, iov);
	put_le16(h + NET_HDR_NUM_BUFFERS, 0);
	iov[0] = (struct iovec){ h, sizeof(h) };
	r = b->ops->send(b, p->index % b->queues, iov + !b->has_header,
			 pieces - !b->has_header);
	if (r == -EAGAIN)
		return LATER;
	if (r == -EPIPE)
		vnet_lost(n);
	if (r) {
		vnet_count(r == -EINVAL ? &n->tx.bad : &n->tx.dropped, 1);
		return LOST;
	}
	vnet_count(&n->tx.frames, 1);
	vnet_count(&n->tx.bytes, bytes);
	return SENT;
}

static void on_tx_timer(void *ctx)
{
	struct vnet *n = ctx;
	unsigned int i;

	for (i = 0; i < n->cfg.pairs; i++)
		virtio_kick(&n->virtio, 2 * i + 1);
}

static bool is_limited(struct vnet *n)
{
	uint64_t wait_ns =
		limiter_wait_ns(&n->host.tx_limiter, &n->host.limits);

	if (wait_ns)
		loop_arm(n->host.loop.loop, &n->host.tx_timer, wait_ns,
			 on_tx_timer, n);
	return wait_ns;
}

/* Sends up to a round; true when more may be there. */
static bool transmit_locked(struct virtio *v, struct vnet_pair *p)
	LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	unsigned int index = 2 * p->index + 1, i;
	struct virtq *q = &v->queue[index];
	const struct virtq_chain *c = &n->host.chain;

	for (i = 0; i < VNET_ROUND; i++) {
		if (!virtio_may_work(v, index) || is_limited(n))
			return false;
		if (!virtio_pop(v, index, &n->host.chain))
			return virtio_ask(v, index);
		if (send_chain(v, p) == LATER) {
			virtq_unpop(q, c->head);
			vnet_watch(p, p->events | EPOLLOUT);
			return false;
		}
		limiter_take(&n->host.tx_limiter, c->read_bytes);
		virtq_push(q, c->head, 0);
	}
	return true;
}

/* Has the rest of the last frame follow, also when no other one does. */
static void flush(struct vnet_pair *p)
{
	struct net_backend *b = p->vnet->host.backend;
	int r;

	if (!b || !b->ops->flush)
		return;
	r = b->ops->flush(b, p->index % b->queues);
	if (r == -EAGAIN)
		vnet_watch(p, p->events | EPOLLOUT);
	else if (r)
		vnet_lost(p->vnet);
}

void vnet_transmit(struct vnet_pair *p)
{
	struct virtio *v = &p->vnet->virtio;
	unsigned int index = 2 * p->index + 1;

	lock_take(&v->lock);
	/* Also the wish for no kicks is a write to guest memory. */
	if (virtio_may_work(v, index)) {
		virtq_disable_kicks(&v->queue[index]);
		if (transmit_locked(v, p))
			virtio_kick(v, index);
		virtio_tell(v, index);
	}
	flush(p);
	lock_release(&v->lock);
}
