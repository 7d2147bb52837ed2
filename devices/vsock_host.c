/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Unix sockets of the socket device: the one that is listened on and its
 * greeting, and those that a guest's connections go to. The loop's thread;
 * made and removed by the machine's. INV-4: a socket file is removed by
 * vsock_unlisten() only when it is the one that was made.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/vsock_private.h"

#define BACKLOG	      64
#define ROUND	      16		/* clients, then others */
#define AGAIN_NS      (100 * NS_PER_MS) /* when the host has no more fds */
#define GREETING_TEXT "CONNECT "

/* --- guest to host --------------------------------------------------- */

int vsock_dial(const struct vsock *s, uint32_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	snprintf(a.sun_path, sizeof(a.sun_path), "%.*s_%u",
		 (int)sizeof(a.sun_path) - 12, s->cfg.path, port);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- the greeting ---------------------------------------------------- */

/* "CONNECT 52\n" */
static bool parse_greeting(const char *line, unsigned int len, uint32_t *port)
{
	unsigned int i = sizeof(GREETING_TEXT) - 1;
	uint64_t value = 0;

	if (len < i + 2 || len > i + 11 || memcmp(line, GREETING_TEXT, i) != 0)
		return false;
	for (; i < len - 1; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		value = 10 * value + (uint64_t)(line[i] - '0');
	}
	*port = (uint32_t)value;
	return value < VSOCK_PORT_ANY;
}

/*
 * Takes bytes up to the end of the line and none behind it: 1 when it is
 * there, 0 not yet, -1 never.
 */
static int take_line(struct vsock_conn *c)
{
	char *at = c->line + c->line_len, *end;
	ssize_t n = recv(c->fd, at, VSOCK_LINE_MAX - c->line_len,
			 MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	end = memchr(at, '\n', (size_t)n);
	if (end)
		n = end - at + 1;
	if (recv(c->fd, at, (size_t)n, MSG_DONTWAIT) != n)
		return -1;
	c->line_len += (unsigned int)n;
	if (end)
		return 1;
	return c->line_len < VSOCK_LINE_MAX ? 0 : -1;
}

/* A port for the host's end that no connection to guest_port has. */
static uint32_t choose_port(struct vsock *s, uint32_t guest_port)
{
	uint32_t port;

	do {
		port = s->st.next_port;
		s->st.next_port =
			port < VSOCK_PORT_LAST ? port + 1 : VSOCK_PORT_FIRST;
	} while (vsock_conn_find(s, guest_port, port)); /* 256 at most */
	return port;
}

static bool has_driver(const struct vsock *s)
{
	return s->virtio.st.status & VIRTIO_DRIVER_OK &&
	       !(s->virtio.st.status & VIRTIO_NEEDS_RESET);
}

void vsock_greet(struct vsock_conn *c)
{
	struct vsock *s = c->owner;
	int r = c->is_hung_up ? -1 : take_line(c);
	uint32_t port;

	if (r < 0 ||
	    (r > 0 && (!has_driver(s) ||
		       !parse_greeting(c->line, c->line_len, &port)))) {
		vsock_count(&s->counters.refused, 1);
		vsock_conn_drop(c);
		return;
	}
	if (r > 0) {
		vsock_conn_name(c, port, choose_port(s, port));
		c->state = REQUESTED;
		c->tell = TELL_REQUEST;
		loop_disarm(&c->timer);
		vsock_conn_linger(c, VSOCK_REQUEST_NS);
	}
	vsock_conn_settle(c);
}

/* --- the listening socket -------------------------------------------- */

static void on_client(void *ctx, uint32_t events);

static void listen_again(void *ctx)
{
	struct vsock *s = ctx;

	if (loop_add(s->cfg.loop, &s->host.listen, s->host.listen_fd, EPOLLIN,
		     on_client, s) < 0)
		loop_arm(s->cfg.loop, &s->host.accept_again, AGAIN_NS,
			 listen_again, s);
}

static void welcome(struct vsock *s, int fd)
{
	struct vsock_conn *c = vsock_conn_take(s, fd);

	if (!c) {
		vsock_count(&s->counters.refused, 1);
		close(fd);
		return;
	}
	vsock_conn_linger(c, VSOCK_GREETING_NS);
	vsock_greet(c); /* the line may be there */
}

static void on_client(void *ctx, uint32_t events)
{
	struct vsock *s = ctx;
	unsigned int i;
	int fd;

	(void)events;
	vsock_enter(s);
	for (i = 0; i < ROUND; i++) {
		fd = accept4(s->host.listen_fd, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			break;
		welcome(s, fd);
	}
	if (i < ROUND && errno != EAGAIN && errno != EINTR &&
	    errno != ECONNABORTED) {
		/* No descriptors: it would be ready for ever. */
		loop_remove(&s->host.listen);
		loop_arm(s->cfg.loop, &s->host.accept_again, AGAIN_NS,
			 listen_again, s);
	}
	vsock_leave(s);
}

static int remove_stale(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s is there and is no socket",
			       path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "%s: can't remove the stale socket",
			       path);
	return 0;
}

int vsock_listen(struct vsock *s, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	int r = remove_stale(s->cfg.path, e), fd;

	if (r)
		return r;
	memcpy(a.sun_path, s->cfg.path, sizeof(a.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "%s: socket", s->virtio.cfg.id);
	s->host.listen_fd = fd;
	/* The file gets the mode of the descriptor (unix_bind()). */
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, -errno, "%s", s->cfg.path);
	if (lstat(s->cfg.path, &st) == 0) {
		s->host.dev = st.st_dev;
		s->host.inode = st.st_ino;
	}
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, -errno, "%s", s->cfg.path);
	r = loop_add(s->cfg.loop, &s->host.listen, fd, EPOLLIN, on_client, s);
	return r ? err_sys(e, r, "%s: watching it", s->cfg.path) : 0;
}

void vsock_unlisten(struct vsock *s)
{
	struct stat st;

	loop_disarm(&s->host.accept_again);
	loop_remove(&s->host.listen);
	if (s->host.listen_fd < 0)
		return;
	if (s->host.inode && lstat(s->cfg.path, &st) == 0 &&
	    st.st_dev == s->host.dev && st.st_ino == s->host.inode)
		unlink(s->cfg.path); /* INV-4 */
	close(s->host.listen_fd);
	s->host.listen_fd = -1;
}
