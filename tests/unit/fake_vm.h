/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM without a machine, for tests of the control plane: it defines every
 * function of vmm/vm.h, obeys the lifecycle table at once (or when the test
 * says so) and has a real console. Include it in one file per program; the
 * library's own VM is then not linked. One thread.
 */
#ifndef AMBER_TESTS_UNIT_FAKE_VM_H
#define AMBER_TESTS_UNIT_FAKE_VM_H

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "devices/console.h"
#include "vmm/vm.h"

#define FAKE_HELD_MAX 256

struct vm {
	struct loop *loop;
	const struct vm_config *config;
	struct vm_observer observer;
	struct console *console;
	enum vm_state state;
	enum vm_cause cause;
	struct vm_actor actor;
	uint64_t since_ns;
	char reason[VM_REASON_MAX + 1];
	bool ready;
	int milestone;
	uint32_t boots;
	const char *boot_report, *crash_report;
	struct machine *machine; /* NULL; else one without devices */

	bool hold;	/* requests wait for fake_vm_release() */
	int next_error; /* of the next request; 0: none */
	struct vm_request held[FAKE_HELD_MAX];
	unsigned int held_count, submitted, forgotten;
};

/* The one that was created last: for tests that don't see it. */
static struct vm *fake_vm;

static inline void fake_vm_enter(struct vm *vm, enum vm_state state,
				 enum vm_cause cause,
				 const struct vm_request *request)
{
	struct vm_event event = {
		.kind = VM_EVENT_STATE,
		.wall_ns = clock_wall_ns(),
		.mono_ns = clock_mono_ns(),
		.from = vm->state,
		.to = state,
		.cause = cause,
		.actor = { .kind = "guest" },
		.reason = "",
		.text = "",
	};

	if (request) {
		event.actor = request->actor;
		memcpy(vm->reason, request->reason, sizeof(vm->reason));
		event.reason = vm->reason;
	}
	vm->state = state;
	vm->cause = cause;
	vm->actor = event.actor;
	vm->since_ns = event.wall_ns;
	if (vm->observer.event)
		vm->observer.event(vm->observer.ctx, &event);
}

static inline void fake_vm_emit(struct vm *vm, enum vm_event_kind kind,
				const char *text, uint32_t value)
{
	struct vm_event event = {
		.kind = kind,
		.wall_ns = clock_wall_ns(),
		.mono_ns = clock_mono_ns(),
		.from = vm->state,
		.to = vm->state,
		.actor = { .kind = "guest" },
		.reason = "",
		.text = text,
		.value = value,
	};

	vm->observer.event(vm->observer.ctx, &event);
}

static inline void fake_vm_output(struct vm *vm, const void *bytes, size_t len)
{
	console_output(vm->console, bytes, len);
	if (vm->observer.console_output)
		vm->observer.console_output(vm->observer.ctx);
}

static inline enum vm_state fake_vm_goal(enum vm_state state,
					 enum vm_command command)
{
	switch (command) {
	case VM_CMD_START:
	case VM_CMD_RESUME:
	case VM_CMD_REBOOT:
	case VM_CMD_RESET:
		return VM_RUNNING;
	case VM_CMD_PAUSE:
		return VM_PAUSED;
	case VM_CMD_SHUTDOWN:
	case VM_CMD_STOP:
		return VM_STOPPED;
	default:
		return state;
	}
}

static inline void fake_vm_answer(struct vm *vm, const struct vm_request *r,
				  struct vm_result result)
{
	result.state = vm->state;
	result.help = result.help ? result.help : "";
	result.rung = result.rung ? result.rung : "";
	result.text = result.text ? result.text : "";
	if (r->done)
		r->done(r->ctx, &result);
}

static inline void fake_vm_obey(struct vm *vm, const struct vm_request *r)
{
	enum vm_state goal = fake_vm_goal(vm->state, r->command);
	int error = vm->next_error;

	vm->next_error = 0;
	if (!error && goal != vm->state) {
		vm->boots += r->command == VM_CMD_START;
		fake_vm_enter(vm, goal, VM_CAUSE_COMMAND, r);
	}
	fake_vm_answer(vm, r,
		       (struct vm_result){ .error = error,
					   .changed = !error,
					   .text = error ? "as told" : "" });
}

