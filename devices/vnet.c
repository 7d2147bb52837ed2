/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device: configuration, control queue, link, life, state
 * (VIRTIO 1.2, 5.1). Frames: vnet_rx.c and vnet_tx.c. Made and destroyed by
 * the machine's thread; the loop's thread works; any thread sets link and
 * limits.
 */
#include "devices/vnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/bytes.h"
#include "devices/vnet_private.h"

#define ID_NET	     1
#define CONFIG_BYTES 10 /* up to max_virtqueue_pairs */

enum { CFG_MAC = 0, CFG_STATUS = 6, CFG_PAIRS = 8 };

/* --- the backend's descriptor ---------------------------------------- */

/*
 * The other end went while the guest takes nothing: epoll would say so for
 * ever, and what was not read has nobody to go to.
 */
static bool is_unread_end(const struct vnet_pair *p, uint32_t events)
{
	return (events & (EPOLLHUP | EPOLLERR)) && !(p->events & EPOLLIN);
}

static void on_backend(void *ctx, uint32_t events)
{
	struct vnet_pair *p = ctx;
	struct virtio *v = &p->vnet->virtio;

	if (is_unread_end(p, events)) {
		lock_take(&v->lock);
		vnet_lost(p->vnet);
		lock_release(&v->lock);
		return;
	}
	if (events & EPOLLOUT) {
		vnet_watch(p, p->events & ~(uint32_t)EPOLLOUT);
		vnet_transmit(p);
	}
	if (events & ~(uint32_t)EPOLLOUT)
		vnet_receive(p);
}

void vnet_watch(struct vnet_pair *p, uint32_t events)
{
	if (p->events == events || !p->watch.loop)
		return;
	p->events = events;
	loop_modify(&p->watch, events);
}

static int watch_backend(struct vnet *n)
{
	struct net_backend *b = n->host.backend;
	unsigned int i;
	int r = 0;

	for (i = 0; i < b->queues && i < n->cfg.pairs && !r; i++) {
		struct vnet_pair *p = &n->host.pair[i];

		p->events = EPOLLIN;
		r = loop_add(n->host.loop.loop, &p->watch, b->fd[i], EPOLLIN,
			     on_backend, p);
	}
	return r;
}

static void drop_backend(struct vnet *n)
{
	unsigned int i;

	for (i = 0; i < n->cfg.pairs; i++) {
		loop_remove(&n->host.pair[i].watch);
		n->host.pair[i].frame_bytes = 0;
	}
	net_backend_destroy(n->host.backend);
	n->host.backend = NULL;
}

/* Up: the cable is plugged in, and leads somewhere. False: so it was. */
static bool set_link(struct virtio *v) LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	bool is_up = !n->host.is_pulled && n->host.backend;

	n->host.has_news = v->host.is_quiet;
	if (n->st.is_up == is_up)
		return false;
	n->st.is_up = is_up;
	virtio_config_changed(v);
	return true;
}

static void update_link(struct virtio *v) LOCK_NEEDS(v->lock)
{
	const struct vnet *n = (const struct vnet *)v;

	if (set_link(v))
		device_event(&v->cfg.events, DEVICE_LINK, v->cfg.id,
			     n->st.is_up ? "link is up" : "link is down");
}

/* Who waits for it brings a new one; else the cable leads nowhere. */
static void tell_gone(void *ctx)
{
	struct vnet *n = ctx;
	struct virtio *v = &n->virtio;

	if (n->host.gone) {
		n->host.gone(n->host.gone_ctx);
		return;
	}
	lock_take(&v->lock);
	update_link(v);
	lock_release(&v->lock);
}

/* The lock is held; who is told is told from a round of its own. */
void vnet_lost(struct vnet *n)
{
	drop_backend(n);
	loop_arm(n->host.loop.loop, &n->host.gone_timer, 0, tell_gone, n);
}

void vnet_set_backend(struct vnet *n, struct net_backend *backend)
{
	struct virtio *v = &n->virtio;
	unsigned int i;

	lock_take(&v->lock);
	drop_backend(n);
	n->host.backend = backend;
	if (backend && backend->ops->set_offload)
		backend->ops->set_offload(backend, v->st.features);
	if (backend && watch_backend(n))
		drop_backend(n);
	update_link(v);
	lock_release(&v->lock);
	for (i = 0; i < n->cfg.pairs; i++)
		virtio_kick(v, 2 * i + 1);
}

void vnet_on_gone(struct vnet *n, void (*gone)(void *ctx), void *ctx)
{
	n->host.gone = gone;
	n->host.gone_ctx = ctx;
}

