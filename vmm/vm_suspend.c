/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a VM away and bringing it back: parked and quiet, saved by the
 * store on a worker's thread, taken down; and built from what was saved. The
 * loop's thread, but for the two vm_job_*(). INV-1: until it is saved in full
 * the machine is there, and goes on if it can't be saved.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "vmm/machine_state.h"
#include "vmm/ram_image.h"
#include "vmm/vm_private.h"

/* --- away ------------------------------------------------------------ */

void vm_begin_suspend(struct vm *vm, const struct vm_request *request)
{
	struct vm_why why = vm_why_of(request);

	if (!vm->observer.store.save) {
		vm_answer(vm, request,
			  &(struct vm_result){
				  .error = -EOPNOTSUPP,
				  .text = "this VM has no directory that it "
					  "could be put into" });
		return;
	}
	vm_op_begin(vm, request);
	vm->before = vm->state;
	vm_enter(vm, VM_SUSPENDING, &why);
	vm_park_for(vm, GOAL_SUSPEND);
}

void vm_suspend_parked(struct vm *vm)
{
	if (machine_quiesce(vm->machine))
		vm_build(vm, JOB_SUSPEND);
	else
		vm->goal = GOAL_SUSPEND; /* a message comes when they are */
}

void vm_job_suspend(struct vm_job *job)
{
	job->store->save(job->store->ctx, job->old, job->text, &job->err);
}

void vm_suspend_failed(struct vm *vm, int error, const char *text)
{
	struct vm_why why = vm->why;

	if (vm->before == VM_RUNNING)
		vm_run(vm, &why);
	else
		vm_enter(vm, VM_PAUSED, &why);
	vm_op_end(vm, error, NULL, text);
}

void vm_suspend_done(struct vm *vm, struct vm_job *job)
{
	struct vm_why why = vm->why;

	if (job->err.code) {
		vm->machine = job->old;
		job->old = NULL;
		vm_suspend_failed(vm, job->err.code, job->err.text);
		return;
	}
	loop_disarm(&vm->ready_timer);
	vm_enter(vm, VM_SUSPENDED, &why);
	vm_op_end(vm, 0, NULL, job->text);
	vm_gone(vm);
}

/* --- and back -------------------------------------------------------- */

void vm_job_restore(struct vm_job *job)
{
	struct vm_saved *s = &job->saved;
	uint64_t began = clock_mono_ns();

	buf_init(&s->state, MACHINE_STATE_BYTES);
	s->memory.count = 0;
	s->is_other_time = false;
	s->set = -1;
	if (!job->source.load(job->source.ctx, s, &job->err)) {
		job->restores = s->state.len;
		job->config.state = s->state.len ? s->state.data : NULL;
		job->config.state_bytes = s->state.len;
		job->config.memory = s->memory;
		job->config.is_other_time = s->is_other_time;
		job->config.set = s->set < 0 ? NULL : &s->set;
		machine_build(&job->built, &job->config, &job->report,
			      &job->err);
	}
	if (job->built && job->restores)
		buf_printf(&job->report, "restored in %llu us\n",
			   (unsigned long long)((clock_mono_ns() - began) /
						NS_PER_US));
	job->source.done(job->source.ctx, job->built);
	ram_images_close(&s->memory);
	if (s->set >= 0)
		close(s->set);
	buf_fini(&s->state);
}

void vm_restore_failed(struct vm *vm, const struct vm_job *job)
{
	struct vm_why why = vm->why;

	why.cause = VM_CAUSE_START_FAILED;
	vm_enter(vm, VM_SUSPENDED, &why);
	vm_emit(vm, VM_EVENT_BOOT, &why, 0, 0, job->err.text);
	vm_op_end(vm, job->err.code, NULL, job->err.text);
	vm_gone(vm);
}
