/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A moment in which nothing of the VM moves, for a snapshot or to go back to
 * one; and another machine in this one's place. The loop's thread, but for
 * vm_job_still(). INV-1: commands wait for the end of the moment; only a stop
 * and a pause in an emergency don't wait for its beginning.
 */
#include "base/clock.h"
#include "vmm/machine_state.h"
#include "vmm/vm_private.h"

#define STACK_BYTES (256u << 10)

bool vm_is_still(const struct vm *vm)
{
	return vm->goal == GOAL_STILL ||
	       (vm->job && vm->job->kind == JOB_STILL);
}

/* --- the moment ------------------------------------------------------ */

static int reload(void *ctx, struct machine *m, bool *is_lost, struct err *e)
{
	(void)ctx;
	return machine_reload(m, is_lost, e);
}

/* The thread that it is done on gets ready while the vCPUs park. */
static int call_hand(struct vm *vm)
{
	int r = vm->hand ? 0 : hand_create(&vm->hand, STACK_BYTES, NULL);

	if (!r)
		hand_warn(vm->hand);
	return r;
}

void vm_begin_still(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);
	int r;

	vm_op_begin(vm, request);
	r = call_hand(vm);
	if (r) {
		vm_op_end(vm, r, NULL, "no memory or thread for it");
		return;
	}
	if (request->command == VM_CMD_RELOAD)
		vm->op.request.still = (struct vm_still){ NULL, reload };
	vm->before = vm->state;
	/* A snapshot or reload is none of the guest's life; going back is. */
	if (request->command == VM_CMD_REWIND) {
		vm->run_after_build = !request->paused;
		vm_enter(vm, VM_RESTORING, &why);
	}
	vm_park_for(vm, GOAL_STILL);
}

void vm_still_parked(struct vm *vm)
{
	if (machine_quiesce(vm->machine))
		vm_build(vm, JOB_STILL);
	else
		vm->goal = GOAL_STILL; /* a message comes when they are */
}

void vm_job_still(struct vm_job *job)
{
	int r = job->still.work(job->still.ctx, job->old, &job->is_lost,
				&job->err);

	if (r && !job->err.code)
		err_sys(&job->err, r, "the machine");
}

/* state: what it becomes, or is already. */
static void go_on(struct vm *vm, enum vm_state state)
{
	struct vm_why why = vm->why;

	if (state != vm->state && state == VM_RUNNING)
		vm_run(vm, &why);
	else if (state != vm->state)
		vm_enter(vm, state, &why);
	else if (state == VM_RUNNING)
		machine_run(vm->machine);
	/* What came up while the loop had no machine. */
	loop_post(vm->loop, &vm->report_msg);
	if (vm->waiters)
		loop_post(vm->loop, &vm->settle_msg);
}

void vm_still_failed(struct vm *vm, int error, const char *text)
{
	go_on(vm, vm->before);
	vm_op_end(vm, error, NULL, text);
}

static void lost(struct vm *vm, const struct vm_job *job)
{
	struct vm_why why = vm->why;

	why.cause = VM_CAUSE_RESTORE_FAILED;
	vm_enter(vm, VM_STOPPING, &why);
	vm_emit(vm, VM_EVENT_BOOT, &why, 0, 0, job->err.text);
	vm_op_end(vm, job->err.code, NULL, job->err.text);
	vm_build(vm, JOB_DESTROY);
}

void vm_still_done(struct vm *vm, struct vm_job *job)
{
	struct vm_why why = vm_why_of(&vm->op.request);

	vm->machine = job->old;
	job->old = NULL;
	if (job->is_lost) {
		lost(vm, job);
		return;
	}
	if (job->err.code) {
		vm_still_failed(vm, job->err.code, job->err.text);
		return;
	}
	if (vm->state != VM_RESTORING)
		go_on(vm, vm->state);
	else
		go_on(vm, vm->run_after_build ? VM_RUNNING : VM_PAUSED);
	if (vm->before == VM_RUNNING)
		vm_emit(vm, VM_EVENT_STILL, &why,
			clock_mono_ns() - vm->park_began_ns, 0, "");
	vm_op_end(vm, 0, NULL, NULL);
}

/* --- another machine ------------------------------------------------- */

void vm_begin_restore(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	vm_op_begin(vm, request);
	loop_disarm(&vm->restart_timer);
	vm->restarts = 0;
	vm->run_after_build = !request->paused;
	vm->restores = true;
	vm->source = request->source;
	vm_enter(vm, VM_RESTORING, &why);
	if (vm->machine)
		vm_park_for(vm, GOAL_RESTORE);
	else
		vm_build(vm, JOB_RESTORE);
}
