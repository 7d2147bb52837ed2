/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub of VMs without a process of its own: every card binds a datagram
 * socket in the hub's directory and sends straight to the others. Who is
 * there is learnt from the directory, from greetings (empty datagrams) and
 * from frames; who owns an address is learnt from the frames it sends. The
 * card's thread. INV-1: at most HUB_PEERS are known and HUB_MACS addresses
 * remembered, whatever comes in.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "devices/net_backend.h"

#define HUB_PEERS    64
#define HUB_MACS     256
#define MAC_BYTES    6
#define BUFFER_BYTES (1 << 20)

struct hub_peer {
	struct sockaddr_un address;
	socklen_t len; /* 0: none */
};

struct hub_mac {
	uint8_t mac[MAC_BYTES];
	uint8_t peer; /* plus one; 0: none */
};

struct net_hub {
	struct net_backend backend;
	struct sockaddr_un self;
	socklen_t self_len;
	struct hub_peer peer[HUB_PEERS];
	struct hub_mac mac[HUB_MACS];
};

static int add_peer(struct net_hub *h, const struct sockaddr_un *address,
		    socklen_t len)
{
	int i, free_at = -1;

	if (len <= offsetof(struct sockaddr_un, sun_path) ||
	    len > sizeof(*address))
		return -1;
	for (i = 0; i < HUB_PEERS; i++) {
		if (!h->peer[i].len)
			free_at = free_at < 0 ? i : free_at;
		else if (h->peer[i].len == len &&
			 !memcmp(&h->peer[i].address, address, len))
			return i;
	}
	if (free_at < 0) /* INV-1 */
		return -1;
	memcpy(&h->peer[free_at].address, address, len);
	h->peer[free_at].len = len;
	return free_at;
}

static void drop_peer(struct net_hub *h, int peer)
{
	int i;

	h->peer[peer].len = 0;
	for (i = 0; i < HUB_MACS; i++)
		if (h->mac[i].peer == peer + 1)
			h->mac[i].peer = 0;
}

static struct hub_mac *slot_of(struct net_hub *h, const uint8_t *mac)
{
	unsigned int i, hash = 0;

	for (i = 0; i < MAC_BYTES; i++)
		hash = hash * 31 + mac[i];
	return &h->mac[hash % HUB_MACS];
}

