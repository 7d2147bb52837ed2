/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the socket device: a fake guest's driver on virtio_rig.h and
 * programs of the host, all on the test's thread: step() is the device's.
 */
#ifndef AMBER_TESTS_UNIT_VSOCK_RIG_H
#define AMBER_TESTS_UNIT_VSOCK_RIG_H

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/vsock.h"
#include "tests/unit/virtio_rig.h"

#define CID	 42
#define ENTRIES	 64
#define RX_BYTES 4096
#define TX_GPA	 (RIG_DATA + ENTRIES * RX_BYTES)
#define HEADER	 44
#define MAX_TX	 70000

#ifndef STEPS_MAX
#define STEPS_MAX 64 /* rounds of the loop until all has settled */
#endif

enum { RX, TX, EVENT };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, UPDATE, ASK };

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
	uint8_t data[RX_BYTES];
};

struct host {
	struct rig rig;
	struct loop *loop;
	struct vsock *vsock;
	struct vsock_config cfg;
	char dir[64];
	uint16_t rx_next; /* the next descriptor of rx */
};

static inline void step(struct host *h)
{
	unsigned int i;

	for (i = 0; i < STEPS_MAX; i++)
		loop_step(h->loop, 0);
}

/* n more buffers of a page for the device. */
static inline void give_rx(struct host *h, unsigned int n)
{
	while (n--) {
		uint16_t at = h->rx_next++ % ENTRIES;

		rig_put_desc(&h->rig, rig_desc(RX), at,
			     RIG_DATA + (uint64_t)at * RX_BYTES, RX_BYTES,
			     RIG_WRITE, 0);
		rig_offer(&h->rig, RX, at);
	}
	rig_kick(&h->rig, RX);
}

static inline void start_guest(struct host *h, unsigned int rx)
{
	h->rx_next = 0;
	rig_start(&h->rig, 1, 3, ENTRIES);
	give_rx(h, rx);
	step(h);
}

static inline void host_init(struct host *h)
{
	struct err e = ERR_NONE;

	memset(h, 0, sizeof(*h));
	rig_init(&h->rig);
	snprintf(h->dir, sizeof(h->dir), "/tmp/vsock-XXXXXX");
	if (!mkdtemp(h->dir) || loop_create(&h->loop, NULL))
		abort();
	h->cfg.virtio = rig_config(&h->rig, "vsock0");
	h->cfg.loop = h->loop;
	h->cfg.cid = CID;
	snprintf(h->cfg.path, sizeof(h->cfg.path), "%s/v", h->dir);
	if (vsock_create(&h->vsock, &h->cfg, &e)) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	h->rig.device = &vsock_virtio(h->vsock)->device;
}

static inline void host_fini(struct host *h)
{
	vsock_destroy(h->vsock);
	loop_destroy(h->loop);
	rig_fini(&h->rig);
	rmdir(h->dir);
}

/* --- the guest ----------------------------------------------------------- */

static inline void put_header(uint8_t *b, const struct packet *p)
{
	put_le64(b, p->src_cid);
	put_le64(b + 8, p->dst_cid);
	put_le32(b + 16, p->src_port);
	put_le32(b + 20, p->dst_port);
	put_le32(b + 24, p->len);
	put_le16(b + 28, p->type);
	put_le16(b + 30, p->op);
	put_le32(b + 32, p->flags);
	put_le32(b + 36, p->buf_alloc);
	put_le32(b + 40, p->fwd_cnt);
}

static inline struct packet make(uint16_t op, uint32_t src, uint32_t dst)
{
	return (struct packet){ .src_cid = CID,
				.dst_cid = 2,
				.src_port = src,
				.dst_port = dst,
				.type = 1,
				.op = op,
				.buf_alloc = 262144 };
}

/* bytes of payload, whatever p->len says. */
static inline void send_packet(struct host *h, const struct packet *p,
			       const void *payload, uint32_t bytes)
{
	struct rig_piece piece = { TX_GPA, HEADER + bytes, false };

	put_header(h->rig.ram + TX_GPA, p);
	if (bytes)
		memcpy(h->rig.ram + TX_GPA + HEADER, payload, bytes);
	rig_chain(&h->rig, TX, &piece, 1);
	rig_kick(&h->rig, TX);
	step(h);
	rig_take(&h->rig, TX, NULL, NULL);
}

static inline void say(struct host *h, uint16_t op, uint32_t src, uint32_t dst)
{
	struct packet p = make(op, src, dst);

	send_packet(h, &p, NULL, 0);
}

static inline void say_data(struct host *h, uint32_t src, uint32_t dst,
			    const void *bytes, uint32_t len)
{
	struct packet p = make(RW, src, dst);

	p.len = len;
	send_packet(h, &p, bytes, len);
}

/* The next packet for the guest; its buffer is given again. */
static inline bool hear(struct host *h, struct packet *p)
{
	const uint8_t *b;
	uint32_t head, len;

	if (!rig_take(&h->rig, RX, &head, &len))
		return false;
	b = h->rig.ram + RIG_DATA + (size_t)head * RX_BYTES;
	memset(p, 0, sizeof(*p));
	p->src_cid = get_le64(b);
	p->dst_cid = get_le64(b + 8);
	p->src_port = get_le32(b + 16);
	p->dst_port = get_le32(b + 20);
	p->len = get_le32(b + 24);
	p->type = get_le16(b + 28);
	p->op = get_le16(b + 30);
	p->flags = get_le32(b + 32);
	p->buf_alloc = get_le32(b + 36);
	p->fwd_cnt = get_le32(b + 40);
	if (len != HEADER + p->len || len > RX_BYTES)
		abort();
	memcpy(p->data, b + HEADER, p->len);
	give_rx(h, 1);
	step(h);
	return true;
}

/* --- the host's programs -------------------------------------------------- */

static inline int listen_on(struct host *h, uint32_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/v_%u", h->dir, port);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 300))
		abort();
	return fd;
}

static inline void unlisten(struct host *h, int fd, uint32_t port)
{
	char path[108];

	snprintf(path, sizeof(path), "%s/v_%u", h->dir, port);
	unlink(path);
	close(fd);
}

/* Connects to the device and says that. */
static inline int greet(struct host *h, const char *line)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/v", h->dir);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		abort();
	if (*line && write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		abort();
	step(h);
	return fd;
}

#endif
