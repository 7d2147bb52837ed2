/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest does to its own life: power-off, reboot, panic, crash,
 * readiness; and the policies that answer. The loop's thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "devices/platform.h"
#include "vmm/vm_private.h"

#define STABLE_NS      (10 * NS_PER_S) /* a run this long was no failure */
#define BACKOFF_NS     (NS_PER_S / 2)
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define READ_BYTES     4096
#define READ_ROUNDS    16

static bool is_crash(enum vm_cause cause)
{
	return cause == VM_CAUSE_TRIPLE_FAULT ||
	       cause == VM_CAUSE_INTERNAL_ERROR ||
	       cause == VM_CAUSE_FAIL_ENTRY || cause == VM_CAUSE_UNKNOWN_EXIT;
}

static enum vm_policy policy_of(const struct vm *vm, enum vm_cause cause)
{
	const struct vm_config *c = vm->config;

	switch (cause) {
	case VM_CAUSE_GUEST_RESET:
		return c->on_reboot;
	case VM_CAUSE_GUEST_PANIC:
		return c->on_panic;
	case VM_CAUSE_READY_TIMEOUT:
		return c->on_crash;
	default:
		return is_crash(cause) ? c->on_crash : c->on_poweroff;
	}
}

static void end_text(const struct vm *vm, const struct vm_why *why, char *text,
		     size_t bytes)
{
	if (vm->state == VM_SUSPENDED && why->cause == VM_CAUSE_COMMAND) {
		snprintf(text, bytes, "suspended");
		return;
	}
	switch (why->cause) {
	case VM_CAUSE_GUEST_POWEROFF:
		snprintf(text, bytes, "guest powered off");
		break;
	case VM_CAUSE_GUEST_RESET:
		snprintf(text, bytes, "guest rebooted");
		break;
	case VM_CAUSE_GUEST_PANIC:
		snprintf(text, bytes, "guest panicked");
		break;
	case VM_CAUSE_DEBUG_EXIT:
		snprintf(text, bytes, "guest ended with %u", why->code);
		break;
	case VM_CAUSE_START_FAILED:
		snprintf(text, bytes, "could not be started");
		break;
	case VM_CAUSE_READY_TIMEOUT:
		snprintf(text, bytes, "guest was not ready in time");
		break;
	case VM_CAUSE_GAVE_UP:
		snprintf(text, bytes, "gave up after too many restarts");
		break;
	default:
		snprintf(text, bytes, "%s%s",
			 is_crash(why->cause) ? "guest crashed: " : "stopped: ",
			 vm_cause_text(why->cause));
	}
}

void vm_gone(struct vm *vm)
{
	struct vm_end end = { .cause = vm->why.cause, .code = vm->why.code };

	if (vm->is_gone || !vm->observer.gone)
		return;
	vm->is_gone = true;
	end_text(vm, &vm->why, end.text, sizeof(end.text));
	vm->observer.gone(vm->observer.ctx, &end);
}

void vm_stopped(struct vm *vm)
{
	struct vm_why why = vm->why;
	bool stays;

	if (vm->state != VM_STOPPED)
		vm_enter(vm, VM_STOPPED, &why);
	vm_op_end(vm, 0, vm_ladder_rung(vm), NULL);
	if (why.cause == VM_CAUSE_START_FAILED)
		stays = vm->config->on_poweroff != VM_POLICY_EXIT;
	else if (why.cause == VM_CAUSE_COMMAND || why.cause == VM_CAUSE_SIGNAL)
		stays = vm->config->on_poweroff == VM_POLICY_STOP ||
			vm->config->on_poweroff == VM_POLICY_PAUSE;
	else
		stays = policy_of(vm, why.cause) == VM_POLICY_STOP;
	if (why.cause == VM_CAUSE_SIGNAL)
		stays = false; /* a signal is for the process */
	if (!stays)
		vm_gone(vm);
}

static void on_restart_due(void *ctx)
{
	struct vm *vm = ctx;

	vm_park_for(vm, GOAL_RESET);
}

static void give_up(struct vm *vm)
{
	struct vm_why why = vm->end;

	vm_emit(vm, VM_EVENT_GAVE_UP, &why, 0, vm->restarts, "");
	why.cause = VM_CAUSE_GAVE_UP;
	vm_enter(vm, VM_STOPPING, &why);
	vm_park_for(vm, GOAL_STOP);
}

/*
 * Was this run no failure, so that counting begins afresh? A reboot by a
 * guest that had become ready is its own business; a panic or crash ends a
 * good run only when it comes late.
 */
static bool was_stable(const struct vm *vm)
{
	if (vm->end.cause == VM_CAUSE_READY_TIMEOUT)
		return false;
	if (vm->end.cause == VM_CAUSE_GUEST_RESET && vm->is_ready)
		return true;
	return clock_mono_ns() - vm->boot_mono_ns >= STABLE_NS;
}

static void restart(struct vm *vm)
{
	uint64_t delay = 0;
	char text[48];

	if (was_stable(vm))
		vm->restarts = 0;
	if (vm->restarts >= vm->config->restart_max) {
		give_up(vm);
		return;
	}
	vm->restarts++;
	if (vm->restarts > 1)
		delay = BACKOFF_NS << (vm->restarts > 8 ? 6 : vm->restarts - 2);
	if (delay > BACKOFF_MAX_NS)
		delay = BACKOFF_MAX_NS;
	snprintf(text, sizeof(text), "in %llu ms",
		 (unsigned long long)(delay / NS_PER_MS));
	vm->run_after_build = true;
	vm_enter(vm, VM_RESETTING, &vm->end);
	vm_emit(vm, VM_EVENT_RESTART, &vm->end, delay, vm->restarts, text);
	if (delay)
		loop_arm(vm->loop, &vm->restart_timer, delay, on_restart_due,
			 vm);
	else
		vm_park_for(vm, GOAL_RESET);
}

