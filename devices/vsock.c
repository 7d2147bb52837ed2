/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device: configuration, life, state (VIRTIO 1.2, 5.10). Made and
 * destroyed by the machine's thread, which does not run together with the
 * loop's; reset and loaded by any thread, under the lock: see INV-1 in
 * vsock_private.h. Connections are not saved: who loads a state finds none,
 * and is told (5.10.6.7).
 */
#include "devices/vsock.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/vsock_private.h"

#define ID_SOCKET     19
#define F_STREAM      (1ULL << 0)
#define CONFIG_BYTES  8
#define QUEUE_SIZE    256
#define SOCKET_SUFFIX 11 /* "_4294967295" */

void vsock_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* --- work ------------------------------------------------------------ */

void vsock_enter(struct vsock *s)
{
	lock_take(&s->virtio.lock);
	if (s->host.is_dropping)
		vsock_conn_drop_all(s);
	s->host.is_dropping = false;
}

static void serve(struct virtio *v, enum vsock_queue q) LOCK_NEEDS(v->lock)
{
	bool more;

	if (!virtio_may_work(v, q))
		return;
	if (q == VSOCK_TX)
		more = vsock_serve_tx(v);
	else if (q == VSOCK_RX)
		more = vsock_serve_rx(v);
	else
		more = vsock_serve_event(v);
	if (more)
		virtio_kick(v, q);
	virtio_tell(v, q);
}

void vsock_leave(struct vsock *s)
{
	serve(&s->virtio, VSOCK_EVENT);
	serve(&s->virtio, VSOCK_RX);
	if (s->virtio.st.status & VIRTIO_NEEDS_RESET)
		vsock_conn_drop_all(s);
	lock_release(&s->virtio.lock);
}

static void vsock_kicked(struct virtio *v, unsigned int q)
{
	struct vsock *s = (struct vsock *)v;

	vsock_enter(s);
	if (q == VSOCK_TX)
		serve(&s->virtio, VSOCK_TX);
	vsock_leave(s);
}

/* --- the type's row -------------------------------------------------- */

static void drop_soon(struct vsock *s)
{
	s->host.is_dropping = true; /* INV-1 */
	virtio_kick(&s->virtio, VSOCK_TX);
}

static void vsock_reset(struct virtio *v)
{
	struct vsock *s = (struct vsock *)v;

	s->st.next_port = VSOCK_PORT_FIRST;
	s->st.reset_due = false;
	drop_soon(s);
}

static void vsock_get_config(struct virtio *v, uint8_t *bytes)
{
	const struct vsock *s = (const struct vsock *)v;

	put_le64(bytes, s->cfg.cid);
}

static void vsock_sync(struct virtio *v, struct state_io *io)
{
	struct vsock *s = (struct vsock *)v;
	uint32_t next_port = s->st.next_port;
	bool reset_due = s->st.reset_due;

	state_u32(io, &next_port);
	state_bool(io, &reset_due);
	if (!state_is_loading(io) || io->error)
		return;
	s->st.next_port = next_port;
	s->st.reset_due = reset_due;
	drop_soon(s);
}

static int vsock_validate(const struct virtio *v, struct err *e)
{
	const struct vsock *s = (const struct vsock *)v;

	if (s->st.next_port < VSOCK_PORT_FIRST ||
	    s->st.next_port > VSOCK_PORT_LAST)
		return err_set(e, -EINVAL, "next port %u", s->st.next_port);
	return 0;
}

static int vsock_restored(struct virtio *v, struct err *e)
{
	struct vsock *s = (struct vsock *)v;

	(void)e;
	s->st.reset_due = true;
	drop_soon(s);
	return 0;
}

