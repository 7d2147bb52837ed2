/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the contract test for virtio devices: how each is made, what
 * reaches the parts of its state, and values that are refused.
 */
#ifndef AMBER_TESTS_UNIT_VIRTIO_CONTRACT_ROWS_H
#define AMBER_TESTS_UNIT_VIRTIO_CONTRACT_ROWS_H

#include <stdio.h>
#include <unistd.h>

#include "devices/vballoon.h"
#include "devices/vblk.h"
#include "devices/vconsole.h"
#include "devices/vrng.h"
#include "devices/vsock.h"
#include "tests/unit/net_rig.h"

#define STEPS_MAX      24
#define COMMON_BYTES   29 /* of the saved state: what all have */
#define FEATURES_AT    13 /* in it, 8 bytes */
#define GENERATION_AT  21 /* and the interrupt status: 8 bytes */
#define QUEUE_BYTES    33 /* of each queue; then what is the type's own */
#define CONTRACT_PORTS 2  /* of the console, with port 0 */

/* A device on a loop, with what it needs. One at a time uses `own`. */
struct contract {
	struct rig rig;
	struct loop *loop;
	void *own;
	struct console *console;
	struct channel *channel;
	char path[64];
};

/* Bytes of a saved state that make it one that can't be. */
struct impossible {
	struct {
		int32_t offset; /* from the type's own bytes on */
		uint8_t value;
	} poke[3];
	const char *says;
};

struct row {
	const char *source; /* the file in devices/ */
	const char *kind;   /* ops->name, the name of the section */
	uint32_t id;	    /* of the device type */
	unsigned int queues;
	uint64_t features;    /* that its driver takes */
	uint32_t bytes;	      /* of the type's own: a change of the format */
	int restored_at;      /* an own byte that a restore sets to 1, or -1 */
	uint64_t restored_if; /* with this feature, and an interrupt; 0: always
			       */
	void (*make)(struct contract *c, struct virtio_config v);
	void (*destroy)(struct contract *c);
	void (*step[STEPS_MAX])(struct contract *c);
	struct impossible impossible[STEPS_MAX];
};

static inline struct device *of_virtio(struct virtio *v)
{
	return &v->device;
}

static inline void must_be_made(int r)
{
	if (r)
		abort();
}

/* --- entropy --------------------------------------------------------- */

static inline void make_rng(struct contract *c, struct virtio_config v)
{
	struct vrng_config rc = { .virtio = v, .loop = c->loop };
	struct vrng *r;

	must_be_made(vrng_create(&r, &rc, NULL));
	c->own = r;
	c->rig.device = of_virtio(vrng_virtio(r));
}

static inline void destroy_rng(struct contract *c)
{
	vrng_destroy(c->own);
}

/* --- network --------------------------------------------------------- */

static inline void make_net(struct contract *c, struct virtio_config v)
{
	struct vnet_config nc = { .virtio = v,
				  .loop = c->loop,
				  .pairs = 2,
				  .backend = &fake_net_create(true)->backend };
	struct vnet *n;

	must_be_made(vnet_create(&n, &nc, NULL));
	c->own = n;
	c->rig.device = of_virtio(vnet_virtio(n));
}

static inline void destroy_net(struct contract *c)
{
	vnet_destroy(c->own);
}

static inline void pull_cable(struct contract *c)
{
	vnet_set_link(c->own, false);
}

static inline void use_both_pairs(struct contract *c)
{
	static const uint8_t command[] = { 4, 0, 2, 0 };

	rig_start(&c->rig, NET_F_CTRL_VQ | NET_F_MQ, 5, 16);
	memcpy(c->rig.ram + RIG_DATA, command, sizeof(command));
	rig_one(&c->rig, 4, RIG_DATA, sizeof(command), false);
	rig_serve(&c->rig, 4, c->loop);
}

static inline void come_back(struct contract *c)
{
	struct err e = ERR_NONE;

	rig_start(&c->rig, NET_F_CTRL_VQ | NET_F_ANNOUNCE, 3, 16);
	must_be_made(c->rig.device->ops->restored(c->rig.device, &e));
}

/* --- console --------------------------------------------------------- */

