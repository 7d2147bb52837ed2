/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands: the table decides, then the operation begins. The loop's
 * thread; nothing blocks: what takes time goes on in vm_on_parked(),
 * vm_on_job() and the ladder's timers.
 */
#include <string.h>

#include "base/clock.h"
#include "vmm/vm_private.h"

#define LOOK_NS (50 * NS_PER_US)

/*
 * Most acknowledgements are there before this thread could fall asleep and
 * be woken for them: looking for a moment saves two switches
 * (docs/decisions/0003).
 */
static bool is_parked_soon(const struct vm *vm)
{
	while (!machine_is_parked(vm->machine))
		if (clock_mono_ns() - vm->park_began_ns > LOOK_NS)
			return false;
	return true;
}

void vm_park_for(struct vm *vm, enum vm_goal goal)
{
	vm->goal = goal;
	vm->park_began_ns = clock_mono_ns();
	if (!machine_is_parked(vm->machine))
		machine_park(vm->machine);
	/* Else, or later, the acknowledgement comes as a message. */
	if (is_parked_soon(vm))
		vm_on_parked(vm);
}

void vm_run(struct vm *vm, const struct vm_why *why)
{
	uint64_t began = clock_mono_ns();

	vm->goal = GOAL_NONE;
	vm_enter(vm, VM_RUNNING, why);
	machine_run(vm->machine);
	vm->last_resume_ns = clock_mono_ns() - began;
}

static void became_paused(struct vm *vm)
{
	struct vm_why why = vm->why;

	vm->pauses++;
	vm->last_pause_ns = clock_mono_ns() - vm->park_began_ns;
	vm_enter(vm, VM_PAUSED, &why);
	vm_op_end(vm, 0, NULL, NULL);
}

/*
 * Nothing is begun from here on, and disk and memory agree; in an emergency
 * they need not: what is in flight is not waited for.
 */
static void pause_when_quiet(struct vm *vm)
{
	bool is_quiet = machine_quiesce(vm->machine);

	if (is_quiet || (vm->op.is_active && vm->op.request.emergency))
		became_paused(vm);
	else
		vm->goal = GOAL_PAUSE; /* a message comes when they are */
}

void vm_on_parked(void *ctx)
{
	struct vm *vm = ctx;
	enum vm_goal goal = vm->goal;

	/* A message from a machine that was taken down finds no goal. */
	if (!vm->machine || vm->job || !machine_is_parked(vm->machine))
		return;
	/* All are parked: if it has ended that was said, and comes first. */
	if ((goal == GOAL_PAUSE || goal == GOAL_IO_ERROR ||
	     goal == GOAL_SUSPEND ||
	     (goal == GOAL_STILL && vm->op.request.command != VM_CMD_REWIND)) &&
	    vm_take_report(vm))
		return;
	vm->goal = GOAL_NONE;
	switch (goal) {
	case GOAL_NONE:
		break;
	case GOAL_PAUSE:
		pause_when_quiet(vm);
		break;
	case GOAL_IO_ERROR:
		vm_io_error(vm);
		break;
	case GOAL_GUEST_END:
		vm_guest_ended(vm);
		break;
	case GOAL_RESET:
		vm_build(vm, JOB_REBUILD);
		break;
	case GOAL_STOP:
		vm_build(vm, JOB_DESTROY);
		break;
	case GOAL_SUSPEND:
		vm_suspend_parked(vm);
		break;
	case GOAL_STILL:
		vm_still_parked(vm);
		break;
	case GOAL_RESTORE:
		vm_build(vm, JOB_RESTORE);
		break;
	}
}

static void begin_start(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	vm->restarts = 0;
	vm->run_after_build = !request->paused;
	vm->restores = vm->state == VM_SUSPENDED;
	vm->source = vm->observer.store.source;
	vm_enter(vm, vm->restores ? VM_RESTORING : VM_STARTING, &why);
	vm_build(vm, JOB_BUILD);
}

static void begin_pause(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	if (vm->state == VM_RUNNING)
		vm_enter(vm, VM_PAUSING, &why);
	else
		vm->why = why; /* emergency: what was under way is given up */
	vm_park_for(vm, GOAL_PAUSE);
}

static void begin_resume(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);
	struct err e = ERR_NONE;
	int r = machine_may_resume(vm->machine, request->verified, &e);

	if (r) {
		vm_answer(vm, request,
			  &(struct vm_result){ .error = r, .text = e.text });
		return;
	}
	vm_op_begin(vm, request);
	vm_run(vm, &why);
	vm_op_end(vm, 0, NULL, NULL);
}

static void begin_shutdown(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	vm_enter(vm, VM_STOPPING, &why);
	vm_ladder_begin(vm);
}

static void begin_stop(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	loop_disarm(&vm->restart_timer);
	vm_enter(vm, VM_STOPPING, &why);
	if (vm->machine && !vm->job) {
		vm_park_for(vm, GOAL_STOP);
		return;
	}
	vm->goal = GOAL_STOP; /* for the job that is under way */
	if (!vm->job)
		vm_stopped(vm);
}

static void begin_reboot(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	vm->run_after_build = !request->paused;
	vm_enter(vm, VM_RESETTING, &why);
	vm_ladder_begin(vm);
}

/* Paused by a person, not by a policy as the guest came to its end. */
static bool is_paused_by_wish(const struct vm *vm)
{
	return vm->state == VM_PAUSED && (vm->why.cause == VM_CAUSE_COMMAND ||
					  vm->why.cause == VM_CAUSE_SIGNAL);
}

