/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of /v1/vm/agent...: what the guest's agent is asked, and its
 * answer. Loop thread. INV-1: a call is known to the agent exactly while it
 * is open. INV-2: what changes something in the guest leaves one record,
 * also when its client has gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/agent.h"
#include "control/api.h"
#include "control/base64.h"
#include "control/control.h"
#include "control/json_out.h"
#include "control/limits.h"
#include "control/routes.h"
#include "control/text.h"

#define JSON	  "application/json"
#define PATH	  "/v1/vm/agent/"
#define NO_PORT	  "this VM has no port for a guest's agent"
#define DUMP_MODE (JSON_COMPACT | JSON_ENCODE_ANY)

/* --- the calls that only ask -------------------------------------------- */

struct ask {
	const char *name; /* the end of the path */
	void (*call)(struct agent *a, uint64_t timeout_ns, agent_done done,
		     void *ctx);
	const char *member; /* where in the answer what the agent returned is */
	uint64_t timeout_ms;
	bool changes; /* something in the guest */
};

static const struct ask asks[] = {
	{ "ping", agent_ping, NULL, LIMIT_AGENT_CALL_MS, false },
	{ "info", agent_info, "info", LIMIT_AGENT_CALL_MS, false },
	{ "osinfo", agent_osinfo, "osinfo", LIMIT_AGENT_CALL_MS, false },
	{ "interfaces", agent_interfaces, "interfaces", LIMIT_AGENT_CALL_MS,
	  false },
	{ "fsfreeze", agent_freeze, "filesystems", LIMIT_AGENT_FREEZE_MS,
	  true },
	{ "fsthaw", agent_thaw, "filesystems", LIMIT_AGENT_FREEZE_MS, true },
	{ "set-time", agent_set_time, NULL, LIMIT_AGENT_CALL_MS, true },
};

static const char *name_of(const struct call *call)
{
	return call->route->path + sizeof(PATH) - 1;
}

static const struct ask *ask_of(const struct call *call)
{
	size_t i, count = sizeof(asks) / sizeof(asks[0]);

	for (i = 0; i < count; i++)
		if (strcmp(asks[i].name, name_of(call)) == 0)
			return &asks[i];
	return NULL;
}

/* exec is in no row, and changes something. */
static bool changes_something(const struct call *call)
{
	const struct ask *ask = ask_of(call);

	return !ask || ask->changes;
}

/* --- records ------------------------------------------------------------ */

/* "agent/exec ls: exit status 0" */
static void record(struct call *call, const char *how, const char *outcome)
{
	const char *program = json_string_value(json_array_get(call->list, 0));
	char text[VM_TEXT_MAX + 1];
	struct vm_status status;

	if (!changes_something(call))
		return;
	vm_status(call->control->vm, &status);
	snprintf(text, sizeof(text), "agent/%s%s%.64s: %s%s", name_of(call),
		 program ? " " : "", program ? program : "", how, outcome);
	control_note_call(call, "command", status.state, text);
}

/* --- errors ------------------------------------------------------------- */

static enum problem_code code_of(int error)
{
	switch (error) {
	case -ENOTCONN:
	case -ECONNRESET:
		return PROBLEM_NO_AGENT;
	case -ETIMEDOUT:
		return PROBLEM_AGENT_TIMEOUT;
	case -EREMOTEIO:
	case -EBADMSG:
	case -EFBIG:
		return PROBLEM_AGENT_ERROR;
	case -EBUSY:
		return PROBLEM_BUSY;
	case -E2BIG:
		return PROBLEM_BAD_VALUE;
	case -ECANCELED:
		return PROBLEM_ENDING;
	default:
		return PROBLEM_INTERNAL;
	}
}

static void answer_error(struct call *call, const struct err *e)
{
	record(call, "failed: ", e->text);
	call_problem(call, code_of(e->code), "%s", e->text);
	call_finish(call);
}

/* The client is gone, or the end has come. */
static void on_cancel(struct call *call)
{
	agent_forget(call->control->agent, call);
	record(call, "", "nobody waits for its end any more");
	call_problem(call, PROBLEM_ENDING, "the call was broken off");
	call_finish(call);
}

static const char *help_in(enum vm_state state)
{
	switch (state) {
	case VM_PAUSED:
		return "resume";
	case VM_DEFINED:
	case VM_STOPPED:
	case VM_SUSPENDED:
		return "start";
	case VM_CRASHED:
		return "reset";
	default:
		return "wait";
	}
}

/* Is there an agent that could answer now? Answers the call if not. */
static bool is_possible(struct call *call)
{
	struct vm_status s;
	char detail[128];

	if (!call->control->agent) {
		call_problem(call, PROBLEM_NO_AGENT, NO_PORT);
		dispatch_refused(call);
		return false;
	}
	vm_status(call->control->vm, &s);
	if (s.state == VM_RUNNING || s.state == VM_STOPPING)
		return true;
	snprintf(detail, sizeof(detail),
		 "the guest's agent can't answer while the VM is %s",
		 vm_state_text(s.state));
	call_wrong_state(call, detail, vm_state_text(s.state),
			 help_in(s.state));
	dispatch_refused(call);
	return false;
}

