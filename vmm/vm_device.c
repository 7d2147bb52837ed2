/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices do to the VM's life: events, and the pause in io-error when
 * the host fails a disk. The loop's thread.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/vm_private.h"

static enum vm_event_kind event_of(enum device_event_kind kind)
{
	switch (kind) {
	case DEVICE_BROKEN:
		return VM_EVENT_DEVICE_BROKEN;
	case DEVICE_LINK:
		return VM_EVENT_LINK;
	case DEVICE_BACKEND:
		return VM_EVENT_BACKEND;
	default:
		return VM_EVENT_IO_ERROR;
	}
}

static void tell(struct vm *vm, const struct machine_report *report)
{
	struct vm_why why = vm_why_guest(VM_CAUSE_NONE, 0);
	unsigned int i;

	for (i = 0; i < report->devices; i++) {
		const struct machine_device_event *ev = &report->device[i];

		why.actor.kind = ev->kind == DEVICE_BROKEN ? "guest" : "host";
		vm_emit(vm, event_of(ev->kind), &why, 0, 0, ev->text);
	}
}

/*
 * A stop, reset or end of the guest that is under way comes first; also one
 * that has parked the vCPUs, and waits for a restart's time.
 */
static bool may_pause(const struct vm *vm, const struct machine_report *report)
{
	return !report->has_end && !machine_is_parked(vm->machine) &&
	       vm->goal == GOAL_NONE && !vm->job &&
	       (vm->state == VM_RUNNING || vm->state == VM_STOPPING ||
		vm->state == VM_RESETTING);
}

static struct vm_why why_io(const struct machine_report *report)
{
	struct vm_why why = vm_why_guest(VM_CAUSE_IO_ERROR, 0);

	why.actor.kind = "host";
	snprintf(why.reason, sizeof(why.reason), "%s", report->io_text);
	return why;
}

void vm_on_devices(struct vm *vm, const struct machine_report *report)
{
	tell(vm, report);
	if (!report->has_io_error && !report->has_io_stop)
		return;
	if (!may_pause(vm, report))
		return;
	vm->io_error = why_io(report);
	if (report->has_io_stop) {
		if (vm->state != VM_STOPPING)
			vm_enter(vm, VM_STOPPING, &vm->io_error);
		vm_op_end(vm, -EIO, NULL, vm->io_error.reason);
		vm_park_for(vm, GOAL_STOP);
		return;
	}
	vm_park_for(vm, GOAL_IO_ERROR);
}

void vm_io_error(struct vm *vm)
{
	vm_op_end(vm, -EIO, NULL, vm->io_error.reason);
	loop_disarm(&vm->rung_timer);
	loop_disarm(&vm->restart_timer);
	vm_enter(vm, VM_IO_ERROR, &vm->io_error);
}
