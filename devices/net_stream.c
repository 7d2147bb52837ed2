/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames over a connected stream socket, each with its length in front. The
 * card's thread. INV-1: what the socket took of a frame is followed by the
 * rest of that frame and nothing else. INV-2: a length that can't be ends
 * the connection: there is no way to find the next frame.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net_backend.h"

#define LENGTH_BYTES 4
#define IN_BYTES     (1u << 17)
#define OUT_BYTES    (LENGTH_BYTES + NET_FRAME_MAX)
#define IOV_MAX_HERE 260

struct net_stream {
	struct net_backend backend;
	uint32_t in_start, in_end;   /* bytes of in that were received */
	uint32_t out_start, out_end; /* of out that are to be sent */
	uint8_t *in, *out;	     /* owned */
};

static int flush_rest(struct net_stream *s)
{
	ssize_t r;

	while (s->out_start < s->out_end) {
		r = send(s->backend.fd[0], s->out + s->out_start,
			 s->out_end - s->out_start,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0)
			return errno == EAGAIN || errno == EINTR ? -EAGAIN
								 : -EPIPE;
		s->out_start += (uint32_t)r;
	}
	s->out_start = s->out_end = 0;
	return 0;
}

static int stream_flush(struct net_backend *b, unsigned int q)
{
	(void)q;
	return flush_rest((struct net_stream *)b);
}

/* Keeps what the socket did not take (INV-1). */
static void keep_rest(struct net_stream *s, const struct iovec *iov,
		      unsigned int n, size_t taken)
{
	unsigned int i;

	s->out_start = s->out_end = 0;
	for (i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (taken >= len) {
			taken -= len;
			continue;
		}
		memcpy(s->out + s->out_end,
		       (const uint8_t *)iov[i].iov_base + taken, len - taken);
		s->out_end += (uint32_t)(len - taken);
		taken = 0;
	}
}

static int stream_send(struct net_backend *b, unsigned int q,
		       const struct iovec *iov, unsigned int n)
{
	struct net_stream *s = (struct net_stream *)b;
	struct iovec all[IOV_MAX_HERE];
	struct msghdr msg = { .msg_iov = all, .msg_iovlen = n + 1 };
	uint32_t length, bytes = 0;
	unsigned int i;
	ssize_t r;
	int rc;

	(void)q;
	if (n + 1 > IOV_MAX_HERE)
		return -EINVAL;
	rc = flush_rest(s);
	if (rc)
		return rc;
	for (i = 0; i < n; i++) {
		all[i + 1] = iov[i];
		bytes += (uint32_t)iov[i].iov_len;
	}
	length = htonl(bytes);
	all[0] = (struct iovec){ &length, sizeof(length) };
	r = sendmsg(b->fd[0], &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	if ((size_t)r < bytes + sizeof(length))
		keep_rest(s, all, n + 1, (size_t)r);
	return 0;
}

/* Returns 1 when more has come, 0 at the end, or a negative errno. */
static int fill(struct net_stream *s)
{
	ssize_t r;

	if (s->in_start) {
		memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
		s->in_end -= s->in_start;
		s->in_start = 0;
	}
	r = recv(s->backend.fd[0], s->in + s->in_end, IN_BYTES - s->in_end,
		 MSG_DONTWAIT);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	s->in_end += (uint32_t)r;
	return r > 0;
}

/* The bytes of a whole frame in front, 0: not there yet, -EPIPE (INV-2). */
static int next_frame(const struct net_stream *s)
{
	uint32_t have = s->in_end - s->in_start, length;

	if (have < LENGTH_BYTES)
		return 0;
	memcpy(&length, s->in + s->in_start, sizeof(length));
	length = ntohl(length);
	if (!length || length > NET_FRAME_MAX)
		return -EPIPE;
	return have - LENGTH_BYTES < length ? 0 : (int)length;
}

static int stream_recv(struct net_backend *b, unsigned int q, uint8_t *buf,
		       uint32_t bytes)
{
	struct net_stream *s = (struct net_stream *)b;
	int length, r;

	(void)q;
	while ((length = next_frame(s)) == 0) {
		r = fill(s);
		if (r <= 0)
			return r ? r : -EPIPE;
	}
	if (length < 0)
		return length;
	s->in_start += LENGTH_BYTES;
	memcpy(buf, s->in + s->in_start,
	       (uint32_t)length < bytes ? (uint32_t)length : bytes);
	s->in_start += (uint32_t)length;
	return (uint32_t)length < bytes ? length : (int)bytes;
}

static void stream_destroy(struct net_backend *b)
{
	struct net_stream *s = (struct net_stream *)b;

	close(b->fd[0]);
	free(s->in);
	free(s->out);
	free(s);
}

static const struct net_backend_ops ops = {
	.name = "stream",
	.send = stream_send,
	.flush = stream_flush,
	.recv = stream_recv,
	.destroy = stream_destroy,
};

int net_stream_create(struct net_backend **out, int fd, struct err *e)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return err_sys(e, -ENOMEM, "network stream");
	}
	s->backend =
		(struct net_backend){ .ops = &ops, .queues = 1, .fd = { fd } };
	s->in = malloc(IN_BYTES);
	s->out = malloc(OUT_BYTES);
	if (!s->in || !s->out) {
		stream_destroy(&s->backend);
		return err_sys(e, -ENOMEM, "network stream");
	}
	*out = &s->backend;
	return 0;
}