static uint64_t timeout_of(const struct call *call, uint64_t fallback_ms)
{
	uint64_t ms = call_number(call, "timeout_ms", 0);

	return (ms ? ms : fallback_ms) * NS_PER_MS;
}

/* --- answers ------------------------------------------------------------ */

static void end_json(struct call *call, struct json_out *j)
{
	jout_uint(j, "duration_us",
		  (clock_mono_ns() - call->began_ns) / NS_PER_US);
	jout_close(j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, JSON);
}

static void put_returned(struct json_out *j, const char *member,
			 const json_t *ret)
{
	char *text = json_dumps(ret, DUMP_MODE);

	if (text)
		jout_raw(j, member, text);
	free(text);
}

static void on_answer(void *ctx, const json_t *ret, const struct err *e)
{
	struct call *call = ctx;
	const struct ask *ask = ask_of(call);
	struct agent_status s;
	struct json_out j;

	if (e) {
		answer_error(call, e);
		return;
	}
	agent_status(call->control->agent, &s);
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	if (ask->call == agent_ping)
		jout_uint(&j, "rtt_us", s.rtt_ns / NS_PER_US);
	if (ask->member)
		put_returned(&j, ask->member, ret);
	end_json(call, &j);
	record(call, "", "done");
	call_finish(call);
}

void api_agent_call(struct call *call)
{
	const struct ask *ask = ask_of(call);

	if (!is_possible(call))
		return;
	call->cancel = on_cancel;
	ask->call(call->control->agent, timeout_of(call, ask->timeout_ms),
		  on_answer, call);
}

static void put_time(struct json_out *j, const char *key, uint64_t wall_ns)
{
	char text[CLOCK_TEXT_BYTES];

	if (wall_ns)
		jout_text(j, key, clock_rfc3339(wall_ns, text));
	else
		jout_null(j, key);
}

void api_agent(struct call *call)
{
	struct agent_status s;
	struct json_out j;

	if (!call->control->agent) {
		call_problem(call, PROBLEM_NO_AGENT, NO_PORT);
		return;
	}
	agent_status(call->control->agent, &s);
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_bool(&j, "connected", s.connected);
	jout_bool(&j, "in_sync", s.in_sync);
	if (*s.version)
		jout_text(&j, "version", s.version);
	else
		jout_null(&j, "version");
	put_time(&j, "last_seen", s.seen_wall_ns);
	if (s.rtt_ns)
		jout_uint(&j, "rtt_us", s.rtt_ns / NS_PER_US);
	else
		jout_null(&j, "rtt_us");
	jout_uint(&j, "waiting", s.waiting);
	jout_uint(&j, "syncs", s.syncs);
	jout_uint(&j, "bad_replies", s.bad_replies);
	jout_uint(&j, "stray_bytes", s.stray_bytes);
	jout_close(&j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, JSON);
}

/* --- commands in the guest ---------------------------------------------- */

/* Text as such; all else, and what is long, as base64. */
static void put_output(struct json_out *j, const char *name,
		       const struct buf *bytes, bool is_cut)
{
	const char *text = bytes->len ? (const char *)bytes->data : "";
	char key[24];
	struct buf code;

	snprintf(key, sizeof(key), "%s_cut", name);
	jout_bool(j, key, is_cut);
	if (bytes->len <= LIMIT_AGENT_TEXT_BYTES &&
	    !memchr(text, 0, bytes->len) && text_is_utf8(text, bytes->len)) {
		jout_text_n(j, name, text, bytes->len);
		return;
	}
	snprintf(key, sizeof(key), "%s_base64", name);
	buf_init(&code, LIMIT_AGENT_REPLY_BYTES);
	if (base64_encode(&code, bytes->data, bytes->len))
		j->to->error = code.error;
	jout_text_n(j, key, buf_text(&code), code.len);
	buf_fini(&code);
}

static void on_executed(void *ctx, const struct agent_exec_result *r,
			const struct err *e)
{
	struct call *call = ctx;
	struct json_out j;
	char outcome[48];

	if (e) {
		answer_error(call, e);
		return;
	}
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_int(&j, "status", r->status);
	jout_int(&j, "signal", r->signal);
	put_output(&j, "stdout", &r->out, r->out_cut);
	put_output(&j, "stderr", &r->err, r->err_cut);
	end_json(call, &j);
	snprintf(outcome, sizeof(outcome), "%s %d",
		 r->signal ? "ended by signal" : "exit status",
		 r->signal ? r->signal : r->status);
	record(call, "", outcome);
	call_finish(call);
}

void api_agent_exec(struct call *call)
{
	const char *words[LIMIT_AGENT_EXEC_WORDS];
	size_t i, count = json_array_size(call->list);

	if (!count) {
		call_problem(call, PROBLEM_BAD_VALUE,
			     "command: is needed: a list of strings");
		dispatch_refused(call);
		return;
	}
	if (!is_possible(call))
		return;
	for (i = 0; i < count; i++)
		words[i] = json_string_value(json_array_get(call->list, i));
	call->cancel = on_cancel;
	agent_exec(call->control->agent, words, count,
		   timeout_of(call, LIMIT_AGENT_EXEC_MS), on_executed, call);
}