/* --- control queue (5.1.6.5) ----------------------------------------- */

/* One that does not know of more has its control queue where those are. */
static unsigned int pairs_max(const struct vnet *n)
{
	return virtio_has(&n->virtio, NET_F_MQ) ? n->cfg.pairs : 1;
}

static uint8_t set_pairs(struct vnet *n, uint16_t pairs)
{
	if (!pairs || pairs > pairs_max(n))
		return NET_CTRL_ERR;
	n->st.pairs = pairs;
	return NET_CTRL_OK;
}

static uint8_t control(struct vnet *n, const struct virtq_chain *c)
{
	uint8_t bytes[4];
	uint64_t len = virtq_copy_out(c, 0, bytes, sizeof(bytes));

	if (len == 4 && bytes[0] == NET_CTRL_MQ &&
	    bytes[1] == NET_CTRL_MQ_PAIRS_SET)
		return set_pairs(n, get_le16(bytes + 2));
	if (len < 2 || bytes[0] != NET_CTRL_ANNOUNCE ||
	    bytes[1] != NET_CTRL_ANNOUNCE_ACK)
		return NET_CTRL_ERR;
	n->st.announces = false;
	return NET_CTRL_OK;
}

static void serve_control(struct virtio *v, unsigned int q)
{
	struct vnet *n = (struct vnet *)v;
	struct virtq_chain *c = &n->host.chain;
	unsigned int i;
	uint8_t answer;

	lock_take(&v->lock);
	for (i = 0; i < VNET_ROUND && virtio_may_work(v, q); i++) {
		if (!virtio_pop(v, q, c)) {
			if (virtio_ask(v, q))
				continue;
			break;
		}
		answer = control(n, c);
		virtq_push(&v->queue[q], c->head,
			   (uint32_t)virtq_copy_in(c, 0, &answer, 1));
	}
	if (i == VNET_ROUND)
		virtio_kick(v, q);
	if (virtq_is_started(&v->queue[q]))
		virtio_tell(v, q);
	lock_release(&v->lock);
}

/* --- the type's row -------------------------------------------------- */

/* Behind the pairs that the driver knows of: one without MQ (5.1.2). */
static unsigned int control_queue(struct virtio *v)
{
	const struct vnet *n = (const struct vnet *)v;
	bool knows_all;

	lock_take(&v->lock);
	knows_all = virtio_has(v, NET_F_MQ);
	lock_release(&v->lock);
	return knows_all ? 2 * n->cfg.pairs : 2;
}

static void vnet_kicked(struct virtio *v, unsigned int q)
{
	struct vnet *n = (struct vnet *)v;

	if (q == control_queue(v))
		serve_control(v, q);
	else if (q >= 2 * n->cfg.pairs)
		return;
	else if (q % 2)
		vnet_transmit(&n->host.pair[q / 2]);
	else
		vnet_receive(&n->host.pair[q / 2]);
}

static void set_offload(struct virtio *v)
{
	struct net_backend *b = ((struct vnet *)v)->host.backend;

	if (b && b->ops->set_offload)
		b->ops->set_offload(b, v->st.features);
}

static void vnet_activate(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;
	unsigned int i;

	/* A header that waits is of what another driver negotiated. */
	for (i = 0; i < n->cfg.pairs; i++)
		n->host.pair[i].frame_bytes = 0;
	set_offload(v);
}

static void vnet_reset(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;

	n->st.pairs = 1;
	n->st.announces = false;
}

static void vnet_get_config(struct virtio *v, uint8_t *bytes)
{
	const struct vnet *n = (const struct vnet *)v;

	memcpy(bytes + CFG_MAC, n->cfg.mac, VNET_MAC_BYTES);
	put_le16(bytes + CFG_STATUS,
		 (uint16_t)((n->st.is_up ? NET_STATUS_LINK_UP : 0) |
			    (n->st.announces ? NET_STATUS_ANNOUNCE : 0)));
	put_le16(bytes + CFG_PAIRS, (uint16_t)n->cfg.pairs);
}

/* The first version had a control queue only with several pairs. */
static unsigned int vnet_saved_queues(const struct virtio *v, uint32_t version)
{
	const struct vnet *n = (const struct vnet *)v;

	return version == 1 && n->cfg.pairs == 1 ? 2 : v->cfg.queues;
}