static void begin_reset(struct vm *vm, const struct vm_request *request)
{
	bool was_paused = is_paused_by_wish(vm);
	struct vm_why why = vm_why_of(request);

	if (vm->state == VM_RESETTING && (vm->job || vm->goal == GOAL_RESET)) {
		if (!vm_wait(vm, request, true))
			vm_answer(vm, request,
				  &(struct vm_result){ .error = -EBUSY });
		return;
	}
	vm_op_begin(vm, request);
	loop_disarm(&vm->restart_timer);
	vm->restarts = 0;
	vm->run_after_build = !request->paused && !was_paused;
	vm_enter(vm, VM_RESETTING, &why);
	vm_park_for(vm, GOAL_RESET);
}

/* Commands that are done when they are begun. */
static void signal_guest(struct vm *vm, const struct vm_request *request,
			 const char *text)
{
	struct vm_why why = vm_why_of(request);

	vm_emit(vm, VM_EVENT_SIGNAL, &why, 0, 0, text);
	vm_answer(vm, request, &(struct vm_result){ .changed = true });
}

/* In stopping and resetting there may be no machine any more. */
static bool has_running_guest(const struct vm *vm)
{
	return vm->machine && !vm->job && !machine_is_parked(vm->machine);
}

static void begin_signal(struct vm *vm, const struct vm_request *request)
{
	if (!has_running_guest(vm)) {
		vm_answer(vm, request,
			  &(struct vm_result){ .error = -EBUSY,
					       .refused = true,
					       .help = "wait" });
		return;
	}
	if (request->command == VM_CMD_NMI)
		machine_nmi(vm->machine);
	else
		machine_power_button(vm->machine);
	signal_guest(vm, request, vm_command_text(request->command));
}

void vm_begin(struct vm *vm, const struct vm_request *request)
{
	switch (request->command) {
	case VM_CMD_START:
		begin_start(vm, request);
		break;
	case VM_CMD_PAUSE:
		begin_pause(vm, request);
		break;
	case VM_CMD_RESUME:
		begin_resume(vm, request);
		break;
	case VM_CMD_SHUTDOWN:
		begin_shutdown(vm, request);
		break;
	case VM_CMD_STOP:
		begin_stop(vm, request);
		break;
	case VM_CMD_REBOOT:
		begin_reboot(vm, request);
		break;
	case VM_CMD_RESET:
		begin_reset(vm, request);
		break;
	case VM_CMD_POWERBUTTON:
	case VM_CMD_NMI:
		begin_signal(vm, request);
		break;
	case VM_CMD_SUSPEND:
		vm_begin_suspend(vm, request);
		break;
	case VM_CMD_SNAPSHOT:
	case VM_CMD_REWIND:
	case VM_CMD_RELOAD:
		vm_begin_still(vm, request);
		break;
	case VM_CMD_RESTORE:
		vm_begin_restore(vm, request);
		break;
	case VM_COMMAND_COUNT:
		break;
	}
}

/*
 * A moment is over soon, but for the storage: a stop and a pause in an
 * emergency don't wait for devices that are to come to rest.
 */
static bool gives_way(const struct vm *vm, const struct vm_request *request,
		      enum lifecycle_verdict verdict)
{
	return !vm->job && verdict == LIFECYCLE_DO &&
	       (request->command == VM_CMD_STOP ||
		(request->command == VM_CMD_PAUSE && request->emergency));
}

/* What the table's row says is not all. */
static enum lifecycle_verdict overrule(const struct vm *vm,
				       const struct vm_request *request,
				       enum lifecycle_verdict verdict)
{
	bool on_way = vm->state == VM_STOPPING || vm->state == VM_RESETTING;

	if (vm_is_still(vm) && !gives_way(vm, request, verdict))
		return LIFECYCLE_WAIT;
	if (request->command == VM_CMD_PAUSE && request->emergency && on_way &&
	    has_running_guest(vm))
		return LIFECYCLE_DO;
	/* Devices that don't come to rest are left as they are. */
	if (request->command == VM_CMD_PAUSE && request->emergency &&
	    vm->state == VM_PAUSING)
		return LIFECYCLE_DO;
	return verdict;
}

/* A forced shutdown of a guest that can't run is a stop. */
static bool is_stop_in_disguise(const struct vm *vm,
				const struct vm_request *request)
{
	return request->command == VM_CMD_SHUTDOWN && request->force &&
	       (vm->state == VM_PAUSED || vm->state == VM_CRASHED ||
		vm->state == VM_IO_ERROR || vm->state == VM_RESETTING);
}

void vm_submit(struct vm *vm, const struct vm_request *request)
{
	const struct lifecycle_rule *rule;
	struct vm_request copy = *request;
	struct vm_result result = { .error = 0 };
	enum lifecycle_verdict verdict;

	if (is_stop_in_disguise(vm, &copy))
		copy.command = VM_CMD_STOP;
	rule = lifecycle_rule(vm->state, copy.command);
	verdict = overrule(vm, &copy, rule->verdict);
	switch (verdict) {
	case LIFECYCLE_DO:
		vm_begin(vm, &copy);
		return;
	case LIFECYCLE_JOIN:
	case LIFECYCLE_WAIT:
		if (vm_wait(vm, &copy, verdict == LIFECYCLE_JOIN))
			return;
		result.error = -EBUSY;
		result.text = "too many requests are waiting";
		break;
	case LIFECYCLE_REFUSE:
		result.error = -EBUSY;
		result.refused = true;
		result.help = rule->help;
		break;
	case LIFECYCLE_ALREADY:
		break;
	}
	vm_answer(vm, &copy, &result);
}
