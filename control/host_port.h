/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a named virtio-console port: a Unix socket on which one
 * client at a time speaks with the guest, and (for the agent's port) a user
 * inside the process that has the port while no client is there. Loop
 * thread.
 */
#ifndef AMBER_CONTROL_HOST_PORT_H
#define AMBER_CONTROL_HOST_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/loop.h"
#include "devices/channel.h"

struct host_port;

/* Who has the port while no client is connected. */
struct host_port_user {
	void (*connected)(void *ctx, bool is_open); /* the guest opened it */
	void (*input)(void *ctx, const void *bytes, size_t len);
	void (*writable)(void *ctx); /* after a short host_port_send() */
	void *ctx;
};

/*
 * channel is borrowed and outlives it. dir: where NAME.sock is made; "":
 * no socket. user: NULL for none. Errors: of the socket, -ENAMETOOLONG.
 */
int host_port_create(struct host_port **out, struct loop *loop,
		     struct channel *channel, const char *dir, const char *name,
		     const struct host_port_user *user, struct err *e);
/* Closes the client, removes the socket. NULL is fine. */
void host_port_destroy(struct host_port *p);

/* The user's bytes for the guest; 0 while a client has the port. */
size_t host_port_send(struct host_port *p, const void *bytes, size_t len);

#endif
