/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handler of GET /v1/vm/ready: answers at once, or waits for the event.
 * Loop thread. INV-1: a call is in the list exactly while it is open.
 */
#include "base/clock.h"
#include "control/api.h"
#include "control/control.h"
#include "control/json_out.h"

static void answer_ready(struct call *call, const struct vm_status *s)
{
	struct json_out j;

	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_bool(&j, "ready", s->ready);
	if (s->milestone < 0)
		jout_null(&j, "milestone");
	else
		jout_int(&j, "milestone", s->milestone);
	jout_text(&j, "state", vm_state_text(s->state));
	jout_uint(&j, "uptime_ms", s->uptime_ns / NS_PER_MS);
	jout_close(&j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, "application/json");
}

static void unlink_call(struct call *call)
{
	call_list_remove(&call->control->ready_calls, call);
}

static void on_expired(void *ctx)
{
	struct call *call = ctx;

	unlink_call(call);
	call_problem(call, PROBLEM_NOT_READY,
		     "the guest was not ready after %llu s",
		     (unsigned long long)call_number(call, "wait", 0));
	call_finish(call);
}

/* The client is gone, or the end has come. */
static void on_cancel(struct call *call)
{
	unlink_call(call);
	call_problem(call, PROBLEM_ENDING, "the wait was broken off");
	call_finish(call);
}

void api_ready(struct call *call)
{
	struct control *c = call->control;
	uint64_t wait_s = call_number(call, "wait", 0);
	struct vm_status s;

	vm_status(c->vm, &s);
	if (s.ready || !wait_s || c->is_ending) {
		answer_ready(call, &s);
		return;
	}
	call->cancel = on_cancel;
	call_list_add(&c->ready_calls, call);
	loop_arm(c->loop, &call->timer, wait_s * NS_PER_S, on_expired, call);
}

/* Can the guest still become ready without anybody's doing? */
static bool is_over(enum vm_state state)
{
	return state == VM_STOPPED || state == VM_CRASHED;
}

void control_ready_changed(struct control *c)
{
	struct call *call = c->ready_calls, *next;
	struct vm_status s;

	if (!call)
		return;
	vm_status(c->vm, &s);
	for (; call; call = next) {
		next = call->next;
		if (s.ready) {
			answer_ready(call, &s);
		} else if (is_over(s.state) || c->is_ending) {
			call_wrong_state(call, "the guest can't become ready",
					 vm_state_text(s.state),
					 s.state == VM_CRASHED ? "reset"
							       : "start");
		} else {
			continue;
		}
		unlink_call(call);
		call_finish(call);
	}
}