static void vnet_sync(struct virtio *v, struct state_io *io)
{
	struct vnet *n = (struct vnet *)v;
	uint16_t pairs = n->st.pairs;
	bool is_up = n->st.is_up, announces = n->st.announces;

	state_bool(io, &is_up);
	state_u16(io, &pairs);
	if (io->version > 1)
		state_bool(io, &announces);
	if (!state_is_loading(io) || io->error)
		return;
	n->st.is_up = is_up;
	n->st.pairs = pairs;
	n->st.announces = announces;
}

static int vnet_validate(const struct virtio *v, struct err *e)
{
	const struct vnet *n = (const struct vnet *)v;

	if (!n->st.pairs || n->st.pairs > pairs_max(n))
		return err_set(e, -EINVAL, "%u of %u pairs of queues in use",
			       n->st.pairs, n->cfg.pairs);
	return 0;
}

static int vnet_restored(struct virtio *v, struct err *e) LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;

	(void)e;
	set_offload(v);
	/* Who is on the network does not know that it is back (5.1.6.5.4). */
	if (n->st.is_up && virtio_has(v, NET_F_ANNOUNCE) && !n->st.announces) {
		n->st.announces = true;
		virtio_config_changed(v);
	}
	return 0;
}

/*
 * A state that was loaded meanwhile knows nothing of the news. Frames wait,
 * also for a driver that isn't there and will not take them.
 */
static void vnet_resumed(struct virtio *v) LOCK_NEEDS(v->lock)
{
	const struct vnet *n = (const struct vnet *)v;
	unsigned int i;

	if (n->host.has_news)
		set_link(v);
	for (i = 0; i < n->cfg.pairs; i++)
		virtio_kick(v, 2 * i);
}

static void get_way(struct vnet_way *to, const struct vnet_way_counters *from)
{
	to->frames = atomic_load(&from->frames);
	to->bytes = atomic_load(&from->bytes);
	to->dropped = atomic_load(&from->dropped);
	to->bad = atomic_load(&from->bad);
}

/* The lock keeps the backend from being replaced. */
static void get_stats_locked(struct virtio *v, struct vnet_stats *out)
	LOCK_NEEDS(v->lock)
{
	const struct vnet *n = (const struct vnet *)v;

	get_way(&out->rx, &n->rx);
	get_way(&out->tx, &n->tx);
	out->is_up = n->st.is_up;
	out->bytes_per_s = atomic_load(&n->host.limits.bytes_per_s);
	out->frames_per_s = atomic_load(&n->host.limits.number_per_s);
	out->backend = n->host.backend ? n->host.backend->ops->name : "none";
}

static void put_way(struct buf *out, const char *name, const struct vnet_way *w)
{
	buf_printf(out,
		   "%s_frames=%llu\n%s_bytes=%llu\n%s_dropped=%llu\n"
		   "%s_bad=%llu\n",
		   name, (unsigned long long)w->frames, name,
		   (unsigned long long)w->bytes, name,
		   (unsigned long long)w->dropped, name,
		   (unsigned long long)w->bad);
}

static void vnet_describe(struct virtio *v, struct buf *out) LOCK_NEEDS(v->lock)
{
	struct vnet *n = (struct vnet *)v;
	const uint8_t *m = n->cfg.mac;
	struct vnet_stats s;

	get_stats_locked(v, &s);
	buf_printf(out, "backend=%s\nmac=%02x:%02x:%02x:%02x:%02x:%02x\n",
		   s.backend, m[0], m[1], m[2], m[3], m[4], m[5]);
	buf_printf(out, "link=%s\npairs=%u\n", n->st.is_up ? "up" : "down",
		   n->st.pairs);
	put_way(out, "rx", &s.rx);
	put_way(out, "tx", &s.tx);
}

static const struct virtio_ops ops = {
	.id = ID_NET,
	.activate = vnet_activate,
	.reset = vnet_reset,
	.get_config = vnet_get_config,
	.saved_queues = vnet_saved_queues,
	.sync = vnet_sync,
	.validate = vnet_validate,
	.restored = vnet_restored,
	.describe = vnet_describe,
	.resumed = vnet_resumed,
	.kicked = vnet_kicked,
};

static const struct device_ops device_ops = {
	.name = "virtio-net",
	.state_version = 2, /* 2: announces */
	VIRTIO_DEVICE_OPS,
};

/* --- life ------------------------------------------------------------ */

static int make_pairs(struct vnet *n)
{
	unsigned int i;

	for (i = 0; i < n->cfg.pairs; i++) {
		struct vnet_pair *p = &n->host.pair[i];

		p->vnet = n;
		p->index = i;
		p->frame = malloc(VNET_RX_BYTES);
		if (!p->frame)
			return -ENOMEM;
	}
	return 0;
}

