/* SPDX-License-Identifier: Apache-2.0 */
/* What was done, in a file; and from the past to what is due. */
#include "snapshot/policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_in.h"
#include "base/name.h"
#include "base/utf8.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static const struct json_limits limits = {
	.bytes = POLICY_FILE_BYTES,
	.depth = 4,
	.values = 64,
};

/* --- the file -------------------------------------------------------- */

static json_t *time_json(uint64_t ns)
{
	char text[CLOCK_TEXT_BYTES];

	return ns ? json_string(clock_rfc3339(ns, text)) : NULL;
}

int policy_print(const struct policy_state *s, struct buf *out)
{
	json_t *json = json_pack(
		"{s:o*, s:o*, s:o*, s:I, s:s}", "since", time_json(s->since_ns),
		"ran", time_json(s->ran_ns), "failed", time_json(s->failed_ns),
		"failures", (json_int_t)s->failures, "text", s->text);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	int r = text ? buf_printf(out, "%s\n", text) : -ENOMEM;

	free(text);
	json_decref(json);
	return r;
}

int policy_save(const struct policy_state *s, int dir, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, POLICY_FILE_BYTES);
	r = policy_print(s, &text);
	if (r)
		err_sys(e, r, POLICY_FILE);
	else
		r = file_commit(dir, POLICY_FILE, text.data, text.len,
				FILE_DURABLE, e);
	buf_fini(&text);
	return r;
}

static bool read_time(const json_t *json, const char *key, uint64_t *ns)
{
	const json_t *value = json_object_get(json, key);
	const char *text = json_string_value(value);

	return !value || (text && clock_rfc3339_parse(text, ns));
}

static bool read_state(const json_t *json, struct policy_state *s)
{
	json_int_t n = json_integer_value(json_object_get(json, "failures"));
	const char *text = json_string_value(json_object_get(json, "text"));

	if (!read_time(json, "since", &s->since_ns) ||
	    !read_time(json, "ran", &s->ran_ns) ||
	    !read_time(json, "failed", &s->failed_ns) || n < 0 ||
	    n > UINT32_MAX)
		return false;
	s->failures = (uint32_t)n;
	if (text && name_is_printable(text))
		utf8_copy_printable(s->text, sizeof(s->text), text);
	return true;
}

int policy_load(struct policy_state *s, int dir, struct err *e)
{
	struct policy_state read = { .since_ns = 0 };
	json_t *json = NULL;
	struct buf text;
	int r;

	*s = read;
	buf_init(&text, POLICY_FILE_BYTES);
	r = file_read(dir, POLICY_FILE, POLICY_FILE_BYTES, &text, e);
	if (r == -EFBIG || r == -ELOOP || r == -EINVAL)
		r = -EBADMSG; /* it is none of ours */
	if (!r && json_in_parse(&json, (const char *)text.data, text.len,
				&limits, POLICY_FILE, e))
		r = -EBADMSG;
	if (!r && !read_state(json, &read))
		r = err_set(e, -EBADMSG,
			    POLICY_FILE ": a time or a number is none");
	if (!r)
		*s = read;
	json_decref(json);
	buf_fini(&text);
	return r == -ENOENT ? 0 : r;
}

/* --- when ------------------------------------------------------------ */

static bool is_ahead(uint64_t *ns, uint64_t now_ns)
{
	if (*ns <= now_ns)
		return false;
	*ns = now_ns;
	return true;
}

bool policy_settle(struct policy_state *s, uint64_t newest_ns, uint64_t now_ns)
{
	bool changed = is_ahead(&s->since_ns, now_ns);

	changed |= is_ahead(&s->ran_ns, now_ns);
	changed |= is_ahead(&s->failed_ns, now_ns);
	if (newest_ns > s->ran_ns && newest_ns <= now_ns) {
		s->ran_ns = newest_ns;
		changed = true;
	}
	if (!s->since_ns) {
		s->since_ns = now_ns;
		changed = true;
	}
	return changed;
}

static uint64_t retry_ns(const struct policy_state *s)
{
	uint64_t seconds = POLICY_RETRY_MIN_S;
	uint32_t i;

	if (!s->failures)
		return 0;
	for (i = 1; i < s->failures && seconds < POLICY_RETRY_MAX_S; i++)
		seconds *= 2;
	return s->failed_ns + MIN(seconds, POLICY_RETRY_MAX_S) * NS_PER_S;
}

uint64_t policy_due(const struct policy *p, const struct policy_state *s)
{
	uint64_t last = s->ran_ns ? s->ran_ns : s->since_ns, due;
	int64_t next;

	if (!p->has_schedule)
		return POLICY_NEVER;
	next = cron_next(&p->every, (int64_t)(last / NS_PER_S));
	if (next == CRON_NEVER)
		return POLICY_NEVER;
	due = (uint64_t)next * NS_PER_S;
	return MAX(due, retry_ns(s));
}

void policy_ran(struct policy_state *s, uint64_t now_ns, const char *text)
{
	s->ran_ns = now_ns;
	s->failed_ns = 0;
	s->failures = 0;
	utf8_copy_printable(s->text, sizeof(s->text), text);
}

void policy_failed(struct policy_state *s, uint64_t now_ns, const char *text)
{
	s->failed_ns = now_ns;
	if (s->failures < UINT32_MAX)
		s->failures++;
	utf8_copy_printable(s->text, sizeof(s->text), text);
}

/* --- what there is --------------------------------------------------- */

uint64_t policy_newest(json_t *list, uint64_t now_ns)
{
	uint64_t newest = 0, created;
	const char *purpose;
	const json_t *s;
	size_t i;

	json_array_foreach(list, i, s)
	{
		purpose = json_string_value(json_object_get(s, "purpose"));
		created = (uint64_t)json_integer_value(
			json_object_get(s, "created_ns"));
		if (purpose && !strcmp(purpose, POLICY_PURPOSE) &&
		    created <= now_ns)
			newest = MAX(newest, created);
	}
	return newest;
}

bool policy_has_expired(json_t *list, uint64_t now_ns)
{
	const char *text;
	const json_t *s;
	uint64_t at;
	size_t i;

	json_array_foreach(list, i, s)
	{
		text = json_string_value(json_object_get(s, "expires"));
		if (text && clock_rfc3339_parse(text, &at) && at <= now_ns &&
		    !json_is_true(json_object_get(s, "pinned")))
			return true;
	}
	return false;
}
