/* SPDX-License-Identifier: Apache-2.0 */
/* The console device's insides, shared by the files vconsole*.c. */
#ifndef AMBER_DEVICES_VCONSOLE_PRIVATE_H
#define AMBER_DEVICES_VCONSOLE_PRIVATE_H

#include "devices/vconsole.h"

#define VCONSOLE_F_MULTIPORT (1ULL << 1)

/* What a port's driver is still to be told, in this order. */
#define TELL_ADD     1u
#define TELL_CONSOLE 2u
#define TELL_NAME    4u
#define TELL_OPEN    8u
#define TELL_ALL     15u

struct port_state {
	uint8_t tell; /* TELL_* */
	bool is_ready, is_open;
	uint64_t tx_offset; /* bytes of the next chain already taken */
};

struct vconsole {
	struct virtio virtio;
	struct vconsole_config cfg;
	struct {
		struct port_state port[VCONSOLE_PORTS_MAX];
	} st;
	struct {
		struct virtio_loop loop;
		struct virtq_chain chain;
		unsigned int ports; /* with port 0 */
		struct vconsole_port {
			struct vconsole *owner;
			unsigned int index;
			bool told_open;	 /* as the guest last heard it */
			bool shown_open; /* as the host last saw it */
		} port[VCONSOLE_PORTS_MAX];
	} host;
};

static inline unsigned int vconsole_rx_queue(unsigned int port)
{
	return port ? 2 * port + 2 : 0;
}

static inline unsigned int vconsole_tx_queue(unsigned int port)
{
	return port ? 2 * port + 3 : 1;
}

/* NULL for port 0. */
static inline struct channel *vconsole_channel(const struct vconsole *c,
					       unsigned int port)
{
	return port ? c->cfg.port[port - 1].channel : NULL;
}

static inline bool vconsole_has_ports(const struct vconsole *c)
{
	return virtio_has(&c->virtio, VCONSOLE_F_MULTIPORT);
}

/* --- vconsole_ports.c ---------------------------------------------------- */
void vconsole_kicked(struct virtio *v, unsigned int q);
/* The guest opened or closed a port, or the device was reset. */
void vconsole_set_open(struct vconsole *c, unsigned int port, bool is_open);
/* The host is to see whether the port is open. */
void vconsole_show_open(struct vconsole *c, unsigned int port);
/* Of ctx, a struct vconsole_port: its channel has news. */
void vconsole_on_channel(void *ctx);

#endif
