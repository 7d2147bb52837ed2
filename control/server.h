/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on the VM's Unix socket: libmicrohttpd without threads, driven by
 * our loop. Connections are accepted here, after the peer's credentials were
 * checked, and bounded in number, size and time. Loop thread only; nothing
 * blocks.
 */
#ifndef AMBER_CONTROL_SERVER_H
#define AMBER_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"

struct control;
struct server;

struct server_limits {
	unsigned int connections, connections_per_uid;
	unsigned int request_ms;  /* connect or last answer to whole request */
	unsigned int response_ms; /* for taking a plain answer */
	unsigned int stream_ms;	  /* a stream's reader that takes nothing */
	size_t body_bytes, header_bytes;
};

/* Those of limits.h. */
extern const struct server_limits server_default_limits;

struct server_config {
	struct loop *loop;	 /* borrowed */
	struct control *control; /* borrowed */
	struct server_limits limits;
	/*
	 * After server_drain(): nobody waits for anything any more. On the
	 * loop's thread. May be NULL.
	 */
	void (*drained)(void *ctx);
	void *ctx;
};

/* Errors: -ENOMEM, -EMFILE... */
int server_create(struct server **out, const struct server_config *config,
		  struct err *e);

/*
 * Listens on a socket at path: makes its directory (0700, for everybody's
 * search when shared), removes a stale socket, binds. Only the owner may
 * connect unless shared; then credentials decide. Errors: -ENAMETOOLONG,
 * -EADDRINUSE (somebody answers there), -EROFS, -EACCES...
 */
int server_listen(struct server *s, const char *path, bool shared,
		  struct err *e);

/* Serves a connected Unix socket as if it had been accepted; owns fd. */
void server_adopt(struct server *s, int fd);

/* Connections that are open now. */
unsigned int server_connections(const struct server *s);

/* Stops to listen and removes the socket; what is under way goes on. */
void server_drain(struct server *s);

/* Breaks off everything. The control plane outlives it. NULL is fine. */
void server_destroy(struct server *s);

#endif
