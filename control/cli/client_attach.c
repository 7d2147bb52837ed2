/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade request of the console (RFC 9110 7.8), by hand on a Unix
 * socket. Any thread; no state between calls. Invariant: the head is read
 * within CLIENT_ATTACH_HEAD_BYTES and CLIENT_ATTACH_MS, or refused.
 */
#include "control/cli/client_attach.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define BODY_BYTES (64u << 10) /* of a refusal */

static int connect_to(const char *path, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, code;

	if (strlen(path) >= sizeof(to.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "%s: longer than the %zu bytes of a socket's "
			       "path",
			       path, sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	code = -errno;
	close(fd);
	if (code == -ECONNREFUSED || code == -ENOENT)
		return err_set(e, code, "nobody serves %s", path);
	return err_sys(e, code, "%s", path);
}

/* A process that ends with a request unread resets the connection. */
static int explain(int r, struct err *e)
{
	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(e, -EPIPE,
			       "the VM's process closed the connection");
	return err_sys(e, r, "attaching the console");
}

static int send_all(int fd, const char *text, struct err *e)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return explain(-errno, e);
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const struct client_attach_options *o,
			struct err *e)
{
	char query[96] = "";
	char request[512];

	if (o->has_since)
		snprintf(query, sizeof(query), "&since=%llu",
			 (unsigned long long)o->since);
	else if (o->history)
		snprintf(query, sizeof(query), "&history=1");
	snprintf(request, sizeof(request),
		 "GET /v1/vm/console/attach?readonly=%d%s HTTP/1.1\r\n"
		 "Host: amber\r\n"
		 "Connection: Upgrade\r\n"
		 "Upgrade: amber-console\r\n"
		 "\r\n",
		 o->readonly, query);
	return send_all(fd, request, e);
}

/* Waits for bytes until due_ns and appends them; 0 = the peer closed. */
static ssize_t receive(int fd, uint64_t due_ns, struct buf *in, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t bytes[4096];
	ssize_t n;

	for (;;) {
		uint64_t now = clock_mono_ns();
		int left = now < due_ns ? (int)((due_ns - now) / NS_PER_MS) + 1
					: 0;

		if (poll(&p, 1, left) == 0)
			return err_set(e, -ETIMEDOUT,
				       "no answer in time from the VM's "
				       "process");
		/* poll() may have been interrupted: then there is nothing yet.
		 */
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n >= 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return explain(-errno, e);
	}
	if (buf_put(in, bytes, (size_t)n))
		return err_set(e, -EPROTO, "the answer is too long");
	return n;
}

/* The value of a header in the head (terminated by its empty line). */
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);
	const char *line = strstr(head, "\r\n");

	for (; line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 &&
		    line[2 + len] == ':')
			return line + 2 + len + 1;
	return NULL;
}

/* Reads on until the empty line; *head_len counts it. */
static int read_head(int fd, uint64_t due_ns, struct buf *in, size_t *head_len,
		     struct err *e)
{
	for (;;) {
		const char *text = buf_text(in);
		const char *end = strstr(text, "\r\n\r\n");
		ssize_t n;

		if (end) {
			*head_len = (size_t)(end - text) + 4;
			return 0;
		}
		n = receive(fd, due_ns, in, e);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return explain(-EPIPE, e);
	}
}

static int refused(struct client_attach *a, uint64_t due_ns, struct buf *in,
		   size_t head_len, int status, struct err *e)
{
	const char *value = header(buf_text(in), "Content-Length");
	size_t want = value ? strtoul(value, NULL, 10) : 0;

	if (want > BODY_BYTES)
		want = 0;
	while (in->len < head_len + want &&
	       receive(a->fd, due_ns, in, NULL) > 0)
		;
	return client_problem_read(status, buf_text(in) + head_len,
				   in->len - head_len, &a->problem, e);
}

static int read_answer(struct client_attach *a, struct err *e)
{
	uint64_t due_ns = clock_mono_ns() + CLIENT_ATTACH_MS * NS_PER_MS;
	struct buf in;
	const char *value;
	size_t head_len = 0;
	int r, status;

	buf_init(&in, CLIENT_ATTACH_HEAD_BYTES + BODY_BYTES);
	r = read_head(a->fd, due_ns, &in, &head_len, e);
	if (r < 0)
		goto out;
	r = -EPROTO;
	if (sscanf(buf_text(&in), "HTTP/1.%*1[01] %3d", &status) != 1) {
		err_set(e, r, "the answer is not HTTP");
		goto out;
	}
	if (status != 101) {
		r = refused(a, due_ns, &in, head_len, status, e);
		goto out;
	}
	value = header(buf_text(&in), "Amber-Position");
	a->has_position = value != NULL;
	a->position = value ? strtoull(value, NULL, 10) : 0;
	r = buf_put(&a->early, in.data + head_len, in.len - head_len);
	if (r)
		err_set(e, r, "out of memory");
out:
	buf_fini(&in);
	return r;
}

int client_attach(struct client_attach *a, const char *socket_path,
		  const struct client_attach_options *options, struct err *e)
{
	int r;

	*a = (struct client_attach){ .fd = -1 };
	buf_init(&a->early, CLIENT_ATTACH_HEAD_BYTES + BODY_BYTES);
	r = connect_to(socket_path, e);
	if (r < 0)
		return r;
	a->fd = r;
	r = send_request(a->fd, options, e);
	if (!r)
		r = read_answer(a, e);
	if (r)
		client_attach_end(a);
	return r;
}

void client_attach_end(struct client_attach *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	buf_fini(&a->early);
}