static void send_to(struct net_hub *h, int peer, const struct iovec *iov,
		    unsigned int n)
{
	union {
		const struct iovec *in;
		struct iovec *out;
	} vector = { .in = iov }; /* sendmsg() only reads it */
	struct msghdr msg = { .msg_name = &h->peer[peer].address,
			      .msg_namelen = h->peer[peer].len,
			      .msg_iov = vector.out,
			      .msg_iovlen = n };

	if (sendmsg(h->backend.fd[0], &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return;
	/* A full queue loses the frame, as a wire would; the dead are gone. */
	if (errno == ECONNREFUSED || errno == ENOENT)
		drop_peer(h, peer);
}

/* The first bytes of a frame lie in one piece or another. */
static void head_of(const struct iovec *iov, unsigned int n, uint8_t *to)
{
	size_t have = 0, take;
	unsigned int i;

	for (i = 0; i < n && have < MAC_BYTES; i++) {
		take = iov[i].iov_len;
		if (take > MAC_BYTES - have)
			take = MAC_BYTES - have;
		memcpy(to + have, iov[i].iov_base, take);
		have += take;
	}
}

static int hub_send(struct net_backend *b, unsigned int q,
		    const struct iovec *iov, unsigned int n)
{
	struct net_hub *h = (struct net_hub *)b;
	uint8_t to[MAC_BYTES] = { 0 };
	const struct hub_mac *known;
	int i;

	(void)q;
	head_of(iov, n, to);
	known = slot_of(h, to);
	if (!(to[0] & 1) && known->peer && !memcmp(known->mac, to, MAC_BYTES)) {
		send_to(h, known->peer - 1, iov, n);
		return 0;
	}
	for (i = 0; i < HUB_PEERS; i++)
		if (h->peer[i].len)
			send_to(h, i, iov, n);
	return 0;
}

static void learn(struct net_hub *h, const uint8_t *frame, int peer)
{
	struct hub_mac *slot;

	if (peer < 0 || (frame[MAC_BYTES] & 1))
		return;
	slot = slot_of(h, frame + MAC_BYTES);
	memcpy(slot->mac, frame + MAC_BYTES, MAC_BYTES);
	slot->peer = (uint8_t)(peer + 1);
}

static int hub_recv(struct net_backend *b, unsigned int q, uint8_t *buf,
		    uint32_t bytes)
{
	struct net_hub *h = (struct net_hub *)b;
	struct sockaddr_un from;
	socklen_t len;
	ssize_t r;
	int peer;

	(void)q;
	for (;;) {
		len = sizeof(from);
		r = recvfrom(b->fd[0], buf, bytes, MSG_DONTWAIT,
			     (struct sockaddr *)&from, &len);
		if (r < 0)
			return -EAGAIN;
		peer = add_peer(h, &from, len);
		if (r < NET_FRAME_MIN)
			continue; /* a greeting */
		learn(h, buf, peer);
		return (int)r;
	}
}

static void hub_destroy(struct net_backend *b)
{
	struct net_hub *h = (struct net_hub *)b;

	char *slash = strrchr(h->self.sun_path, '/');

	close(b->fd[0]);
	if (h->self_len)
		unlink(h->self.sun_path);
	/* Who leaves last puts out the light; the hub comes when needed. */
	if (h->self_len && slash) {
		*slash = 0;
		rmdir(h->self.sun_path);
	}
	free(h);
}

static const struct net_backend_ops ops = {
	.name = "hub",
	.send = hub_send,
	.recv = hub_recv,
	.destroy = hub_destroy,
};

static int make_address(struct sockaddr_un *a, socklen_t *len, const char *dir,
			const char *name)
{
	int n;

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n +
			   1);
	return 0;
}

/* Everybody whose socket lies there hears of us by an empty datagram. */
static void greet_all(struct net_hub *h, const char *dir)
{
	struct sockaddr_un address;
	struct dirent *entry;
	socklen_t len;
	DIR *d = opendir(dir);
	int peer;

	if (!d)
		return;
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' ||
		    make_address(&address, &len, dir, entry->d_name) < 0 ||
		    !strcmp(address.sun_path, h->self.sun_path))
			continue;
		peer = add_peer(h, &address, len);
		if (peer >= 0)
			send_to(h, peer, NULL, 0);
	}
	closedir(d);
}

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Binds; a socket that nobody answers on is a dead VM's, and replaced. */
static int bind_self(struct net_hub *h, int fd, struct err *e)
{
	const struct sockaddr *a = (const struct sockaddr *)&h->self;
	socklen_t len = h->self_len;

	h->self_len = 0;
	if (bind(fd, a, len) < 0) {
		if (errno != EADDRINUSE)
			return err_sys(e, -errno, "hub: %s", h->self.sun_path);
		if (connect(fd, a, len) == 0)
			return err_set(e, -EADDRINUSE,
				       "hub: %s is in use by another card",
				       h->self.sun_path);
		if (errno != ECONNREFUSED || !is_socket(h->self.sun_path))
			return err_set(e, -EADDRINUSE,
				       "hub: %s is no socket of a hub",
				       h->self.sun_path);
		unlink(h->self.sun_path);
		if (bind(fd, a, len) < 0)
			return err_sys(e, -errno, "hub: %s", h->self.sun_path);
	}
	h->self_len = len;
	return 0;
}

/* Once more when somebody has just put out the light. */
static int join(struct net_hub *h, const char *dir, const char *id,
		struct err *e)
{
	int r = -ENOENT, i;
	socklen_t len;

	if (make_address(&h->self, &len, dir, id) < 0)
		return err_set(e, -ENAMETOOLONG,
			       "hub: %s/%s is too long for a socket", dir, id);
	for (i = 0; i < 3 && r == -ENOENT; i++) {
		r = file_make_dirs(dir, 0700, e);
		if (r)
			return r;
		h->self_len = len;
		r = bind_self(h, h->backend.fd[0], e);
	}
	return r;
}

int net_hub_open(struct net_backend **out, const char *dir, const char *id,
		 struct err *e)
{
	struct net_hub *h = calloc(1, sizeof(*h));
	int fd, r, bytes = BUFFER_BYTES;

	if (!h)
		return err_sys(e, -ENOMEM, "hub");
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	h->backend =
		(struct net_backend){ .ops = &ops, .queues = 1, .fd = { fd } };
	r = fd < 0 ? err_sys(e, -errno, "hub: socket") : 0;
	if (!r)
		r = join(h, dir, id, e);
	if (r) {
		hub_destroy(&h->backend);
		return r;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	greet_all(h, dir);
	*out = &h->backend;
	return 0;
}