static void vsock_describe(struct virtio *v, struct buf *out)
{
	struct vsock *s = (struct vsock *)v;
	struct vsock_stats n;

	vsock_get_stats(s, &n);
	buf_printf(out, "cid=%u\nsocket=%s\nopen=%u\nconnections=%llu\n",
		   s->cfg.cid, s->cfg.path, n.open,
		   (unsigned long long)n.connections);
	buf_printf(out, "to_host=%llu\nto_guest=%llu\n",
		   (unsigned long long)n.to_host_bytes,
		   (unsigned long long)n.to_guest_bytes);
	buf_printf(out, "resets=%llu\nrefused=%llu\ndropped=%llu\n",
		   (unsigned long long)n.resets, (unsigned long long)n.refused,
		   (unsigned long long)n.dropped);
}

static const struct virtio_ops ops = {
	.id = ID_SOCKET,
	.reset = vsock_reset,
	.get_config = vsock_get_config,
	.sync = vsock_sync,
	.validate = vsock_validate,
	.restored = vsock_restored,
	.describe = vsock_describe,
	.kicked = vsock_kicked,
};

static const struct device_ops device_ops = {
	.name = "virtio-vsock",
	.state_version = 1,
	VIRTIO_DEVICE_OPS,
};

/* --- life ------------------------------------------------------------ */

static int check(const struct vsock_config *cfg, struct err *e)
{
	size_t len = strnlen(cfg->path, sizeof(cfg->path));
	size_t max = sizeof(cfg->path) - 1 - SOCKET_SUFFIX;

	if (cfg->cid < VSOCK_CID_MIN || cfg->cid > VSOCK_CID_MAX)
		return err_set(e, -EINVAL, "%s: cid %u is not in %u..%u",
			       cfg->virtio.id, cfg->cid, VSOCK_CID_MIN,
			       VSOCK_CID_MAX);
	if (!len || len > max)
		return err_set(e, -ENAMETOOLONG,
			       "%s: '%.*s': the socket's path has 1..%zu "
			       "characters, this has %zu",
			       cfg->virtio.id, (int)len, cfg->path, max, len);
	return 0;
}

int vsock_create(struct vsock **out, const struct vsock_config *cfg,
		 struct err *e)
{
	struct virtio_config vc = cfg->virtio;
	struct vsock *s;
	int r = check(cfg, e);

	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_sys(e, -ENOMEM, "%s", vc.id);
	s->cfg = *cfg;
	s->st.next_port = VSOCK_PORT_FIRST;
	s->host.listen_fd = -1;
	vc.features = F_STREAM;
	vc.queues = VSOCK_QUEUES;
	vc.queue_max = QUEUE_SIZE;
	vc.config_bytes = CONFIG_BYTES;
	r = virtio_init(&s->virtio, &device_ops, &ops, &vc, e);
	if (!r)
		r = vsock_conns_init(s, e);
	if (!r)
		r = virtio_loop_add(&s->host.loop, &s->virtio, cfg->loop, e);
	if (!r)
		r = vsock_listen(s, e);
	if (r) {
		vsock_destroy(s);
		return r;
	}
	*out = s;
	return 0;
}

void vsock_destroy(struct vsock *s)
{
	if (!s)
		return;
	vsock_unlisten(s);
	vsock_conns_fini(s);
	virtio_loop_remove(&s->host.loop);
	virtio_fini(&s->virtio);
	free(s);
}

struct virtio *vsock_virtio(struct vsock *s)
{
	return &s->virtio;
}

void vsock_transport_reset(struct vsock *s)
{
	lock_take(&s->virtio.lock);
	s->st.reset_due = s->virtio.st.status & VIRTIO_DRIVER_OK;
	drop_soon(s);
	lock_release(&s->virtio.lock);
}

void vsock_get_stats(struct vsock *s, struct vsock_stats *out)
{
	*out = (struct vsock_stats){
		.open = atomic_load(&s->counters.open),
		.connections = atomic_load(&s->counters.connections),
		.to_host_bytes = atomic_load(&s->counters.to_host_bytes),
		.to_guest_bytes = atomic_load(&s->counters.to_guest_bytes),
		.resets = atomic_load(&s->counters.resets),
		.refused = atomic_load(&s->counters.refused),
		.dropped = atomic_load(&s->counters.dropped),
	};
}
