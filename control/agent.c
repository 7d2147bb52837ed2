/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest agent's queue, its synchronisation and its timeouts. Loop thread
 * only. INV-1: a request is in the queue or is `current`, never both; its
 * done is called after it was taken out, so that done may call anything but
 * agent_destroy(). INV-2: `current` is only set in state READY, by
 * agent_pump(), never while input is being read: what is left of that input
 * can't answer it.
 */
#include "control/agent_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "control/limits.h"
#include "control/text.h"

#define SENTINEL "\xff"
#define NO_AGENT "the guest has no agent running (package qemu-guest-agent)"

/* --- ends --------------------------------------------------------------- */

static void finish(struct agent_request *r, const json_t *ret,
		   const struct err *e)
{
	loop_disarm(&r->timer);
	if (r->done)
		r->done(r->ctx, ret, e);
	json_decref(r->arguments);
	free(r);
}

void agent_answer(struct agent *a, const json_t *ret, const struct err *e)
{
	struct agent_request *r = a->current;

	a->current = NULL;
	finish(r, ret, e);
}

static struct agent_request *pop(struct agent *a)
{
	struct agent_request *r = a->queue;

	a->queue = r->next;
	a->queued--;
	return r;
}

static void remove_queued(struct agent *a, struct agent_request *r)
{
	struct agent_request **at = &a->queue;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	a->queued--;
}

static void end_all(struct agent *a, const struct err *e)
{
	if (a->current)
		agent_answer(a, NULL, e);
	while (a->queue)
		finish(pop(a), NULL, e);
}

/* --- to the guest ------------------------------------------------------- */

static void flush(struct agent *a)
{
	size_t left, n;

	while (a->out_at < a->out.len) {
		left = a->out.len - a->out_at;
		n = a->cfg.send(a->cfg.ctx, a->out.data + a->out_at, left);
		if (!n)
			return;
		a->out_at += n < left ? n : left;
	}
}

static void put_sync(struct agent *a)
{
	uint64_t bits = clock_mono_ns();

	/* Without randomness it is still a number that was never used. */
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		bits ^= (uint64_t)a->sync_id << 1;
	a->sync_id = (int64_t)(bits >> 1);
	a->sync_ns = clock_mono_ns();
	buf_printf(&a->out,
		   "{\"execute\":\"guest-sync-delimited\","
		   "\"arguments\":{\"id\":%lld}}\n",
		   (long long)a->sync_id);
}

static void on_sync_timer(void *ctx)
{
	struct agent *a = ctx;

	/* No second one behind a first that isn't even taken. */
	if (a->out_at < a->out.len)
		loop_arm(a->cfg.loop, &a->sync_timer, a->cfg.sync_ns,
			 on_sync_timer, a);
	else
		agent_sync(a);
}

void agent_await_sync(struct agent *a)
{
	a->state = AGENT_SYNC;
	a->status.in_sync = false;
	a->status.syncs++;
	a->is_suspicious = false;
	agent_line_reset(a);
	loop_arm(a->cfg.loop, &a->sync_timer, a->cfg.sync_ns, on_sync_timer, a);
}

void agent_sync(struct agent *a)
{
	buf_reset(&a->out);
	a->out_at = 0;
	/* The sentinel ends what the guest's parser may have of a request. */
	buf_put(&a->out, SENTINEL, 1);
	put_sync(a);
	agent_await_sync(a);
	flush(a);
}

static int put_request(struct agent *a, struct agent_request *r, struct err *e)
{
	json_t *line = json_object(), *time;
	char *text;

	if (r->kind == AGENT_CLOCK) {
		time = json_integer((json_int_t)clock_wall_ns());
		r->arguments = json_object();
		json_object_set_new(r->arguments, "time", time);
	}
	json_object_set_new(line, "execute", json_string(r->command));
	if (r->arguments)
		json_object_set(line, "arguments", r->arguments);
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	buf_reset(&a->out);
	a->out_at = 0;
	buf_puts(&a->out, text ? text : "");
	buf_puts(&a->out, "\n");
	a->out_request = a->out.len;
	if (a->out.len > LIMIT_AGENT_REQUEST_BYTES)
		a->out.error = -ENOSPC;
	if (text && r->kind == AGENT_NO_REPLY)
		put_sync(a);
	free(text);
	if (!text || a->out.error == -ENOMEM)
		return err_sys(e, -ENOMEM, "%s", r->command);
	if (a->out.error)
		return err_set(e, -E2BIG,
			       "%s: the request is longer than the limit of "
			       "%u bytes",
			       r->command, LIMIT_AGENT_REQUEST_BYTES);
	return 0;
}

void agent_pump(struct agent *a)
{
	struct err e;

	if (a->in_pump || a->in_input)
		return;
	a->in_pump = true;
	while (a->state == AGENT_READY && !a->current && a->queue) {
		if (a->is_suspicious) {
			agent_sync(a);
			break;
		}
		e = (struct err)ERR_NONE;
		a->current = pop(a);
		if (put_request(a, a->current, &e)) {
			buf_reset(&a->out);
			agent_answer(a, NULL, &e);
			continue;
		}
		a->sent_ns = clock_mono_ns();
		agent_line_reset(a);
		flush(a);
	}
	a->in_pump = false;
}

void agent_writable(struct agent *a)
{
	flush(a);
}

/* --- synchronised ------------------------------------------------------- */

static void on_version(void *ctx, const json_t *ret, const struct err *e)
{
	const char *version =
		json_string_value(json_object_get(ret, "version"));
	struct agent *a = ctx;

	if (!e && version)
		text_copy(a->status.version, sizeof(a->status.version),
			  version);
}

