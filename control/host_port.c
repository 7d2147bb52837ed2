/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named ports on the host. Loop thread; the channel's news come from the
 * device's thread as a message. INV-1: bytes that were read from a client
 * or from the channel are passed on before more is read. INV-2: client and
 * user are never both connected.
 */
#include "control/host_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define PIECE_BYTES 8192
#define ROUNDS	    16		      /* pieces, then others get their turn */
#define AGAIN_NS    (100 * NS_PER_MS) /* when the host has no more fds */

struct piece {
	uint8_t bytes[PIECE_BYTES];
	size_t at, len;
};

struct host_port {
	struct loop *loop;	 /* borrowed */
	struct channel *channel; /* borrowed */
	struct host_port_user user;
	bool has_user, user_open, user_waits;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int listen_fd, client_fd; /* owned; -1: none */
	bool has_left; /* the client; what it wrote is not all with the guest */
	struct loop_fd listen_watch, client_watch;
	struct loop_timer again; /* armed: no client is listened for */
	uint32_t events;	 /* that the client is watched for */
	struct piece to_guest, to_client;
	struct loop_msg news;
};

/* --- the user -------------------------------------------------------- */

static void feed_user(struct host_port *p)
{
	uint8_t bytes[PIECE_BYTES];
	size_t n;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		n = channel_host_read(p->channel, bytes, sizeof(bytes));
		if (!n)
			return;
		p->user.input(p->user.ctx, bytes, n);
	}
	loop_post(p->loop, &p->news);
}

/* The user is connected while the guest is and no client is. */
static void update_user(struct host_port *p)
{
	bool is_open = p->client_fd < 0 && channel_is_device_open(p->channel);

	if (!p->has_user)
		return;
	if (is_open)
		feed_user(p);
	if (is_open != p->user_open) {
		p->user_open = is_open;
		p->user.connected(p->user.ctx, is_open);
	}
	if (is_open && p->user_waits) {
		p->user_waits = false;
		p->user.writable(p->user.ctx);
	}
}

size_t host_port_send(struct host_port *p, const void *bytes, size_t len)
{
	size_t n = 0;

	if (p->client_fd < 0)
		n = channel_host_write(p->channel, bytes, len);
	p->user_waits = n < len;
	return n;
}

/* --- the client ------------------------------------------------------ */

static void drop_client(struct host_port *p)
{
	if (p->client_fd < 0)
		return;
	loop_remove(&p->client_watch);
	close(p->client_fd);
	p->client_fd = -1;
	p->has_left = false;
	p->to_guest.len = p->to_client.len = 0;
	channel_host_open(p->channel, p->has_user);
	update_user(p);
}

/* Moves what it can from the client to the guest; false: it is gone. */
static bool client_to_guest(struct host_port *p)
{
	struct piece *t = &p->to_guest;
	ssize_t r;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (t->len) {
			size_t n = channel_host_write(p->channel,
						      t->bytes + t->at, t->len);

			t->at += n;
			t->len -= n;
			if (t->len)
				return true; /* INV-1 */
		}
		r = recv(p->client_fd, t->bytes, sizeof(t->bytes),
			 MSG_DONTWAIT);
		if (r <= 0)
			return r < 0 && (errno == EAGAIN || errno == EINTR);
		t->at = 0;
		t->len = (size_t)r;
	}
	if (p->has_left)
		loop_post(p->loop, &p->news); /* nothing else wakes us */
	return true;
}

static bool guest_to_client(struct host_port *p)
{
	struct piece *t = &p->to_client;
	ssize_t r;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (!t->len) {
			t->at = 0;
			t->len = channel_host_read(p->channel, t->bytes,
						   sizeof(t->bytes));
			if (!t->len)
				return true;
		}
		r = send(p->client_fd, t->bytes + t->at, t->len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0)
			return errno == EAGAIN || errno == EINTR;
		t->at += (size_t)r;
		t->len -= (size_t)r;
	}
	loop_post(p->loop, &p->news);
	return true;
}

/* Waits for what can be of use: room on one side, bytes on the other. */
static void watch_client(struct host_port *p)
{
	uint32_t events = (p->to_guest.len ? 0u : (uint32_t)EPOLLIN) |
			  (p->to_client.len ? (uint32_t)EPOLLOUT : 0u);

	if (events != p->events)
		loop_modify(&p->client_watch, events);
	p->events = events;
}

