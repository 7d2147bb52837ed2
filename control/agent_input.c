/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the guest's agent into lines, lines into answers. Loop thread
 * only. INV-1: memory is used only while an answer is waited for, and never
 * more than the limits. INV-2: every byte is looked at a constant number of
 * times. INV-3: out of sync, nothing but the sentinel and then the answer to
 * the number sent last is believed.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json_in.h"
#include "control/agent_private.h"
#include "control/limits.h"

#define SENTINEL	0xff
#define LINE_KEEP_BYTES (64u << 10)
#define DESC_MAX	300 /* characters of the guest's text in an error */

static const struct json_limits reply_limits = {
	.bytes = LIMIT_AGENT_REPLY_BYTES,
	.depth = LIMIT_JSON_DEPTH,
	.values = LIMIT_AGENT_REPLY_VALUES,
};

void agent_line_reset(struct agent *a)
{
	a->is_delimited = false;
	if (a->line.room > LINE_KEEP_BYTES)
		buf_fini(&a->line);
	buf_reset(&a->line);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* --- answers ------------------------------------------------------------ */

/* The current request can't be answered any more. */
static void fail(struct agent *a, const struct err *e)
{
	a->status.bad_replies++;
	agent_sync(a);
	agent_answer(a, NULL, e);
}

static void seen(struct agent *a)
{
	uint64_t now = clock_mono_ns();

	a->status.seen_wall_ns = clock_wall_ns();
	if (a->current->kind == AGENT_PING)
		a->status.rtt_ns = now - a->sent_ns;
}

/* The agent's own error: {"class": ..., "desc": ...}. */
static void refused(struct agent *a, const json_t *error)
{
	const char *desc = json_string_value(json_object_get(error, "desc"));
	struct err e = ERR_NONE;

	err_set(&e, -EREMOTEIO, "%s: the guest's agent says: %.*s",
		a->current->command, DESC_MAX,
		desc && *desc ? desc : "an error without a text");
	agent_answer(a, NULL, &e);
}

static bool is_sync_answer(const struct agent *a, const json_t *reply)
{
	const json_t *ret = json_object_get(reply, "return");

	return json_is_integer(ret) && json_integer_value(ret) == a->sync_id;
}

static void take_reply(struct agent *a, json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const json_t *ret = json_object_get(reply, "return");
	bool is_silent = a->current->kind == AGENT_NO_REPLY;
	struct err e = ERR_NONE;

	if (json_is_object(error) ? ret != NULL
				  : !ret || error ||
					    (is_silent && a->is_delimited &&
					     !is_sync_answer(a, reply))) {
		err_set(&e, -EBADMSG, "%s: the guest's agent sent no answer",
			a->current->command);
		fail(a, &e);
		return;
	}
	seen(a);
	/* The synchronisation behind it is still to be answered. */
	if (is_silent && !a->is_delimited)
		agent_await_sync(a);
	if (error)
		refused(a, error);
	else
		agent_answer(a, is_silent ? NULL : ret, NULL);
}

static void take_line(struct agent *a)
{
	struct err e = ERR_NONE;
	json_t *reply;
	int r;

	r = json_in_parse(&reply, buf_text(&a->line), a->line.len,
			  &reply_limits, "answer of the guest's agent", &e);
	if (r) {
		e.code = r == -EINVAL ? -EBADMSG : r;
		err_prefix(&e, "%s", a->current->command);
		fail(a, &e);
		return;
	}
	take_reply(a, reply);
	json_decref(reply);
}

static void take_sync_line(struct agent *a)
{
	json_t *reply;
	bool good;

	good = !json_in_parse(&reply, buf_text(&a->line), a->line.len,
			      &reply_limits, "sync", NULL);
	if (good) {
		good = is_sync_answer(a, reply);
		json_decref(reply);
	}
	if (good)
		agent_synced(a);
}

static void end_line(struct agent *a)
{
	size_t i = 0;

	while (i < a->line.len && is_blank(a->line.data[i]))
		i++;
	if (i == a->line.len) /* an empty one */
		return;
	if (a->state == AGENT_SYNC)
		take_sync_line(a);
	else
		take_line(a);
	agent_line_reset(a);
}

/* --- bytes -------------------------------------------------------------- */

/* Nobody waits for them. */
static size_t take_stray(struct agent *a, const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len && is_blank(bytes[i]); i++)
		;
	a->status.stray_bytes += len - i;
	if (i < len)
		a->is_suspicious = true;
	return len;
}

static size_t find_sentinel(struct agent *a, const uint8_t *bytes, size_t len)
{
	const uint8_t *at = memchr(bytes, SENTINEL, len);

	if (!at)
		return len;
	a->is_delimited = true;
	return (size_t)(at - bytes) + 1;
}

static void too_long(struct agent *a)
{
	struct err e = ERR_NONE;

	if (a->state == AGENT_SYNC) {
		agent_line_reset(a);
		return;
	}
	err_set(&e, a->line.error == -ENOMEM ? -ENOMEM : -EFBIG,
		"%s: the answer of the guest's agent is longer than the limit "
		"of %u bytes",
		a->current->command, LIMIT_AGENT_REPLY_BYTES);
	fail(a, &e);
}

/* Bytes of a line, up to its end, the sentinel or the end of the input. */
static size_t collect(struct agent *a, const uint8_t *bytes, size_t len)
{
	size_t limit = a->state == AGENT_SYNC ? LIMIT_AGENT_SYNC_BYTES
					      : LIMIT_AGENT_REPLY_BYTES;
	size_t n = 0;

	while (n < len && bytes[n] != '\n' && bytes[n] != SENTINEL)
		n++;
	if (n > limit - a->line.len || buf_put(&a->line, bytes, n)) {
		too_long(a);
		return n;
	}
	if (n == len)
		return n;
	if (bytes[n] == '\n') {
		end_line(a);
	} else {
		agent_line_reset(a);
		a->is_delimited = true;
	}
	return n + 1;
}

static size_t take(struct agent *a, const uint8_t *bytes, size_t len)
{
	switch (a->state) {
	case AGENT_SYNC:
		return a->is_delimited ? collect(a, bytes, len)
				       : find_sentinel(a, bytes, len);
	case AGENT_READY:
		if (a->current)
			return collect(a, bytes, len);
		break;
	case AGENT_CLOSED:
		break;
	}
	return take_stray(a, bytes, len);
}

void agent_input(struct agent *a, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t n;

	a->in_input = true;
	for (; len; at += n, len -= n)
		n = take(a, at, len);
	a->in_input = false;
	agent_pump(a);
}