static void on_heartbeat(void *ctx)
{
	struct agent *a = ctx;

	loop_arm(a->cfg.loop, &a->heartbeat, a->cfg.heartbeat_ns, on_heartbeat,
		 a);
	if (a->state == AGENT_READY && !a->current && !a->queue)
		agent_ping(a, LIMIT_AGENT_CALL_MS * NS_PER_MS, NULL, a);
}

void agent_synced(struct agent *a)
{
	loop_disarm(&a->sync_timer);
	agent_line_reset(a);
	a->state = AGENT_READY;
	a->status.in_sync = true;
	a->status.seen_wall_ns = clock_wall_ns();
	a->status.rtt_ns = clock_mono_ns() - a->sync_ns;
	if (!*a->status.version)
		agent_info(a, LIMIT_AGENT_CALL_MS * NS_PER_MS, on_version, a);
	if (a->cfg.heartbeat_ns && !a->heartbeat.loop)
		loop_arm(a->cfg.loop, &a->heartbeat, a->cfg.heartbeat_ns,
			 on_heartbeat, a);
}

static void open_port(struct agent *a)
{
	a->status.connected = true;
	agent_sync(a);
}

static void close_port(struct agent *a)
{
	struct err e = ERR_NONE;
	bool delivered = a->current && a->current->kind == AGENT_NO_REPLY &&
			 a->out_at >= a->out_request;

	loop_disarm(&a->sync_timer);
	loop_disarm(&a->heartbeat);
	a->state = AGENT_CLOSED;
	a->status.connected = a->status.in_sync = false;
	a->status.version[0] = 0;
	a->status.rtt_ns = 0;
	a->is_suspicious = false;
	agent_line_reset(a);
	buf_reset(&a->out);
	a->out_at = 0;
	if (delivered)
		agent_answer(a, NULL, NULL);
	err_set(&e, -ECONNRESET, "the guest's agent went away");
	end_all(a, &e);
	agent_exec_closed(a);
}

void agent_connected(struct agent *a, bool open)
{
	if (open && a->state == AGENT_CLOSED)
		open_port(a);
	else if (!open && a->state != AGENT_CLOSED)
		close_port(a);
}

/* --- requests ----------------------------------------------------------- */

static void on_timeout(void *ctx)
{
	struct agent_request *r = ctx;
	struct agent *a = r->agent;
	struct err e = ERR_NONE;

	err_set(&e, -ETIMEDOUT,
		"%s: the guest's agent did not answer in %llu ms", r->command,
		(unsigned long long)(r->timeout_ns / NS_PER_MS));
	if (r == a->current) {
		agent_sync(a);
		agent_answer(a, NULL, &e);
	} else {
		remove_queued(a, r);
		finish(r, NULL, &e);
	}
}

static struct agent_request *make(struct agent *a, const char *command,
				  struct err *e)
{
	struct agent_request *r;

	if (a->state == AGENT_CLOSED) {
		err_set(e, -ENOTCONN, NO_AGENT);
		return NULL;
	}
	if (a->queued >= LIMIT_AGENT_QUEUE) {
		err_set(e, -EBUSY,
			"%s: %u calls wait for the guest's agent already",
			command, a->queued);
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		err_sys(e, -ENOMEM, "%s", command);
	return r;
}

void agent_request(struct agent *a, enum agent_kind kind, const char *command,
		   json_t *arguments, uint64_t timeout_ns, agent_done done,
		   void *ctx)
{
	struct agent_request **at = &a->queue, *r;
	struct err e = ERR_NONE;

	r = make(a, command, &e);
	if (!r) {
		json_decref(arguments);
		if (done)
			done(ctx, NULL, &e);
		return;
	}
	r->agent = a;
	r->kind = kind;
	r->arguments = arguments;
	r->timeout_ns = timeout_ns;
	r->done = done;
	r->ctx = ctx;
	text_copy(r->command, sizeof(r->command), command);
	while (*at)
		at = &(*at)->next;
	*at = r;
	a->queued++;
	loop_arm(a->cfg.loop, &r->timer, timeout_ns, on_timeout, r);
	agent_pump(a);
}

void agent_forget(struct agent *a, void *ctx)
{
	struct agent_request **at = &a->queue, *r;

	if (a->current && a->current->ctx == ctx)
		a->current->done = NULL;
	while ((r = *at) != NULL) {
		if (r->ctx != ctx) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		a->queued--;
		r->done = NULL;
		finish(r, NULL, NULL);
	}
	agent_exec_forget(a, ctx);
}

/* --- life --------------------------------------------------------------- */

int agent_create(struct agent **out, const struct agent_config *config,
		 struct err *e)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return err_sys(e, -ENOMEM, "guest agent");
	a->cfg = *config;
	if (!a->cfg.sync_ns)
		a->cfg.sync_ns = LIMIT_AGENT_SYNC_MS * NS_PER_MS;
	/* Room for the synchronisation behind the largest request. */
	buf_init(&a->out, LIMIT_AGENT_REQUEST_BYTES + LIMIT_AGENT_SYNC_BYTES);
	buf_init(&a->line, LIMIT_AGENT_REPLY_BYTES);
	*out = a;
	return 0;
}

void agent_destroy(struct agent *a)
{
	struct err e = ERR_NONE;

	if (!a)
		return;
	err_set(&e, -ECANCELED, "the VM's process ends");
	a->state = AGENT_CLOSED;
	end_all(a, &e);
	agent_exec_destroy(a);
	loop_disarm(&a->sync_timer);
	loop_disarm(&a->heartbeat);
	buf_fini(&a->out);
	buf_fini(&a->line);
	free(a);
}

void agent_status(const struct agent *a, struct agent_status *out)
{
	*out = a->status;
	out->waiting = a->queued + (a->current ? 1 : 0);
}