/* It reads no more; what it wrote is still to be passed on. */
static void client_left(struct host_port *p)
{
	loop_remove(&p->client_watch); /* else it would be ready for ever */
	p->has_left = true;
}

static void serve_client(struct host_port *p)
{
	if (!p->has_left && !guest_to_client(p))
		client_left(p);
	if (!client_to_guest(p))
		drop_client(p);
	else if (!p->has_left)
		watch_client(p);
}

static void on_client(void *ctx, uint32_t events)
{
	struct host_port *p = ctx;

	if (events & (EPOLLHUP | EPOLLERR))
		client_left(p);
	serve_client(p);
}

static void on_listen(void *ctx, uint32_t events);

static void listen_again(void *ctx)
{
	struct host_port *p = ctx;

	if (loop_add(p->loop, &p->listen_watch, p->listen_fd, EPOLLIN,
		     on_listen, p))
		loop_arm(p->loop, &p->again, AGAIN_NS, listen_again, p);
}

static void on_listen(void *ctx, uint32_t events)
{
	struct host_port *p = ctx;
	int fd =
		accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0 && errno != EAGAIN && errno != EINTR &&
	    errno != ECONNABORTED) {
		/* No descriptors: it would be ready for ever. */
		loop_remove(&p->listen_watch);
		loop_arm(p->loop, &p->again, AGAIN_NS, listen_again, p);
	}
	if (fd < 0)
		return;
	/* One at a time: a second one sees the connection end. */
	if (p->has_left)
		drop_client(p);
	if (p->client_fd >= 0 ||
	    loop_add(p->loop, &p->client_watch, fd, EPOLLIN, on_client, p)) {
		close(fd);
		return;
	}
	p->events = EPOLLIN;
	p->client_fd = fd;
	update_user(p);
	channel_host_open(p->channel, true);
}

/* --- the channel ----------------------------------------------------- */

static void on_news(void *ctx)
{
	struct host_port *p = ctx;

	if (p->client_fd >= 0)
		serve_client(p);
	else
		update_user(p);
}

static void on_channel(void *ctx)
{
	struct host_port *p = ctx;

	loop_post(p->loop, &p->news);
}

/* --- life ------------------------------------------------------------ */

static int listen_on(struct host_port *p, const char *dir, const char *name,
		     struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s.sock", dir,
			 name);

	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "port %s: %s/%s.sock is too long for a socket",
			       name, dir, name);
	p->listen_fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->listen_fd < 0)
		return err_sys(e, -errno, "port %s: socket", name);
	/* What lies there is a dead process's: the VM's lock is ours. */
	unlink(a.sun_path);
	if (bind(p->listen_fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, -errno, "port %s: %s", name, a.sun_path);
	memcpy(p->path, a.sun_path, sizeof(p->path));
	if (chmod(p->path, 0600) < 0 || listen(p->listen_fd, 4) < 0)
		return err_sys(e, -errno, "port %s: %s", name, p->path);
	return loop_add(p->loop, &p->listen_watch, p->listen_fd, EPOLLIN,
			on_listen, p);
}

int host_port_create(struct host_port **out, struct loop *loop,
		     struct channel *channel, const char *dir, const char *name,
		     const struct host_port_user *user, struct err *e)
{
	struct host_port *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return err_sys(e, -ENOMEM, "port %s", name);
	p->loop = loop;
	p->channel = channel;
	p->listen_fd = p->client_fd = -1;
	p->news = (struct loop_msg){ .run = on_news, .ctx = p };
	if (user) {
		p->user = *user;
		p->has_user = true;
	}
	if (*dir)
		r = listen_on(p, dir, name, e);
	if (r) {
		host_port_destroy(p);
		return r;
	}
	channel_set_host(channel, (struct channel_side){ on_channel, p });
	channel_host_open(channel, p->has_user);
	*out = p;
	return 0;
}

void host_port_destroy(struct host_port *p)
{
	if (!p)
		return;
	channel_set_host(p->channel, (struct channel_side){ NULL, NULL });
	p->has_user = false;
	drop_client(p);
	loop_disarm(&p->again);
	loop_remove(&p->listen_watch);
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	if (*p->path)
		unlink(p->path);
	loop_unpost(p->loop, &p->news);
	free(p);
}
