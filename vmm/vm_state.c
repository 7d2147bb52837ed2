/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States, events and answers. The loop's thread. INV-1: the state changes
 * in vm_enter() only, along the table. INV-2: a request is answered once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "vmm/vm_private.h"

static const char *const cause_names[VM_CAUSE_COUNT] = {
	[VM_CAUSE_NONE] = "none",
	[VM_CAUSE_COMMAND] = "command",
	[VM_CAUSE_SIGNAL] = "signal",
	[VM_CAUSE_GUEST_POWEROFF] = "guest-poweroff",
	[VM_CAUSE_GUEST_RESET] = "guest-reset",
	[VM_CAUSE_GUEST_PANIC] = "guest-panic",
	[VM_CAUSE_DEBUG_EXIT] = "debug-exit",
	[VM_CAUSE_TRIPLE_FAULT] = "triple-fault",
	[VM_CAUSE_INTERNAL_ERROR] = "internal-error",
	[VM_CAUSE_FAIL_ENTRY] = "fail-entry",
	[VM_CAUSE_UNKNOWN_EXIT] = "unknown-exit",
	[VM_CAUSE_START_FAILED] = "start-failed",
	[VM_CAUSE_READY_TIMEOUT] = "ready-timeout",
	[VM_CAUSE_GAVE_UP] = "gave-up",
	[VM_CAUSE_IO_ERROR] = "io-error",
	[VM_CAUSE_RESTORE_FAILED] = "restore-failed",
};

static const char *const event_names[VM_EVENT_COUNT] = {
	[VM_EVENT_STATE] = "state",
	[VM_EVENT_BOOT] = "boot",
	[VM_EVENT_BOOT_REFUSED] = "boot-refused",
	[VM_EVENT_MILESTONE] = "milestone",
	[VM_EVENT_READY] = "ready",
	[VM_EVENT_READY_TIMEOUT] = "ready-timeout",
	[VM_EVENT_PANIC] = "panic",
	[VM_EVENT_CRASH_LOADED] = "crash-loaded",
	[VM_EVENT_CRASH] = "crash",
	[VM_EVENT_RUNG] = "rung",
	[VM_EVENT_RESTART] = "restart",
	[VM_EVENT_GAVE_UP] = "gave-up",
	[VM_EVENT_SIGNAL] = "signal",
	[VM_EVENT_DEVICE_BROKEN] = "device-broken",
	[VM_EVENT_IO_ERROR] = "io-error",
	[VM_EVENT_LINK] = "link",
	[VM_EVENT_BACKEND] = "backend",
	[VM_EVENT_STILL] = "still",
};

const char *vm_cause_text(enum vm_cause cause)
{
	return cause < VM_CAUSE_COUNT ? cause_names[cause] : "?";
}

const char *vm_event_text(enum vm_event_kind kind)
{
	return kind < VM_EVENT_COUNT ? event_names[kind] : "?";
}

struct vm_why vm_why_of(const struct vm_request *request)
{
	struct vm_why why = { .cause = request->is_signal ? VM_CAUSE_SIGNAL
							  : VM_CAUSE_COMMAND,
			      .actor = request->actor };

	memcpy(why.reason, request->reason, sizeof(why.reason));
	return why;
}

struct vm_why vm_why_guest(enum vm_cause cause, uint32_t code)
{
	return (struct vm_why){ .cause = cause,
				.actor = { .kind = "guest", .uid = getuid() },
				.code = code };
}

static void emit(struct vm *vm, const struct vm_event *event)
{
	if (vm->observer.event)
		vm->observer.event(vm->observer.ctx, event);
}

void vm_emit(struct vm *vm, enum vm_event_kind kind, const struct vm_why *why,
	     uint64_t duration_ns, uint32_t value, const char *text)
{
	struct vm_event event = {
		.kind = kind,
		.wall_ns = clock_wall_ns(),
		.mono_ns = clock_mono_ns(),
		.from = vm->state,
		.to = vm->state,
		.cause = why->cause,
		.actor = why->actor,
		.reason = why->reason,
		.text = text,
		.duration_ns = duration_ns,
		.value = value,
	};

	emit(vm, &event);
}

