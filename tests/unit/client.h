/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the server: a server with short limits over the fake VM, and
 * clients that live in the same thread. Nothing blocks: the loop is stepped
 * until what is waited for is there, or a time limit is over.
 */
#ifndef AMBER_TESTS_UNIT_CLIENT_H
#define AMBER_TESTS_UNIT_CLIENT_H

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/server.h"
#include "tests/unit/plane.h"

#define PATIENCE_MS 20000

struct desk {
	struct plane plane;
	struct server *server;
	bool drained;
};

static inline void desk_on_drained(void *ctx)
{
	((struct desk *)ctx)->drained = true;
}

static inline void desk_open_with(struct desk *d,
				  const struct server_limits *limits)
{
	struct server_config config = { .limits = *limits,
					.drained = desk_on_drained,
					.ctx = d };
	struct err e = ERR_NONE;

	*d = (struct desk){ 0 };
	plane_open(&d->plane);
	config.loop = d->plane.loop;
	config.control = d->plane.control;
	ck_assert_msg(server_create(&d->server, &config, &e) == 0, "%s",
		      e.text);
}

static const struct server_limits desk_limits = {
	.connections = 24,
	.connections_per_uid = 16,
	.request_ms = 4000, /* longer than a busy machine stands still */
	.response_ms = 4000,
	.stream_ms = 2000,
	.body_bytes = 64 << 10,
	.header_bytes = 8 << 10,
};

static inline void desk_open(struct desk *d)
{
	desk_open_with(d, &desk_limits);
}

/* For who is to see a limit pass. */
static inline void desk_open_hasty(struct desk *d)
{
	struct server_limits limits = desk_limits;

	limits.request_ms = 150;
	limits.response_ms = 300;
	desk_open_with(d, &limits);
}

static inline void desk_close(struct desk *d)
{
	server_destroy(d->server);
	plane_close(&d->plane);
}

static inline void desk_step(struct desk *d)
{
	loop_step(d->plane.loop, 5);
}

struct client {
	int fd;
	char *text; /* what was received, terminated */
	size_t len, room;
	bool ended; /* the server closed it */
};

static inline void client_init(struct client *c, int fd)
{
	*c = (struct client){ .fd = fd };
	fcntl(fd, F_SETFL, O_NONBLOCK);
	c->room = 4096;
	c->text = calloc(1, c->room + 1);
}

/* Connects through a socket pair. */
static inline void client_open(struct client *c, struct desk *d)
{
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	client_init(c, pair[1]);
	server_adopt(d->server, pair[0]);
}

static inline void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->text);
	*c = (struct client){ .fd = -1 };
}

/* Sends as much as fits; returns bytes, or a negative errno. */
static inline ssize_t client_push(struct client *c, const void *bytes,
				  size_t len)
{
	ssize_t n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

static inline void client_send(struct client *c, const char *text)
{
	ck_assert_int_eq(client_push(c, text, strlen(text)),
			 (ssize_t)strlen(text));
}

static inline void client_receive(struct client *c)
{
	ssize_t n;

	for (;;) {
		if (c->room - c->len < 4096) {
			c->room *= 2;
			c->text = realloc(c->text, c->room + 1);
		}
		n = recv(c->fd, c->text + c->len, c->room - c->len, 0);
		if (n <= 0)
			break;
		c->len += (size_t)n;
		c->text[c->len] = 0;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		c->ended = true;
}

/* Steps until the text is there; false when time or connection ended. */
static inline bool client_await(struct client *c, struct desk *d,
				const char *text)
{
	uint64_t until = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;

	while (clock_mono_ns() < until) {
		client_receive(c);
		if (strstr(c->text, text))
			return true;
		if (c->ended)
			return false;
		desk_step(d);
	}
	return false;
}

static inline bool client_await_end(struct client *c, struct desk *d)
{
	uint64_t until = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;

	while (!c->ended && clock_mono_ns() < until) {
		desk_step(d);
		client_receive(c);
	}
	return c->ended;
}

/* Forgets what was received. */
static inline void client_clear(struct client *c)
{
	c->len = 0;
	c->text[0] = 0;
}

/* One request on a connection of its own; true when `text` is answered. */
static inline bool desk_answers(struct desk *d, const char *request,
				const char *text)
{
	struct client c;
	bool found;

	client_open(&c, d);
	client_send(&c, request);
	found = client_await(&c, d, text);
	if (!found)
		fprintf(stderr, "instead of '%s':\n%s\n", text, c.text);
	client_close(&c);
	return found;
}

#define REQUEST(line)  line " HTTP/1.1\r\nHost: amber\r\n\r\n"
#define STATUS_REQUEST REQUEST("GET /v1/vm")
#define POST(path, len)                             \
	"POST " path " HTTP/1.1\r\nHost: amber\r\n" \
	"Content-Length: " len "\r\n\r\n"
#define ATTACH(query)                                     \
	"GET /v1/vm/console/attach" query " HTTP/1.1\r\n" \
	"Host: amber\r\nConnection: Upgrade\r\nUpgrade: amber-console\r\n\r\n"

#endif
