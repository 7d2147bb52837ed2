/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to one VM's control socket: HTTP/1.1 and JSON over a Unix
 * socket, through libcurl. A client is one connection that is kept between
 * requests; one thread at a time per client, any number of clients.
 */
#ifndef AMBER_CONTROL_CLIENT_H
#define AMBER_CONTROL_CLIENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CLIENT_CONNECT_MS 5000 /* to be connected at all */
#define CLIENT_STATUS_MS  3000 /* for answers that come at once */
#define CLIENT_BODY_BYTES (64u << 20)
#define CLIENT_WORD_BYTES 48

struct client;

/* The fields of a problem+json answer that programs act on. */
struct client_problem {
	char code[CLIENT_WORD_BYTES]; /* "wrong-state"..., "" without one */
	char help[CLIENT_WORD_BYTES]; /* the command that would help, or "" */
};

struct client_reply {
	int status;	   /* HTTP's, 0: no answer */
	struct buf body;   /* owned */
	uint64_t position; /* Amber-Position, when the answer has one */
	bool has_position;
	struct client_problem problem; /* empty unless it was one */
};

/* Connects lazily. socket_path is copied. Errors: -ELIBACC, -ENOMEM. */
int client_open(struct client **out, const char *socket_path, struct err *e);
void client_close(struct client *c); /* NULL is fine */

void client_reply_init(struct client_reply *r);
void client_reply_fini(struct client_reply *r);

/*
 * Sends a request and reads the answer. target: path and query; body: JSON
 * or NULL; timeout_ms: for the whole exchange, 0 = none. Returns 0 for a
 * 2xx answer; else a negative errno with the problem as one line:
 * -ECONNREFUSED, -ENOENT (nobody serves the socket), -ETIMEDOUT,
 * -EACCES, -EPIPE (the server went away), -EBUSY (409), -EREMOTEIO (any
 * other refusal). r is reset first.
 */
int client_request(struct client *c, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms,
		   struct client_reply *r, struct err *e);

/* Of any of these: the process has ended, or did so meanwhile. */
static inline bool client_is_gone(int r)
{
	return r == -ECONNREFUSED || r == -ENOENT || r == -EPIPE;
}

/*
 * Sends a GET and hands the answer's bytes to on_bytes as they come, until
 * the server ends it (returns 0), on_bytes returns nonzero (returns 0 too),
 * or timeout_ms (0 = none) have passed (-ETIMEDOUT).
 */
int client_stream(struct client *c, const char *target,
		  int (*on_bytes)(void *ctx, const char *bytes, size_t len),
		  void *ctx, unsigned int timeout_ms, struct err *e);

/*
 * Turns a problem+json body into its detail in e and its fields in *p; a
 * body that is none into "HTTP status N". Returns the errno for the status.
 */
int client_problem_read(int status, const char *body, size_t len,
			struct client_problem *p, struct err *e);

#endif
