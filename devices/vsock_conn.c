/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: the table, bytes towards the host's program, what is waited
 * for. The loop's thread, under the device's lock; INV-n: vsock_private.h.
 * vsock_conn_settle() is the one place that decides what follows from a
 * connection's state, so that the callers only say what has happened.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock_private.h"

#define NO_KEY	   UINT64_MAX /* no ports of a connection */
#define ALL_BYTES  ((size_t)VSOCK_CONNS_MAX * VSOCK_BUFFER_BYTES)
#define TELL_AFTER (VSOCK_BUFFER_BYTES / 2) /* bytes of new credit */

/* --- the table ------------------------------------------------------- */

int vsock_conns_init(struct vsock *s, struct err *e)
{
	unsigned int i;
	/* Pages come as they are touched, and go with their connection. */
	void *all = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TAILQ_INIT(&s->host.free);
	TAILQ_INIT(&s->host.ready);
	if (all == MAP_FAILED)
		return err_sys(e, -errno, "%s: buffers", s->virtio.cfg.id);
	s->host.buffers = all;
	for (i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct vsock_conn *c = &s->host.conn[i];

		c->owner = s;
		c->fd = -1;
		c->watch.fd = -1;
		c->buffer = s->host.buffers + (size_t)i * VSOCK_BUFFER_BYTES;
		s->host.key[i] = NO_KEY;
		TAILQ_INSERT_TAIL(&s->host.free, c, link);
	}
	return 0;
}

void vsock_conns_fini(struct vsock *s)
{
	if (!s->host.buffers)
		return;
	vsock_conn_drop_all(s);
	munmap(s->host.buffers, ALL_BYTES);
}

struct vsock_conn *vsock_conn_take(struct vsock *s, int fd)
{
	struct vsock_conn *c = TAILQ_FIRST(&s->host.free);

	if (!c)
		return NULL;
	TAILQ_REMOVE(&s->host.free, c, link);
	c->state = GREETING;
	c->fd = fd;
	c->is_writable = true;
	atomic_fetch_add(&s->counters.open, 1);
	return c;
}

static uint64_t key_of(uint32_t guest_port, uint32_t host_port)
{
	return (uint64_t)guest_port << 32 | host_port;
}

struct vsock_conn *vsock_conn_find(struct vsock *s, uint32_t guest_port,
				   uint32_t host_port)
{
	uint64_t key = key_of(guest_port, host_port);
	unsigned int i;

	if (key == NO_KEY)
		return NULL;
	for (i = 0; i < VSOCK_CONNS_MAX; i++)
		if (s->host.key[i] == key)
			return &s->host.conn[i];
	return NULL;
}

void vsock_conn_name(struct vsock_conn *c, uint32_t guest_port,
		     uint32_t host_port)
{
	struct vsock *s = c->owner;

	c->guest_port = guest_port;
	c->host_port = host_port;
	s->host.key[c - s->host.conn] = key_of(guest_port, host_port);
}

static void forget_name(struct vsock_conn *c)
{
	c->owner->host.key[c - c->owner->host.conn] = NO_KEY;
}

static void set_ready(struct vsock_conn *c, bool is_ready)
{
	struct vsock_list *ready = &c->owner->host.ready;

	if (c->is_ready)
		TAILQ_REMOVE(ready, c, link);
	if (is_ready) /* at the end: others first */
		TAILQ_INSERT_TAIL(ready, c, link);
	c->is_ready = is_ready;
}

void vsock_conn_drop(struct vsock_conn *c)
{
	struct vsock *s = c->owner;

	set_ready(c, false);
	forget_name(c);
	loop_remove(&c->watch);
	loop_disarm(&c->timer);
	if (c->fd >= 0)
		close(c->fd);
	if (c->is_touched)
		madvise(c->buffer, VSOCK_BUFFER_BYTES, MADV_DONTNEED);
	*c = (struct vsock_conn){
		.owner = s, .fd = -1, .watch.fd = -1, .buffer = c->buffer
	};
	TAILQ_INSERT_TAIL(&s->host.free, c, link);
	atomic_fetch_sub(&s->counters.open, 1);
}

