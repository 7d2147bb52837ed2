/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building and taking down a machine, on a thread of its own, because files
 * are read and KVM waits for grace periods: the socket answers meanwhile.
 * The job's struct belongs to its thread until job_msg is posted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vmm/vm_private.h"

#define STACK_BYTES (256 << 10)

static void on_refused(void *ctx, const char *path, const struct err *why)
{
	struct vm *vm = ctx;

	(void)path; /* the text begins with it */
	buf_printf(&vm->job->refusals, "%s\n", why->text);
}

static void on_machine_report(void *ctx)
{
	struct vm *vm = ctx;

	loop_post(vm->loop, &vm->report_msg);
}

static void on_machine_parked(void *ctx)
{
	struct vm *vm = ctx;

	loop_post(vm->loop, &vm->parked_msg);
}

static void *job_main(void *arg)
{
	struct vm *vm = arg;
	struct vm_job *job = vm->job;

	if (job->kind == JOB_SUSPEND)
		vm_job_suspend(job);
	if (!job->err.code) {
		machine_destroy(job->old);
		job->old = NULL;
	}
	if (job->restores)
		vm_job_restore(job);
	else if (job->kind == JOB_BUILD || job->kind == JOB_REBUILD)
		machine_build(&job->built, &job->config, &job->report,
			      &job->err);
	loop_post(vm->loop, &vm->job_msg);
	return NULL;
}

static void still_main(void *arg)
{
	struct vm *vm = arg;

	vm_job_still(vm->job);
	loop_post(vm->loop, &vm->job_msg);
}

static void keep_figures(struct vm *vm)
{
	if (!vm->machine)
		return;
	machine_add_stats(vm->machine, &vm->past);
	vm->past.resident_bytes = 0;
}

static struct vm_job *job_create(struct vm *vm, enum vm_job_kind kind)
{
	struct vm_job *job = calloc(1, sizeof(*job));
	int i;

	if (!job)
		return NULL;
	job->kind = kind;
	job->store = &vm->observer.store;
	job->still = vm->op.request.still;
	job->restores =
		kind == JOB_RESTORE || (kind == JOB_BUILD && vm->restores);
	job->source = vm->source;
	job->started_ns = clock_mono_ns();
	buf_init(&job->report, VM_REPORT_BYTES);
	buf_init(&job->refusals, VM_REFUSALS_TEXT);
	job->config = (struct machine_config){
		.vm = vm->config,
		.console = vm->console,
		.ops = { vm, on_machine_report, on_machine_parked },
		.refused = on_refused,
	};
	for (i = 0; i < 16; i++)
		job->config.genid[i] = vm->genid[i];
	memcpy(job->config.port, vm->port, sizeof(vm->port));
	job->config.ports = vm->ports;
	return job;
}

static void job_free(struct vm_job *job)
{
	buf_fini(&job->report);
	buf_fini(&job->refusals);
	free(job);
}

static void job_failed_to_start(struct vm *vm, enum vm_job_kind kind, int error)
{
	struct vm_why why = vm->why;

	if (kind == JOB_SUSPEND || kind == JOB_STILL) {
		(kind == JOB_STILL ? vm_still_failed : vm_suspend_failed)(
			vm, error, "no memory or thread for it");
		return;
	}
	why.cause = VM_CAUSE_START_FAILED;
	/* Without a thread the old machine is taken down here. */
	machine_destroy(vm->machine);
	vm->machine = NULL;
	vm_enter(vm, VM_STOPPED, &why);
	vm_op_end(vm, error, NULL, "no memory or thread to build the machine");
}

