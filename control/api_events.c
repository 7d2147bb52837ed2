/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of the event stream (Server-Sent Events: HTML standard, 9.2) and
 * of the journal. Each stream has its own place in the ring: a reader that
 * is too slow is told which numbers it missed. Loop thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/api.h"
#include "control/control.h"
#include "control/json_out.h"
#include "control/limits.h"

#define STREAM_TYPE   "text/event-stream"
#define JOURNAL_BYTES (1u << 20)

struct event_stream {
	struct call *call; /* borrowed; NULL once the client is gone */
	struct control *control;
	uint64_t next;	 /* number of the next event to send */
	struct buf text; /* what is being sent */
	size_t sent;	 /* of text */
	bool is_waiting; /* read() returned 0 */
	bool wants_comment;
	struct event_stream *following, *before;
};

/* Prints what comes next; false when there is nothing. */
static bool print_next(struct event_stream *s)
{
	const struct events *ev = s->control->events;
	const struct event_record *record;
	uint64_t first;

	buf_reset(&s->text);
	s->sent = 0;
	if (s->next < events_next(ev)) {
		record = events_get(ev, s->next);
		if (record) {
			buf_printf(&s->text, "id: %" PRIu64 "\nevent: %s\n",
				   record->seq, record->kind);
			buf_puts(&s->text, "data: ");
			buf_put(&s->text, record->json, record->json_bytes);
			buf_puts(&s->text, "\n\n");
			s->next++;
			return true;
		}
		first = s->next++;
		if (s->next < events_first(ev))
			s->next = events_first(ev);
		while (s->next < events_next(ev) && !events_get(ev, s->next))
			s->next++;
		buf_printf(&s->text,
			   "event: gap\ndata: {\"first_missing\":%" PRIu64
			   ",\"last_missing\":%" PRIu64 "}\n\n",
			   first, s->next - 1);
		return true;
	}
	if (!s->wants_comment)
		return false;
	s->wants_comment = false;
	buf_puts(&s->text, ": still here\n\n");
	return true;
}

static ssize_t read_stream(void *ctx, char *to, size_t max)
{
	struct event_stream *s = ctx;
	size_t n, total = 0;

	s->is_waiting = false;
	while (total < max) {
		if (s->sent == s->text.len && !print_next(s))
			break;
		if (s->text.error)
			return s->text.error;
		n = s->text.len - s->sent;
		if (n > max - total)
			n = max - total;
		memcpy(to + total, s->text.data + s->sent, n);
		s->sent += n;
		total += n;
	}
	if (!total && s->control->is_ending)
		return -ENODATA;
	s->is_waiting = !total;
	return (ssize_t)total;
}

static void close_stream(void *ctx)
{
	struct event_stream *s = ctx;
	struct control *c = s->control;

	if (s->before)
		s->before->following = s->following;
	else
		c->streams = s->following;
	if (s->following)
		s->following->before = s->before;
	if (!c->streams)
		loop_disarm(&c->keepalive);
	buf_fini(&s->text);
	free(s);
}

static void wake(struct event_stream *s)
{
	if (!s->is_waiting)
		return;
	s->is_waiting = false;
	call_wake(s->call);
}

void control_events_changed(struct control *c)
{
	struct event_stream *s, *following;

	for (s = c->streams; s; s = following) {
		following = s->following;
		wake(s);
	}
}

/* A line now and then: so that both ends notice when the other is gone. */
static void on_keepalive(void *ctx)
{
	struct control *c = ctx;
	struct event_stream *s;

	for (s = c->streams; s; s = s->following)
		s->wants_comment = true;
	loop_arm(c->loop, &c->keepalive, LIMIT_KEEPALIVE_MS * NS_PER_MS,
		 on_keepalive, c);
	control_events_changed(c);
}

static void link_stream(struct control *c, struct event_stream *s)
{
	s->following = c->streams;
	if (s->following)
		s->following->before = s;
	else
		loop_arm(c->loop, &c->keepalive, LIMIT_KEEPALIVE_MS * NS_PER_MS,
			 on_keepalive, c);
	c->streams = s;
}

void api_events(struct call *call)
{
	struct control *c = call->control;
	struct event_stream *s = calloc(1, sizeof(*s));
	uint64_t last = events_next(c->events) - 1;
	uint64_t since = call_number(call, "since", last);

	if (!s) {
		call_problem(call, PROBLEM_INTERNAL, "no memory");
		return;
	}
	s->call = call;
	s->control = c;
	s->next = (since < last ? since : last) + 1;
	/* 0 asks for all there is: nothing is missing then. */
	if (!since)
		s->next = events_first(c->events);
	/* The first line tells the client that it is heard. */
	s->wants_comment = true;
	buf_init(&s->text, LIMIT_EVENT_BYTES + 256);
	link_stream(c, s);
	call->kind = CALL_STREAM;
	call->status = 200;
	call->type = STREAM_TYPE;
	call->stream = (struct call_stream){ read_stream, close_stream, s,
					     CALL_LENGTH_UNKNOWN };
}

void api_journal(struct call *call)
{
	const struct events *ev = call->control->events;
	uint64_t limit = call_number(call, "limit", LIMIT_JOURNAL_ANSWER);
	uint64_t next = events_next(ev), at = events_first(ev);
	struct json_out j;

	if (call_has(call, "since")) {
		if (call_number(call, "since", 0) >= at)
			at = call_number(call, "since", 0) + 1;
	} else if (next - at > limit) {
		at = next - limit;
	}
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_open(&j, "records", '[');
	for (; at < next && limit && call->body.len < JOURNAL_BYTES; at++) {
		const struct event_record *record = events_get(ev, at);

		if (!record)
			continue;
		jout_raw(&j, NULL, record->json);
		limit--;
	}
	jout_close(&j, ']');
	/* Pass this as since to go on. */
	jout_uint(&j, "last", (at < next ? at : next) - 1);
	jout_close(&j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, "application/json");
}