void vsock_conn_drop_all(struct vsock *s)
{
	unsigned int i;

	s->host.rsts = 0;
	for (i = 0; i < VSOCK_CONNS_MAX; i++)
		if (s->host.conn[i].state != FREE)
			vsock_conn_drop(&s->host.conn[i]);
}

/* --- the end of a connection ----------------------------------------- */

/* One that does not fit is not sent: the next packet asks for it again. */
void vsock_queue_rst(struct vsock *s, struct vsock_rst rst)
{
	unsigned int at = (s->host.rst_start + s->host.rsts) % VSOCK_RSTS_MAX;

	if (s->host.rsts == VSOCK_RSTS_MAX)
		return;
	s->host.rst[at] = rst;
	s->host.rsts++;
}

void vsock_conn_reset(struct vsock_conn *c)
{
	if (c->state == REQUESTED || c->state == OPEN)
		vsock_queue_rst(c->owner,
				(struct vsock_rst){ VSOCK_CID_HOST,
						    c->host_port, c->guest_port,
						    VSOCK_TYPE_STREAM });
	vsock_conn_drop(c);
}

static void on_timer(void *ctx)
{
	struct vsock_conn *c = ctx;
	struct vsock *s = c->owner;

	vsock_enter(s);
	if (c->state == FREE) {
		;
	} else if (s->virtio.host.is_quiet && c->state != GREETING) {
		vsock_conn_linger(c, VSOCK_LINGER_NS); /* the guest can't */
	} else {
		if (c->state == REQUESTED || c->state == GREETING)
			vsock_count(&s->counters.refused, 1);
		vsock_conn_reset(c);
	}
	vsock_leave(s);
}

void vsock_conn_linger(struct vsock_conn *c, uint64_t ns)
{
	if (!c->timer.loop)
		loop_arm(c->owner->cfg.loop, &c->timer, ns, on_timer, c);
}

void vsock_conn_forget(struct vsock_conn *c)
{
	if (c->state != OPEN || !c->used) {
		vsock_conn_drop(c);
		return;
	}
	forget_name(c);
	c->state = FLUSHING;
	c->tell = 0;
	loop_disarm(&c->timer);
	vsock_conn_linger(c, VSOCK_LINGER_NS);
	vsock_conn_settle(c);
}

/* --- bytes towards the host ------------------------------------------ */

/* The host takes no more. */
static void lose(struct vsock_conn *c)
{
	c->fwd += c->used;
	c->start = c->used = 0;
	if (!(c->host_shut & VSOCK_SHUT_RCV))
		c->tell |= TELL_SHUTDOWN;
	c->host_shut |= VSOCK_SHUT_RCV;
}

/* Returns the bytes that the host took. */
static uint32_t send_some(struct vsock_conn *c, const uint8_t *bytes,
			  uint32_t len)
{
	ssize_t n;

	if (c->host_shut & VSOCK_SHUT_RCV)
		return len; /* nobody wants them */
	if (!c->is_writable || !len)
		return 0;
	do
		n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		lose(c);
		return len;
	}
	if (n < (ssize_t)len)
		c->is_writable = false;
	n = n < 0 ? 0 : n;
	vsock_count(&c->owner->counters.to_host_bytes, (uint64_t)n);
	return (uint32_t)n;
}

static void keep(struct vsock_conn *c, const uint8_t *bytes, uint32_t len)
{
	uint32_t at = (c->start + c->used) % VSOCK_BUFFER_BYTES;
	uint32_t n = VSOCK_BUFFER_BYTES - at;

	n = n < len ? n : len;
	memcpy(c->buffer + at, bytes, n);
	memcpy(c->buffer, bytes + n, len - n);
	c->used += len;
	c->is_touched = true;
}

void vsock_conn_write(struct vsock_conn *c, const uint8_t *bytes, uint32_t len)
{
	uint32_t n = c->used ? 0 : send_some(c, bytes, len);

	c->fwd += n;
	if (n < len)
		keep(c, bytes + n, len - n); /* INV-3 */
}

