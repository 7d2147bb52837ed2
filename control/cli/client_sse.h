/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-Sent Events (HTML Living Standard 9.2): bytes in, events out. Pure
 * but for the bounded buffers; one thread at a time per parser. Invariant:
 * an event is handed over only when its closing empty line was seen.
 */
#ifndef AMBER_CONTROL_CLIENT_SSE_H
#define AMBER_CONTROL_CLIENT_SSE_H

#include <stddef.h>

#include "base/buf.h"

#define CLIENT_SSE_LINE_BYTES (64u << 10)
#define CLIENT_SSE_NAME_BYTES 48

struct client_sse_event {
	const char *kind; /* "message" when the stream names none */
	const char *id;	  /* "" when there is none */
	const char *data; /* lines joined by \n; terminated */
	size_t data_len;
};

struct client_sse {
	struct buf line, data; /* owned */
	char kind[CLIENT_SSE_NAME_BYTES];
	char id[CLIENT_SSE_NAME_BYTES];
	/* Nonzero: no more events are wanted. Borrowed event. */
	int (*on_event)(void *ctx, const struct client_sse_event *ev);
	void *ctx;
};

void client_sse_init(struct client_sse *s,
		     int (*on_event)(void *ctx,
				     const struct client_sse_event *ev),
		     void *ctx);
void client_sse_fini(struct client_sse *s);

/*
 * Takes the next bytes. Returns what on_event returned when that is
 * nonzero; -EMSGSIZE for a line or event beyond CLIENT_SSE_LINE_BYTES.
 * The first parameter is a struct client_sse, as client_stream() passes it.
 */
int client_sse_bytes(void *parser, const char *bytes, size_t len);

#endif
