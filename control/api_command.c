/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handler of every lifecycle command: hands a request to the VM and answers
 * when it ends. A client that goes away does not stop what it began. Loop
 * thread. INV-1: each command leaves one record with actor and reason.
 */
#include <stdio.h>
#include <string.h>

#include "control/api.h"
#include "control/control.h"
#include "control/routes.h"
#include "control/snapshot_op.h"
#include "control/text.h"

static enum vm_command command_of(const struct call *call)
{
	return (enum vm_command)call->route->command;
}

static const char *outcome(const struct vm_result *r)
{
	if (r->refused)
		return "refused";
	if (r->error)
		return "failed";
	return r->changed ? "done" : "nothing to do";
}

static void record(struct call *call, const struct vm_result *r)
{
	char text[VM_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s: %s%s%s",
		 vm_command_text(command_of(call)), outcome(r),
		 *r->text ? ": " : "", r->text);
	control_note_call(call, r->refused ? "refused" : "command", r->state,
			  text);
}

static enum problem_code code_of(const struct call *call, int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return PROBLEM_SHUTDOWN_TIMEOUT;
	case -ECANCELED:
		return PROBLEM_SUPERSEDED;
	case -EBUSY:
		return PROBLEM_BUSY;
	case -EIO:
		return PROBLEM_IO_ERROR;
	default:
		break;
	}
	if (error == -EOPNOTSUPP || error == -ENOSPC)
		return PROBLEM_INTERNAL;
	if (command_of(call) == VM_CMD_START ||
	    command_of(call) == VM_CMD_RESET ||
	    command_of(call) == VM_CMD_REBOOT)
		return PROBLEM_START_FAILED;
	return PROBLEM_INTERNAL;
}

static void answer_error(struct call *call, const struct vm_result *r)
{
	const char *text = *r->text ? r->text : strerrordesc_np(-r->error);

	if (r->refused)
		control_answer_wrong_state(call, command_of(call), r->state,
					   r->help);
	else
		call_problem(call, code_of(call, r->error), "%s: %s",
			     vm_command_text(command_of(call)),
			     text ? text : "unknown error");
}

static void done(void *ctx, const struct vm_result *result)
{
	struct call *call = ctx;

	record(call, result);
	if (result->error || result->refused)
		answer_error(call, result);
	else
		control_answer_done(call, result->changed, result->state,
				    result->rung, result->text);
	call_finish(call);
}

static void submit(struct call *call)
{
	struct vm_request request = {
		.command = command_of(call),
		.actor = control_actor(&call->peer),
		.emergency = call_number(call, "emergency", 0),
		.paused = call_number(call, "paused", 0),
		.verified = call_number(call, "verified", 0),
		.force = call_number(call, "force", 0),
		.timeout_ms = (uint32_t)call_number(call, "timeout_ms", 0),
		.done = done,
		.ctx = call,
	};

	text_copy(request.reason, sizeof(request.reason), call->text);
	vm_submit(call->control->vm, &request);
}

static void cancel_wait(struct call *call)
{
	call_list_remove(&call->control->disk_calls, call);
	call_problem(call, PROBLEM_ENDING, "the VM ends");
	call_finish(call);
}

void api_command(struct call *call)
{
	/* A machine would open what is being worked on. */
	if (!snapshot_op_has_disks(call->control)) {
		submit(call);
		return;
	}
	call->cancel = cancel_wait;
	call_list_add(&call->control->disk_calls, call);
}

void control_disks_free(struct control *c)
{
	struct call *call;

	while ((call = c->disk_calls)) {
		call_list_remove(&c->disk_calls, call);
		call->cancel = NULL;
		submit(call);
	}
}
