/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's beginning, end, and what can be asked of it. The loop's thread. */
#include "vmm/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "vmm/vcpu.h"
#include "vmm/vm_private.h"

static void on_console(void *ctx)
{
	struct vm *vm = ctx;

	loop_post(vm->loop, &vm->output_msg);
}

static int add_port(struct vm *vm, const char *name, struct err *e)
{
	struct vport_config *p = &vm->port[vm->ports];
	int r = channel_create(&p->channel, e);

	if (r)
		return r;
	snprintf(p->name, sizeof(p->name), "%s", name);
	vm->ports++;
	return 0;
}

/* Like the console, the ports' ends live on across reboots. */
static int add_ports(struct vm *vm, struct err *e)
{
	unsigned int i;
	int r = vm->config->agent ? add_port(vm, VM_AGENT_PORT, e) : 0;

	for (i = 0; i < vm->config->ports && !r; i++)
		r = add_port(vm, vm->config->port[i].name, e);
	return r;
}

static int init_parts(struct vm *vm, struct err *e)
{
	struct console_config cc = { .on_output = on_console, .ctx = vm };
	int r = console_create(&vm->console, &cc, e);

	if (!r && vm->config->ready)
		r = matcher_create(&vm->ready, vm->config->ready, e);
	if (!r)
		r = add_ports(vm, e);
	if (!r)
		r = vcpu_install_kick(e);
	if (!r && getrandom(vm->genid, sizeof(vm->genid), 0) !=
			  (ssize_t)sizeof(vm->genid))
		r = err_sys(e, -errno, "VM generation id: getrandom");
	return r;
}

int vm_create(struct vm **out, struct loop *loop,
	      const struct vm_config *config, bool ran_before,
	      const struct vm_observer *observer, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_sys(e, -ENOMEM, "VM");
	vm->loop = loop;
	vm->config = config;
	vm->observer = *observer;
	vm->state = observer->store.has_saved ? VM_SUSPENDED
		    : ran_before	      ? VM_STOPPED
					      : VM_DEFINED;
	vm->why.actor.kind = "policy";
	vm->since_wall_ns = clock_wall_ns();
	vm->since_mono_ns = clock_mono_ns();
	vm->milestone = -1;
	buf_init(&vm->boot_report, VM_REPORT_BYTES);
	buf_init(&vm->crash_report, VM_REPORT_BYTES);
	vm->report_msg = (struct loop_msg){ .run = vm_on_report, .ctx = vm };
	vm->parked_msg = (struct loop_msg){ .run = vm_on_parked, .ctx = vm };
	vm->job_msg = (struct loop_msg){ .run = vm_on_job, .ctx = vm };
	vm->output_msg = (struct loop_msg){ .run = vm_on_output, .ctx = vm };
	vm->settle_msg = (struct loop_msg){ .run = vm_settle, .ctx = vm };
	r = init_parts(vm, e);
	if (r) {
		vm_destroy(vm);
		return r;
	}
	*out = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	hand_destroy(vm->hand); /* what it was given is done then */
	vm_job_abandon(vm);
	machine_destroy(vm->machine);
	loop_disarm(&vm->rung_timer);
	loop_disarm(&vm->ready_timer);
	loop_disarm(&vm->restart_timer);
	loop_unpost(vm->loop, &vm->report_msg);
	loop_unpost(vm->loop, &vm->parked_msg);
	loop_unpost(vm->loop, &vm->output_msg);
	loop_unpost(vm->loop, &vm->settle_msg);
	while (vm->waiters) {
		struct vm_waiter *w = vm->waiters;

		vm->waiters = w->next;
		free(w);
	}
	while (vm->ports)
		channel_destroy(vm->port[--vm->ports].channel);
	matcher_destroy(vm->ready);
	console_destroy(vm->console);
	buf_fini(&vm->boot_report);
	buf_fini(&vm->crash_report);
	free(vm);
}

/* A moment's worker leaves the machine where it is. */
static struct machine *machine_to_see(const struct vm *vm)
{
	const struct vm_job *job = vm->job;

	return job && job->kind == JOB_STILL ? job->old : vm->machine;
}

static bool will_start(const struct vm *vm)
{
	const struct vm_waiter *w = vm->waiters;

	while (w && w->request.command != VM_CMD_START)
		w = w->next;
	return w;
}

void vm_status(const struct vm *vm, struct vm_status *out)
{
	*out = (struct vm_status){
		.state = vm->state,
		.cause = vm->why.cause,
		.actor = vm->why.actor,
		.since_wall_ns = vm->since_wall_ns,
		.ready = vm->is_ready,
		.will_start = will_start(vm),
		.milestone = vm->milestone,
		.boots = vm->boots,
		.restarts = vm->restarts,
		.vcpus = vm->config->cpus,
		.reason = vm->why.reason,
	};
	if (!machine_to_see(vm))
		return;
	out->uptime_ns = clock_mono_ns() - vm->boot_mono_ns;
	out->vcpus_parked = machine_parked_count(machine_to_see(vm));
}

void vm_stats(struct vm *vm, struct vm_stats *out)
{
	struct console_counters counters;

	*out = vm->past;
	out->memory_bytes = vm->config->memory_bytes;
	out->pauses = vm->pauses;
	out->last_pause_ns = vm->last_pause_ns;
	out->last_resume_ns = vm->last_resume_ns;
	console_get_counters(vm->console, &counters);
	out->console_out_bytes = counters.output_bytes;
	out->console_in_bytes = counters.input_bytes;
	out->console_dropped_bytes = counters.input_dropped_bytes;
	if (machine_to_see(vm))
		machine_add_stats(machine_to_see(vm), out);
}

const char *vm_exit_name(unsigned int kvm_exit)
{
	return exit_name(kvm_exit);
}

const char *vm_boot_report(const struct vm *vm)
{
	return vm->boot_report.len ? (const char *)vm->boot_report.data : "";
}

const char *vm_crash_report(const struct vm *vm)
{
	return vm->crash_report.len ? (const char *)vm->crash_report.data : "";
}

void vm_describe_devices(struct vm *vm, struct buf *out)
{
	if (vm->machine)
		machine_describe(vm->machine, out);
}

struct channel *vm_channel(struct vm *vm, const char *name)
{
	unsigned int i;

	for (i = 0; i < vm->ports; i++)
		if (strcmp(vm->port[i].name, name) == 0)
			return vm->port[i].channel;
	return NULL;
}

struct machine *vm_machine(struct vm *vm)
{
	return machine_to_see(vm);
}

struct console *vm_console(struct vm *vm)
{
	return vm->console;
}

const struct vm_config *vm_configuration(const struct vm *vm)
{
	return vm->config;
}