void vm_enter(struct vm *vm, enum vm_state state, const struct vm_why *why)
{
	struct vm_event event = {
		.kind = VM_EVENT_STATE,
		.wall_ns = clock_wall_ns(),
		.mono_ns = clock_mono_ns(),
		.from = vm->state,
		.to = state,
		.text = "",
	};

	if (state != vm->state && !lifecycle_may_follow(vm->state, state)) {
		/* A bug of ours, never a guest's doing: stop before harm. */
		fprintf(stderr, "amber: bug: lifecycle %s -> %s\n",
			vm_state_text(vm->state), vm_state_text(state));
		abort();
	}
	vm->why = *why;
	vm->state = state;
	event.cause = vm->why.cause;
	event.actor = vm->why.actor;
	event.reason = vm->why.reason;
	event.duration_ns = event.mono_ns - vm->since_mono_ns;
	event.value = vm->why.code;
	vm->since_wall_ns = event.wall_ns;
	vm->since_mono_ns = event.mono_ns;
	emit(vm, &event);
	if (vm->waiters)
		loop_post(vm->loop, &vm->settle_msg);
}

void vm_answer(struct vm *vm, const struct vm_request *request,
	       const struct vm_result *result)
{
	struct vm_result full = *result;

	if (!request->done)
		return;
	full.state = vm->state;
	full.help = full.help ? full.help : "";
	full.rung = full.rung ? full.rung : "";
	full.text = full.text ? full.text : "";
	request->done(request->ctx, &full);
}

void vm_op_begin(struct vm *vm, const struct vm_request *request)
{
	char text[64];

	snprintf(text, sizeof(text), "superseded by %s",
		 vm_command_text(request->command));
	vm_op_end(vm, -ECANCELED, NULL, text);
	vm->op = (struct vm_op){
		.is_active = true,
		.request = *request,
		.started_ns = clock_mono_ns(),
	};
}

/* Takes the first waiter that joins (or does not join) off the list. */
static struct vm_waiter *take_waiter(struct vm *vm, bool joins)
{
	struct vm_waiter **at, *w;

	for (at = &vm->waiters; *at; at = &(*at)->next) {
		w = *at;
		if (w->joins != joins)
			continue;
		*at = w->next;
		vm->waiter_count--;
		return w;
	}
	return NULL;
}

static void answer_joined(struct vm *vm, const struct vm_result *result)
{
	struct vm_result copy = *result;
	struct vm_waiter *w;

	copy.changed = false;
	while ((w = take_waiter(vm, true)) != NULL) {
		vm_answer(vm, &w->request, &copy);
		free(w);
	}
}

void vm_op_end(struct vm *vm, int error, const char *rung, const char *text)
{
	struct vm_request request = vm->op.request;
	struct vm_result result = {
		.error = error,
		.changed = !error,
		.rung = rung,
		.text = text,
	};

	if (!vm->op.is_active)
		return;
	vm_ladder_end(vm);
	result.duration_ns = clock_mono_ns() - vm->op.started_ns;
	vm->op.is_active = false;
	vm_answer(vm, &request, &result);
	answer_joined(vm, &result);
}

bool vm_wait(struct vm *vm, const struct vm_request *request, bool joins)
{
	struct vm_waiter *w, **at = &vm->waiters;

	if (vm->waiter_count == VM_WAITERS_MAX)
		return false;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->request = *request;
	w->joins = joins;
	while (*at)
		at = &(*at)->next;
	*at = w;
	vm->waiter_count++;
	return true;
}

static bool is_short(enum vm_state state)
{
	return state == VM_STARTING || state == VM_PAUSING;
}

/* Decides again about the requests that waited for a short state's end. */
void vm_settle(void *ctx)
{
	struct vm *vm = ctx;
	struct vm_waiter *w;
	unsigned int n;

	if (is_short(vm->state) || vm_is_still(vm))
		return;
	if (!vm->op.is_active)
		answer_joined(vm, &(struct vm_result){ .error = 0 });
	for (n = vm->waiter_count; n; n--) {
		w = take_waiter(vm, false);
		if (!w)
			break;
		vm_submit(vm, &w->request);
		free(w);
	}
}

void vm_forget(struct vm *vm, void *ctx)
{
	struct vm_waiter *w;

	if (vm->op.is_active && vm->op.request.ctx == ctx)
		vm->op.request.done = NULL;
	for (w = vm->waiters; w; w = w->next)
		if (w->request.ctx == ctx)
			w->request.done = NULL;
}
