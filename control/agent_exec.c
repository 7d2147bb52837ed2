/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in the guest: guest-exec, then guest-exec-status by a timer that
 * slows down, until it has ended. Loop thread only. INV-1: an exec that is
 * in the list has either a request under way or its timer armed; out of the
 * list it is freed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/agent_private.h"
#include "control/base64.h"
#include "control/limits.h"
#include "control/text.h"

static void poll_status(void *ctx);

static void unlink_exec(struct agent_exec *x)
{
	struct agent_exec **at = &x->agent->execs;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->agent->exec_count--;
	loop_disarm(&x->timer);
}

static void end(struct agent_exec *x, const struct agent_exec_result *r,
		const struct err *e)
{
	unlink_exec(x);
	if (x->done)
		x->done(x->ctx, r, e);
	free(x);
}

static void end_error(struct agent_exec *x, const struct err *from)
{
	struct err e = *from;

	if (e.code == -ETIMEDOUT && x->pid)
		err_set(&e, -ETIMEDOUT,
			"%s: not over in time; it runs on in the guest as "
			"process %lld",
			x->program, (long long)x->pid);
	else
		err_prefix(&e, "%s", x->program);
	end(x, NULL, &e);
}

static void end_bad(struct agent_exec *x, const char *what)
{
	struct err e = ERR_NONE;

	err_set(&e, -EBADMSG, "%s: %s", x->program, what);
	end(x, NULL, &e);
}

static uint64_t left_ns(const struct agent_exec *x)
{
	uint64_t now = clock_mono_ns();

	return x->due_ns > now ? x->due_ns - now : 0;
}

/* --- the result --------------------------------------------------------- */

static int read_stream(const json_t *ret, const char *data, const char *cut,
		       struct buf *to, bool *is_cut)
{
	const json_t *text = json_object_get(ret, data);

	buf_init(to, LIMIT_AGENT_REPLY_BYTES);
	*is_cut = json_is_true(json_object_get(ret, cut));
	if (!text)
		return 0;
	if (!json_is_string(text))
		return -EINVAL;
	return base64_decode(to, json_string_value(text),
			     json_string_length(text));
}

static int read_number(const json_t *ret, const char *key, int *to)
{
	const json_t *n = json_object_get(ret, key);

	if (!n)
		return 0;
	if (!json_is_integer(n) || json_integer_value(n) < INT32_MIN ||
	    json_integer_value(n) > UINT32_MAX)
		return -EINVAL;
	*to = (int)(uint32_t)json_integer_value(n);
	return 0;
}

static void on_exited(struct agent_exec *x, const json_t *ret)
{
	struct agent_exec_result r = { 0 };
	int bad;

	bad = read_number(ret, "exitcode", &r.status);
	bad |= read_number(ret, "signal", &r.signal);
	bad |= read_stream(ret, "out-data", "out-truncated", &r.out,
			   &r.out_cut);
	bad |= read_stream(ret, "err-data", "err-truncated", &r.err,
			   &r.err_cut);
	if (bad)
		end_bad(x, "the guest's agent told no proper result");
	else
		end(x, &r, NULL);
	buf_fini(&r.out);
	buf_fini(&r.err);
}

/* --- the two commands --------------------------------------------------- */

static void again(struct agent_exec *x)
{
	uint64_t wait_ns = x->poll_ms * NS_PER_MS, left = left_ns(x);

	loop_arm(x->agent->cfg.loop, &x->timer, wait_ns < left ? wait_ns : left,
		 poll_status, x);
	x->poll_ms *= 2;
	if (x->poll_ms > LIMIT_AGENT_POLL_MAX_MS)
		x->poll_ms = LIMIT_AGENT_POLL_MAX_MS;
}

static void on_status(void *ctx, const json_t *ret, const struct err *e)
{
	const json_t *exited = json_object_get(ret, "exited");
	struct agent_exec *x = ctx;

	if (e)
		end_error(x, e);
	else if (!json_is_boolean(exited))
		end_bad(x, "the guest's agent told no proper status");
	else if (json_is_true(exited))
		on_exited(x, ret);
	else
		again(x);
}

static void poll_status(void *ctx)
{
	struct agent_exec *x = ctx;
	struct err e = { .code = -ETIMEDOUT };

	if (!left_ns(x)) {
		end_error(x, &e);
		return;
	}
	agent_call(x->agent, "guest-exec-status",
		   json_pack("{s:I}", "pid", (json_int_t)x->pid), left_ns(x),
		   on_status, x);
}

static void on_begun(void *ctx, const json_t *ret, const struct err *e)
{
	const json_t *pid = json_object_get(ret, "pid");
	struct agent_exec *x = ctx;

	if (e) {
		end_error(x, e);
	} else if (!json_is_integer(pid) || json_integer_value(pid) <= 0) {
		end_bad(x, "the guest's agent told no process id");
	} else {
		x->pid = json_integer_value(pid);
		again(x);
	}
}

static json_t *arguments_of(const char *const *words, size_t count)
{
	json_t *arg = json_array();
	size_t i;

	for (i = 1; i < count; i++)
		json_array_append_new(arg, json_string(words[i]));
	return json_pack("{s:s, s:o, s:b}", "path", words[0], "arg", arg,
			 "capture-output", 1);
}

void agent_exec(struct agent *a, const char *const *words, size_t count,
		uint64_t timeout_ns, agent_exec_done done, void *ctx)
{
	struct agent_exec *x = NULL;
	struct err e = ERR_NONE;

	if (a->exec_count >= LIMIT_AGENT_EXECS)
		err_set(&e, -EBUSY, "%u commands run in the guest already",
			a->exec_count);
	else if (!(x = calloc(1, sizeof(*x))))
		err_sys(&e, -ENOMEM, "guest-exec");
	if (!x) {
		done(ctx, NULL, &e);
		return;
	}
	x->agent = a;
	x->poll_ms = LIMIT_AGENT_POLL_MIN_MS;
	x->due_ns = clock_mono_ns() + timeout_ns;
	x->done = done;
	x->ctx = ctx;
	text_copy(x->program, sizeof(x->program), words[0]);
	x->next = a->execs;
	a->execs = x;
	a->exec_count++;
	agent_call(a, "guest-exec", arguments_of(words, count), timeout_ns,
		   on_begun, x);
}

/* --- ends from outside -------------------------------------------------- */

void agent_exec_forget(struct agent *a, void *ctx)
{
	struct agent_exec *x, *next;

	for (x = a->execs; x; x = next) {
		next = x->next;
		if (x->ctx != ctx)
			continue;
		x->done = NULL;
		unlink_exec(x);
		agent_forget(a, x);
		free(x);
	}
}

void agent_exec_closed(struct agent *a)
{
	struct err e = { .code = -ECONNRESET };

	err_set(&e, -ECONNRESET, "the guest's agent went away");
	while (a->execs)
		end_error(a->execs, &e);
}

void agent_exec_destroy(struct agent *a)
{
	struct err e = { .code = -ECANCELED };

	err_set(&e, -ECANCELED, "the VM's process ends");
	while (a->execs)
		end_error(a->execs, &e);
}