void vm_build(struct vm *vm, enum vm_job_kind kind)
{
	pthread_attr_t attr;
	int r;

	if (kind != JOB_SUSPEND && kind != JOB_STILL) {
		loop_disarm(&vm->ready_timer);
		keep_figures(vm);
		vm->boot_mono_ns = clock_mono_ns();
	}
	vm->job = job_create(vm, kind);
	if (!vm->job) {
		job_failed_to_start(vm, kind, -ENOMEM);
		return;
	}
	vm->job->old = vm->machine;
	vm->machine = NULL;
	if (kind == JOB_STILL) {
		hand_give(vm->hand, still_main, vm);
		loop_expect(vm->loop, HAND_LOOK_NS);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&vm->job->thread, &attr, job_main, vm);
	pthread_attr_destroy(&attr);
	if (r) {
		vm->machine = vm->job->old;
		job_free(vm->job);
		vm->job = NULL;
		job_failed_to_start(vm, kind, -r);
	}
}

/* One event and one line of the boot log per kernel that was passed over. */
static void report_refusals(struct vm *vm, struct vm_job *job)
{
	char *text = (char *)job->refusals.data;
	char *end;

	if (job->kind == JOB_BUILD || job->kind == JOB_REBUILD ||
	    job->kind == JOB_RESTORE)
		buf_reset(&vm->boot_report);
	while (job->refusals.len && *text) {
		for (end = text; *end && *end != '\n'; end++)
			;
		if (!*end)
			break;
		*end = 0;
		buf_printf(&vm->boot_report, "refused: %s\n", text);
		vm_emit(vm, VM_EVENT_BOOT_REFUSED, &vm->why, 0, 0, text);
		text = end + 1;
	}
}

static void build_failed(struct vm *vm, const struct vm_job *job)
{
	struct vm_why why = vm->why;

	why.cause = VM_CAUSE_START_FAILED;
	vm_enter(vm, VM_STOPPED, &why);
	vm->end = why;
	vm_emit(vm, VM_EVENT_BOOT, &why, 0, 0, job->err.text);
	vm_op_end(vm, job->err.code, NULL, job->err.text);
	vm_stopped(vm);
}

static void built(struct vm *vm, struct vm_job *job)
{
	struct vm_why why = vm->why;

	vm->machine = job->built;
	vm->boots += !job->restores;
	vm->is_ready = job->restores;
	vm->milestone = -1;
	buf_puts(&vm->boot_report, buf_text(&job->report));
	buf_reset(&vm->crash_report);
	vm_emit(vm, VM_EVENT_BOOT, &why, clock_mono_ns() - job->started_ns,
		vm->boots, buf_text(&job->report));
	if (!job->restores)
		vm_watch_ready(vm);
	if (vm->run_after_build)
		vm_run(vm, &why);
	else
		vm_enter(vm, VM_PAUSED, &why);
	vm_op_end(vm, 0, vm_ladder_rung(vm), NULL);
}

void vm_on_job(void *ctx)
{
	struct vm *vm = ctx;
	struct vm_job *job = vm->job;

	if (!job)
		return;
	if (job->kind != JOB_STILL)
		pthread_join(job->thread, NULL);
	loop_expect(vm->loop, 0);
	vm->job = NULL;
	report_refusals(vm, job);
	if (job->kind == JOB_SUSPEND) {
		vm_suspend_done(vm, job);
	} else if (job->kind == JOB_STILL) {
		vm_still_done(vm, job);
	} else if (vm->goal == GOAL_STOP && job->built) {
		/* Stopped while it was being built. */
		vm->machine = job->built;
		vm->goal = GOAL_NONE;
		vm_build(vm, JOB_DESTROY);
	} else if (job->kind == JOB_DESTROY || vm->goal == GOAL_STOP) {
		vm->goal = GOAL_NONE;
		vm_stopped(vm);
	} else if (job->built) {
		built(vm, job);
	} else if (job->restores && job->kind == JOB_BUILD) {
		vm_restore_failed(vm, job);
	} else {
		build_failed(vm, job);
	}
	job_free(job);
}

void vm_job_abandon(struct vm *vm)
{
	struct vm_job *job = vm->job;

	if (!job)
		return;
	if (job->kind != JOB_STILL)
		pthread_join(job->thread, NULL);
	loop_unpost(vm->loop, &vm->job_msg);
	machine_destroy(job->built);
	machine_destroy(job->old);
	vm->job = NULL;
	job_free(job);
}