static int set_up(struct vnet *n, struct err *e)
{
	struct virtio_config vc = n->cfg.virtio;
	int r;

	vc.features = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF |
		      NET_F_CTRL_VQ | NET_F_ANNOUNCE | n->cfg.backend->features;
	if (n->cfg.pairs > 1)
		vc.features |= NET_F_MQ;
	vc.queues = 2 * n->cfg.pairs + 1;
	vc.queue_max = VNET_QUEUE_SIZE;
	vc.config_bytes = CONFIG_BYTES;
	r = virtio_init(&n->virtio, &device_ops, &ops, &vc, e);
	if (!r && make_pairs(n))
		r = err_sys(e, -ENOMEM, "%s: frames", vc.id);
	if (!r)
		r = virtio_loop_add(&n->host.loop, &n->virtio, n->cfg.loop, e);
	if (r)
		return r;
	n->host.backend = n->cfg.backend;
	r = watch_backend(n);
	return r ? err_sys(e, r, "%s: watching its backend", vc.id) : 0;
}

int vnet_create(struct vnet **out, const struct vnet_config *cfg, struct err *e)
{
	struct vnet *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_sys(e, -ENOMEM, "%s", cfg->virtio.id);
	n->cfg = *cfg;
	n->st.is_up = !cfg->is_down;
	n->host.is_pulled = cfg->is_down;
	n->st.pairs = 1;
	atomic_store(&n->host.limits.bytes_per_s, cfg->bytes_per_s);
	atomic_store(&n->host.limits.number_per_s, cfg->frames_per_s);
	r = set_up(n, e);
	if (r) {
		n->host.backend = NULL; /* stays the caller's */
		vnet_destroy(n);
		return r;
	}
	*out = n;
	return 0;
}

void vnet_destroy(struct vnet *n)
{
	unsigned int i;

	if (!n)
		return;
	loop_disarm(&n->host.rx_timer);
	loop_disarm(&n->host.tx_timer);
	loop_disarm(&n->host.gone_timer);
	drop_backend(n);
	virtio_loop_remove(&n->host.loop);
	for (i = 0; i < n->cfg.pairs; i++)
		free(n->host.pair[i].frame);
	virtio_fini(&n->virtio);
	free(n);
}

struct virtio *vnet_virtio(struct vnet *n)
{
	return &n->virtio;
}

/* --- from outside ---------------------------------------------------- */

void vnet_set_link(struct vnet *n, bool is_up)
{
	struct virtio *v = &n->virtio;

	lock_take(&v->lock);
	n->host.is_pulled = !is_up;
	update_link(v);
	lock_release(&v->lock);
}

void vnet_set_limits(struct vnet *n, uint64_t bytes_per_s,
		     uint64_t frames_per_s)
{
	unsigned int i;

	atomic_store(&n->host.limits.bytes_per_s, bytes_per_s);
	atomic_store(&n->host.limits.number_per_s, frames_per_s);
	for (i = 0; i < 2 * n->cfg.pairs; i++)
		virtio_kick(&n->virtio, i);
}

void vnet_get_stats(struct vnet *n, struct vnet_stats *out)
{
	struct virtio *v = &n->virtio;

	lock_take(&v->lock);
	get_stats_locked(v, out);
	lock_release(&v->lock);
}

const uint8_t *vnet_mac(const struct vnet *n)
{
	return n->cfg.mac;
}

bool vnet_mac_parse(const char *text, uint8_t mac[VNET_MAC_BYTES])
{
	unsigned int b[VNET_MAC_BYTES], i;
	char rest;

	if (strlen(text) != 3 * VNET_MAC_BYTES - 1 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
		   &b[3], &b[4], &b[5], &rest) != VNET_MAC_BYTES)
		return false;
	for (i = 0; i < VNET_MAC_BYTES; i++)
		mac[i] = (uint8_t)b[i];
	return true;
}

/* FNV-1a over the UUID and the number, then a finalizer that spreads it. */
void vnet_mac_of(const char *uuid, unsigned int n, uint8_t mac[VNET_MAC_BYTES])
{
	uint64_t h = 0xcbf29ce484222325;
	unsigned int i;

	for (; *uuid; uuid++)
		h = (h ^ (uint8_t)*uuid) * 0x100000001b3;
	h = (h ^ n) * 0x100000001b3;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccd;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53;
	h ^= h >> 33;
	for (i = 0; i < VNET_MAC_BYTES; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}