/* Puts the VM where the policy for its end wants it. All are parked. */
static void apply_policy(struct vm *vm)
{
	enum vm_policy policy = policy_of(vm, vm->end.cause);
	bool crashed = is_crash(vm->end.cause);

	if (crashed)
		vm_enter(vm, VM_CRASHED, &vm->end);
	switch (policy) {
	case VM_POLICY_RESTART:
		restart(vm);
		break;
	case VM_POLICY_PAUSE:
		if (!crashed)
			vm_enter(vm, VM_PAUSED, &vm->end);
		break;
	default:
		vm_enter(vm, VM_STOPPING, &vm->end);
		vm_park_for(vm, GOAL_STOP);
	}
}

/* Did the guest do what a graceful shutdown or reboot asked for? */
static bool obeys(const struct vm *vm)
{
	return vm->op.is_active && vm->op.on_ladder &&
	       !is_crash(vm->end.cause) &&
	       vm->end.cause != VM_CAUSE_GUEST_PANIC;
}

void vm_guest_ended(struct vm *vm)
{
	char text[VM_TEXT_MAX + 1];

	loop_disarm(&vm->ready_timer);
	if (obeys(vm)) {
		loop_disarm(&vm->rung_timer);
		if (vm->op.request.command == VM_CMD_REBOOT)
			vm_build(vm, JOB_REBUILD);
		else
			vm_build(vm, JOB_DESTROY);
		return;
	}
	end_text(vm, &vm->end, text, sizeof(text));
	vm_op_end(vm, -ECANCELED, NULL, text);
	apply_policy(vm);
}

static void became_ready(struct vm *vm)
{
	struct vm_why why = vm_why_guest(VM_CAUSE_NONE, 0);

	if (vm->is_ready)
		return;
	vm->is_ready = true;
	loop_disarm(&vm->ready_timer);
	vm_emit(vm, VM_EVENT_READY, &why, clock_mono_ns() - vm->boot_mono_ns, 0,
		"");
}

static void on_ready_timeout(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->is_ready || vm->goal != GOAL_NONE || vm->state != VM_RUNNING)
		return;
	vm->end = vm_why_guest(VM_CAUSE_READY_TIMEOUT, 0);
	vm_emit(vm, VM_EVENT_READY_TIMEOUT, &vm->end,
		clock_mono_ns() - vm->boot_mono_ns, 0, "");
	vm_park_for(vm, GOAL_GUEST_END);
}

void vm_watch_ready(struct vm *vm)
{
	if (vm->ready)
		matcher_reset(vm->ready);
	vm->console_cursor = console_position(vm->console);
	if (vm->config->ready_timeout_s)
		loop_arm(vm->loop, &vm->ready_timer,
			 vm->config->ready_timeout_s * NS_PER_S,
			 on_ready_timeout, vm);
}

static void look_for_ready(struct vm *vm)
{
	uint8_t bytes[READ_BYTES];
	uint64_t dropped;
	size_t n, rounds;

	/* Bounded, so that a flooding guest can't hold the loop. */
	for (rounds = 0; rounds < READ_ROUNDS; rounds++) {
		n = console_read(vm->console, &vm->console_cursor, bytes,
				 sizeof(bytes), &dropped);
		if (!n)
			return;
		if (!matcher_feed(vm->ready, bytes, n))
			continue;
		became_ready(vm);
		return;
	}
}

void vm_on_output(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->ready && !vm->is_ready)
		look_for_ready(vm);
	else
		vm->console_cursor = console_position(vm->console);
	if (vm->observer.console_output)
		vm->observer.console_output(vm->observer.ctx);
	if (!console_ack(vm->console, vm->console_cursor))
		loop_post(vm->loop, &vm->output_msg);
}

static void on_end(struct vm *vm, const struct machine_report *report)
{
	struct vm_why why = vm_why_guest(report->cause, report->code);

	if (is_crash(report->cause)) {
		buf_reset(&vm->crash_report);
		buf_puts(&vm->crash_report, machine_crash_text(vm->machine));
		vm_emit(vm, VM_EVENT_CRASH, &why, 0, 0,
			buf_text(&vm->crash_report));
	}
	if (report->cause == VM_CAUSE_GUEST_PANIC)
		vm_emit(vm, VM_EVENT_PANIC, &why, 0, 0, "");
	/* A stop or reset that is under way comes first. */
	if (vm->goal == GOAL_STOP || vm->goal == GOAL_RESET ||
	    vm->goal == GOAL_RESTORE || vm->state == VM_RESTORING)
		return;
	vm->end = why;
	vm_park_for(vm, GOAL_GUEST_END);
}

bool vm_take_report(struct vm *vm)
{
	struct machine_report report;
	struct vm_why why = vm_why_guest(VM_CAUSE_NONE, 0);

	machine_take_report(vm->machine, &report);
	if (report.has_milestone) {
		vm->milestone = report.milestone;
		vm_emit(vm, VM_EVENT_MILESTONE, &why,
			clock_mono_ns() - vm->boot_mono_ns, report.milestone,
			"");
		/* A pattern that a person gave takes its place. */
		if (report.milestone == MILESTONE_READY && !vm->ready)
			became_ready(vm);
	}
	if (report.has_crash_loaded)
		vm_emit(vm, VM_EVENT_CRASH_LOADED, &why, 0, 0, "");
	vm_on_devices(vm, &report);
	if (report.has_end)
		on_end(vm, &report);
	return report.has_end;
}

void vm_on_report(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->machine)
		vm_take_report(vm);
}
