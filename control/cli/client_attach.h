/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console of a running VM as a plain descriptor: an HTTP upgrade on the
 * control socket, then raw bytes both ways. Written on the socket itself,
 * not through libcurl: after the 101 nothing of HTTP is left, and a console
 * that opens without loading a library opens 5 ms earlier. Any thread.
 */
#ifndef AMBER_CONTROL_CLIENT_ATTACH_H
#define AMBER_CONTROL_CLIENT_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "control/cli/client.h"

#define CLIENT_ATTACH_HEAD_BYTES 8192 /* of the answer's head */
#define CLIENT_ATTACH_MS	 5000 /* until the answer is there */

struct client_attach {
	int fd;		   /* owned by the caller, non-blocking; -1: none */
	struct buf early;  /* owned: console bytes that came with the head */
	uint64_t position; /* of the first byte, when the server says it */
	bool has_position;
	struct client_problem problem; /* when it was refused */
};

struct client_attach_options {
	bool readonly;	/* no input; never refused for a second reader */
	bool history;	/* what the ring still holds comes first */
	bool has_since; /* from this position on */
	uint64_t since;
};

/*
 * Connects to socket_path and attaches. Errors as of client_request(),
 * among them -EBUSY (console-busy: someone else writes already).
 */
int client_attach(struct client_attach *a, const char *socket_path,
		  const struct client_attach_options *options, struct err *e);
void client_attach_end(struct client_attach *a);

#endif