static inline void fake_vm_release(struct vm *vm)
{
	struct vm_request held[FAKE_HELD_MAX];
	unsigned int i, n = vm->held_count;

	memcpy(held, vm->held, sizeof(held));
	vm->held_count = 0;
	for (i = 0; i < n; i++)
		fake_vm_obey(vm, &held[i]);
}

int vm_create(struct vm **out, struct loop *loop,
	      const struct vm_config *config, bool ran_before,
	      const struct vm_observer *observer, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_sys(e, -ENOMEM, "fake VM");
	vm->loop = loop;
	vm->config = config;
	vm->observer = *observer;
	vm->milestone = -1;
	vm->state = ran_before ? VM_STOPPED : VM_DEFINED;
	vm->boot_report = vm->crash_report = "";
	vm->since_ns = clock_wall_ns();
	r = console_create(&vm->console, &(struct console_config){ 0 }, e);
	if (r) {
		free(vm);
		return r;
	}
	fake_vm = *out = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	console_destroy(vm->console);
	free(vm);
	fake_vm = NULL;
}

void vm_submit(struct vm *vm, const struct vm_request *request)
{
	const struct lifecycle_rule *rule =
		lifecycle_rule(vm->state, request->command);

	vm->submitted++;
	if (rule->verdict == LIFECYCLE_REFUSE)
		fake_vm_answer(vm, request,
			       (struct vm_result){ .error = -EBUSY,
						   .refused = true,
						   .help = rule->help });
	else if (rule->verdict == LIFECYCLE_ALREADY)
		fake_vm_answer(vm, request, (struct vm_result){ 0 });
	else if (!vm->hold)
		fake_vm_obey(vm, request);
	else if (vm->held_count < FAKE_HELD_MAX)
		vm->held[vm->held_count++] = *request;
	else
		fake_vm_answer(vm, request,
			       (struct vm_result){ .error = -EBUSY });
}

void vm_forget(struct vm *vm, void *ctx)
{
	unsigned int i;

	for (i = 0; i < vm->held_count; i++) {
		if (vm->held[i].ctx != ctx)
			continue;
		vm->held[i].done = NULL;
		vm->forgotten++;
	}
}

void vm_status(const struct vm *vm, struct vm_status *out)
{
	unsigned int i;

	*out = (struct vm_status){
		.state = vm->state,
		.cause = vm->cause,
		.actor = vm->actor,
		.since_wall_ns = vm->since_ns,
		.ready = vm->ready,
		.milestone = vm->milestone,
		.boots = vm->boots,
		.vcpus = vm->config->cpus,
		.reason = vm->reason,
	};
	for (i = 0; i < vm->held_count; i++)
		out->will_start |= vm->held[i].command == VM_CMD_START;
}

void vm_stats(struct vm *vm, struct vm_stats *out)
{
	*out = (struct vm_stats){
		.exits_total = 7,
		.memory_bytes = vm->config->memory_bytes,
	};
	out->exits[2] = 7;
}

const char *vm_exit_name(unsigned int kvm_exit)
{
	return kvm_exit == 2 ? "io" : NULL;
}

const char *vm_boot_report(const struct vm *vm)
{
	return vm->boot_report;
}

const char *vm_crash_report(const struct vm *vm)
{
	return vm->crash_report;
}

void vm_describe_devices(struct vm *vm, struct buf *out)
{
	(void)vm;
	buf_puts(out, "fake\n");
}

struct console *vm_console(struct vm *vm)
{
	return vm->console;
}

struct machine *vm_machine(struct vm *vm)
{
	return vm->machine;
}

void vm_agent_failed(struct vm *vm, const char *why)
{
	(void)vm;
	(void)why;
}

struct channel *vm_channel(struct vm *vm, const char *name)
{
	(void)vm;
	(void)name;
	return NULL;
}

const struct vm_config *vm_configuration(const struct vm *vm)
{
	return vm->config;
}

const char *vm_cause_text(enum vm_cause cause)
{
	switch (cause) {
	case VM_CAUSE_COMMAND:
		return "command";
	case VM_CAUSE_GUEST_POWEROFF:
		return "guest-poweroff";
	case VM_CAUSE_DEBUG_EXIT:
		return "debug-exit";
	default:
		return "none";
	}
}

const char *vm_event_text(enum vm_event_kind kind)
{
	switch (kind) {
	case VM_EVENT_STATE:
		return "state";
	case VM_EVENT_MILESTONE:
		return "milestone";
	case VM_EVENT_READY:
		return "ready";
	default:
		return "other";
	}
}

#endif