static inline void make_console(struct contract *c, struct virtio_config v)
{
	struct console_config cc = { .history_bytes = 1u << 16 };
	struct vconsole_config vc = { .virtio = v, .loop = c->loop };
	struct vconsole *o;

	must_be_made(console_create(&c->console, &cc, NULL));
	must_be_made(channel_create(&c->channel, NULL));
	vc.console = c->console;
	vc.ports = CONTRACT_PORTS - 1;
	snprintf(vc.port[0].name, sizeof(vc.port[0].name), "port");
	vc.port[0].channel = c->channel;
	must_be_made(vconsole_create(&o, &vc, NULL));
	c->own = o;
	c->rig.device = of_virtio(vconsole_virtio(o));
}

static inline void destroy_console(struct contract *c)
{
	vconsole_destroy(c->own);
	channel_destroy(c->channel);
	console_destroy(c->console);
}

/* A driver of several ports that says event, event, event of a port. */
static inline void talk(struct contract *c, uint32_t port, uint16_t a,
			uint16_t b)
{
	const uint16_t event[] = { 0, a, b };
	uint8_t *m = c->rig.ram + RIG_DATA;
	unsigned int i;

	rig_start(&c->rig, 2, 6, 16);
	for (i = 0; i < 3; i++) {
		put_le32(m, port);
		put_le16(m + 4, event[i]);
		put_le16(m + 6, 1);
		rig_one(&c->rig, 3, RIG_DATA, 8, false);
		rig_serve(&c->rig, 3, c->loop);
	}
}

static inline void hear_of_ports(struct contract *c)
{
	talk(c, 0, 0, 0);
}

static inline void ready_port_0(struct contract *c)
{
	talk(c, 0, 3, 3);
}

static inline void open_port_0(struct contract *c)
{
	talk(c, 0, 3, 6);
}

static inline void open_port_1(struct contract *c)
{
	talk(c, 1, 3, 6);
}

static inline void take_a_part(struct contract *c)
{
	talk(c, 1, 3, 6);
	channel_host_open(c->channel, true);
	rig_one(&c->rig, 5, RIG_DATA, 100000, false);
	rig_serve(&c->rig, 5, c->loop);
}

static inline void know_one_port(struct contract *c)
{
	rig_start(&c->rig, 0, 2, 16);
}

/* --- balloon --------------------------------------------------------- */

static inline void discard_nothing(void *ctx, void *host, uint64_t bytes)
{
	(void)ctx;
	(void)host;
	(void)bytes;
}

static inline void make_balloon(struct contract *c, struct virtio_config v)
{
	struct vballoon_config bc = { .virtio = v,
				      .loop = c->loop,
				      .discard = discard_nothing };
	struct vballoon *b;

	must_be_made(vballoon_create(&b, &bc, NULL));
	c->own = b;
	c->rig.device = of_virtio(vballoon_virtio(b));
}

static inline void destroy_balloon(struct contract *c)
{
	vballoon_destroy(c->own);
}

static inline void ask_for_pages(struct contract *c)
{
	vballoon_set_target(c->own, 7);
}

static inline void give_pages(struct contract *c)
{
	rig_write(&c->rig, 0x104, 3);
}

static inline void keep_statistics(struct contract *c)
{
	rig_start(&c->rig, 2, 3, 16);
	rig_one(&c->rig, 2, RIG_DATA, 10, false);
	rig_serve(&c->rig, 2, c->loop);
}

/* The second buffer: the head is not 0. */
static inline void keep_other_statistics(struct contract *c)
{
	rig_start(&c->rig, 2, 3, 16);
	c->rig.queue[2].next_desc = 5;
	rig_one(&c->rig, 2, RIG_DATA, 10, false);
	rig_serve(&c->rig, 2, c->loop);
}

/* --- block ----------------------------------------------------------- */

static inline void make_blk(struct contract *c, struct virtio_config v)
{
	struct disk_config dc = { .path = c->path, .format = DISK_RAW };
	struct vblk_config bc = { .virtio = v,
				  .queues = 1,
				  .engine = IOQ_SYNC };
	struct vblk *b;
	int fd;

	snprintf(c->path, sizeof(c->path), "/tmp/amber-row-XXXXXX");
	fd = mkstemp(c->path);
	must_be_made(fd < 0 || ftruncate(fd, 1 << 20));
	close(fd);
	must_be_made(disk_open(&bc.disk, &dc, NULL));
	must_be_made(vblk_create(&b, &bc, NULL));
	unlink(c->path);
	c->own = b;
	c->rig.device = of_virtio(vblk_virtio(b));
}

static inline void destroy_blk(struct contract *c)
{
	vblk_destroy(c->own);
}

#define BLK_WCE (1ULL << 11 | 1ULL << 9)