static void flush(struct vsock_conn *c)
{
	uint32_t n, run;

	while (c->used) {
		run = VSOCK_BUFFER_BYTES - c->start;
		run = run < c->used ? run : c->used;
		n = send_some(c, c->buffer + c->start, run);
		if (!c->used) /* all was lost, and counted */
			return;
		c->fwd += n;
		c->start = (c->start + n) % VSOCK_BUFFER_BYTES;
		c->used -= n;
		if (n < run)
			return;
	}
}

/* --- what follows ---------------------------------------------------- */

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t under_way = c->sent - c->peer_fwd;

	return under_way < c->peer_alloc ? c->peer_alloc - under_way : 0;
}

/* Is what the host's program sends still wanted? */
static bool reads_host(const struct vsock_conn *c)
{
	return c->state == OPEN && !(c->host_shut & VSOCK_SHUT_SEND) &&
	       !(c->guest_shut & VSOCK_SHUT_RCV);
}

bool vsock_conn_has_data(const struct vsock_conn *c)
{
	return reads_host(c) && c->is_readable && vsock_conn_credit(c);
}

static void on_ready(void *ctx, uint32_t events)
{
	struct vsock_conn *c = ctx;
	struct vsock *s = c->owner;
	bool gone = events & (EPOLLHUP | EPOLLERR);

	vsock_enter(s);
	if (c->state != FREE) {
		c->is_hung_up |= gone;
		c->is_readable |= gone || events & EPOLLIN;
		c->is_writable |= gone || events & EPOLLOUT;
		if (c->state == GREETING)
			vsock_greet(c);
		else
			vsock_conn_settle(c);
	}
	vsock_leave(s);
}

static int watch(struct vsock_conn *c)
{
	uint32_t events = 0;

	/* A socket that has hung up would be ready for ever. */
	if (c->is_hung_up) {
		loop_remove(&c->watch);
		return 0;
	}
	if (c->state == GREETING || (reads_host(c) && !c->is_readable))
		events |= EPOLLIN;
	if (c->used && !c->is_writable)
		events |= EPOLLOUT;
	/* Also without any: that it hangs up is always told. */
	if (c->watch.loop)
		return loop_modify(&c->watch, events);
	return loop_add(c->owner->cfg.loop, &c->watch, c->fd, events, on_ready,
			c);
}

/* Tells the host what the guest said about its end. */
static void pass_shutdown(struct vsock_conn *c)
{
	uint8_t now = c->guest_shut & (uint8_t)~c->passed_shut;

	if (c->used)
		now &= VSOCK_SHUT_RCV; /* the rest when they are out */
	if (now & VSOCK_SHUT_RCV)
		shutdown(c->fd, SHUT_RD);
	if (now & VSOCK_SHUT_SEND)
		shutdown(c->fd, SHUT_WR);
	c->passed_shut |= now;
	/* It hung up, and there is no more of it to be read. */
	if (c->is_hung_up && !reads_host(c) &&
	    c->host_shut != VSOCK_SHUT_BOTH) {
		c->host_shut = VSOCK_SHUT_BOTH;
		c->tell |= TELL_SHUTDOWN;
	}
}

static void think_of_credit(struct vsock_conn *c)
{
	if (c->fwd - c->told_fwd >= TELL_AFTER)
		c->tell |= TELL_CREDIT;
	if (vsock_conn_credit(c)) {
		c->has_asked = false;
	} else if (reads_host(c) && c->is_readable && !c->has_asked) {
		c->tell |= TELL_ASK;
		c->has_asked = true;
	}
}

void vsock_conn_open(struct vsock_conn *c)
{
	c->state = OPEN;
	c->is_readable = false; /* not known */
	loop_disarm(&c->timer);
	vsock_count(&c->owner->counters.connections, 1);
}

void vsock_conn_settle(struct vsock_conn *c)
{
	flush(c);
	if ((c->state == FLUSHING && !c->used) ||
	    (c->state == REQUESTED && c->is_hung_up) ||
	    (c->state == OPEN && c->guest_shut == VSOCK_SHUT_BOTH &&
	     !c->used)) {
		vsock_conn_reset(c);
		return;
	}
	if (c->state == OPEN) {
		pass_shutdown(c);
		think_of_credit(c);
	}
	if (watch(c) < 0) {
		vsock_conn_reset(c);
		return;
	}
	set_ready(c, c->tell || vsock_conn_has_data(c));
}
