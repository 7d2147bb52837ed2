/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of Server-Sent Events; one thread at a time per parser.
 * Invariant: line holds the bytes since the last line end, data the lines
 * of the event that is being collected.
 */
#include "control/cli/client_sse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void client_sse_init(struct client_sse *s,
		     int (*on_event)(void *ctx,
				     const struct client_sse_event *ev),
		     void *ctx)
{
	*s = (struct client_sse){ .on_event = on_event, .ctx = ctx };
	buf_init(&s->line, CLIENT_SSE_LINE_BYTES);
	buf_init(&s->data, CLIENT_SSE_LINE_BYTES);
}

void client_sse_fini(struct client_sse *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

static int dispatch(struct client_sse *s)
{
	struct client_sse_event ev = {
		.kind = *s->kind ? s->kind : "message",
		.id = s->id,
	};
	int r = 0;

	if (s->data.len) {
		s->data.len--; /* the last \n */
		ev.data = buf_text(&s->data);
		ev.data_len = s->data.len;
		r = s->on_event(s->ctx, &ev);
	}
	buf_reset(&s->data);
	s->kind[0] = 0;
	return r;
}

static void take_field(struct client_sse *s, const char *name,
		       const char *value)
{
	if (strcmp(name, "event") == 0) {
		snprintf(s->kind, sizeof(s->kind), "%s", value);
	} else if (strcmp(name, "id") == 0) {
		snprintf(s->id, sizeof(s->id), "%s", value);
	} else if (strcmp(name, "data") == 0) {
		buf_puts(&s->data, value);
		buf_puts(&s->data, "\n");
	}
}

static int take_line(struct client_sse *s)
{
	char *line = (char *)s->line.data;
	char *colon;
	int r = 0;

	if (s->line.len && line[s->line.len - 1] == '\r')
		line[--s->line.len] = 0;
	if (!s->line.len) {
		r = dispatch(s);
	} else if (line[0] != ':') {
		colon = strchr(line, ':');
		if (colon)
			*colon++ = 0;
		else
			colon = line + s->line.len;
		take_field(s, line, colon + (*colon == ' '));
	}
	buf_reset(&s->line);
	return r;
}

int client_sse_bytes(void *parser, const char *bytes, size_t len)
{
	struct client_sse *s = parser;
	int r = 0;

	while (len && !r) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;

		if (buf_put(&s->line, bytes, n) || s->data.error)
			return -EMSGSIZE;
		if (end) {
			r = take_line(s);
			n++;
		}
		bytes += n;
		len -= n;
	}
	return r;
}