static inline void write_through(struct contract *c)
{
	struct device *d = c->rig.device;

	rig_start(&c->rig, BLK_WCE, 1, 16);
	d->ops->write(d, 0, 0x120, 1, 0);
}

/* --- socket ---------------------------------------------------------- */

static inline void make_sock(struct contract *c, struct virtio_config v)
{
	struct vsock_config sc = { .virtio = v, .loop = c->loop, .cid = 42 };
	struct vsock *s;

	snprintf(c->path, sizeof(c->path), "/tmp/amber-row-XXXXXX");
	if (!mkdtemp(c->path))
		abort();
	snprintf(sc.path, sizeof(sc.path), "%s/v", c->path);
	must_be_made(vsock_create(&s, &sc, NULL));
	c->own = s;
	c->rig.device = of_virtio(vsock_virtio(s));
}

static inline void destroy_sock(struct contract *c)
{
	vsock_destroy(c->own);
	rmdir(c->path);
}

static inline void reset_transport(struct contract *c)
{
	rig_start(&c->rig, 1, 3, 16);
	vsock_transport_reset(c->own);
}

static const struct row rows[] = {
	{
		.source = "vrng.c",
		.kind = "virtio-rng",
		.id = 4,
		.queues = 1,
		.restored_at = -1,
		.make = make_rng,
		.destroy = destroy_rng,
	},
	{
		.source = "vnet.c",
		.kind = "virtio-net",
		.id = 1,
		.queues = 5,
		.features = NET_F_CTRL_VQ | NET_F_MQ | NET_F_CSUM,
		.bytes = 4,
		.restored_at = 3, /* it asks to be announced */
		.restored_if = NET_F_ANNOUNCE,
		.make = make_net,
		.destroy = destroy_net,
		.step = { pull_cable, use_both_pairs, come_back },
		.impossible = { { { { 0, 2 } }, "section virtio-net" },
				{ { { 1, 0 } }, "net0: 0 of 2 pairs" },
				{ { { 1, 3 } }, "net0: 3 of 2 pairs" },
				{ { { 2, 1 } }, "net0: 257 of 2 pairs" } },
	},
	{
		.source = "vconsole.c",
		.kind = "virtio-console",
		.id = 3,
		.queues = 2 * CONTRACT_PORTS + 2,
		.features = 2,
		.bytes = CONTRACT_PORTS * 11,
		.restored_at = -1,
		.make = make_console,
		.destroy = destroy_console,
		.step = { hear_of_ports, ready_port_0, open_port_0, open_port_1,
			  take_a_part, know_one_port },
		.impossible = { { { { 0, 16 } }, "port 0: messages 0x10" },
				{ { { 0, 4 } }, "port 0: messages 0x4" },
				{ { { 11, 0xff } }, "port 1: messages 0xff" },
				{ { { 1, 2 } }, "section virtio-console" },
				{ { { 2, 2 } }, "section virtio-console" } },
	},
	{
		.source = "vballoon.c",
		.kind = "virtio-balloon",
		.id = 5,
		.queues = 4,
		.features = 2,
		.bytes = 11,
		.restored_at = -1,
		.make = make_balloon,
		.destroy = destroy_balloon,
		.step = { ask_for_pages, give_pages, keep_statistics,
			  keep_other_statistics },
		.impossible = { { { { 8, 2 } }, "section virtio-balloon" },
				{ { { 8, 1 } }, "statistics buffer 0 of" } },
	},
	{
		.source = "vblk.c",
		.kind = "virtio-blk",
		.id = 2,
		.queues = 1,
		.features = BLK_WCE,
		.bytes = 5,
		.restored_at = -1,
		.make = make_blk,
		.destroy = destroy_blk,
		.step = { write_through },
		.impossible = { { { { 0, 2 } }, "section virtio-blk" },
				{ { { 1, 1 } }, "section virtio-blk" },
				{ { { 2, 2 } }, "section virtio-blk" } },
	},
	{
		.source = "vsock.c",
		.kind = "virtio-vsock",
		.id = 19,
		.queues = 3,
		.features = 1,
		.bytes = 5,
		.restored_at = 4,
		.make = make_sock,
		.destroy = destroy_sock,
		.step = { reset_transport },
		.impossible = { { { { 3, 0 } }, "next port 0" },
				{ { { 3, 0x80 } }, "next port 2147483648" },
				{ { { 4, 2 } }, "section virtio-vsock" } },
	},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

#endif
