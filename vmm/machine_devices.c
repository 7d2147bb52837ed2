/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of the machine and where they sit. Built by the builder's
 * thread; guest events arrive on vCPU threads and become a report.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "devices/platform.h"
#include "vmm/machine_private.h"

static void set_irq(void *ctx, uint32_t gsi, bool level)
{
	struct machine *m = ctx;
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	/* Can't fail for a pin that exists, and the guest picks no pin. */
	ioctl(m->vm_fd, KVM_IRQ_LINE, &line);
}

static void note_milestone(struct machine *m, uint32_t value)
{
	lock_take(&m->lock);
	m->report.has_milestone = true;
	m->report.milestone = (uint8_t)value;
	lock_release(&m->lock);
}

static void note_crash_loaded(struct machine *m)
{
	lock_take(&m->lock);
	m->report.has_crash_loaded = true;
	lock_release(&m->lock);
}

static void on_guest_event(void *ctx, enum guest_event_kind kind,
			   uint32_t value)
{
	struct machine *m = ctx;

	switch (kind) {
	case GUEST_POWEROFF:
		machine_end_run(m, VM_CAUSE_GUEST_POWEROFF, 0);
		return;
	case GUEST_RESET:
		machine_end_run(m, VM_CAUSE_GUEST_RESET, value);
		return;
	case GUEST_PANIC:
		machine_end_run(m, VM_CAUSE_GUEST_PANIC, 0);
		return;
	case GUEST_DEBUG_EXIT:
		machine_end_run(m, VM_CAUSE_DEBUG_EXIT, value);
		return;
	case GUEST_CRASH_LOADED:
		note_crash_loaded(m);
		break;
	case GUEST_MILESTONE:
		note_milestone(m, value);
		break;
	}
	m->cfg.ops.report(m->cfg.ops.ctx);
}

static struct irq_line line(struct machine *m, uint32_t gsi)
{
	return (struct irq_line){ .set = set_irq, .ctx = m, .gsi = gsi };
}

static int place(struct machine *m, struct device *d, uint64_t port,
		 uint64_t width, uint32_t range, struct err *e)
{
	if (range == 0)
		m->dev.all[m->dev.count++] = d;
	return bus_add(&m->ports, port, width, d, range, e);
}

static int add_console_devices(struct machine *m, struct err *e)
{
	struct serial_config serial = { .irq = line(m, GSI_COM1),
					.console = m->cfg.console };
	struct i8042_config i8042 = { .irq = line(m, GSI_KEYBOARD),
				      .events = { on_guest_event, m } };
	struct machine_devices *d = &m->dev;
	int r;

	r = serial_create(&d->serial, &serial, e);
	if (!r)
		r = place(m, serial_device(d->serial), PORT_COM1, SERIAL_PORTS,
			  0, e);
	if (!r)
		r = i8042_create(&d->i8042, &i8042, e);
	if (!r)
		r = place(m, i8042_device(d->i8042), PORT_I8042_DATA, 1,
			  I8042_RANGE_DATA, e);
	if (!r)
		r = place(m, i8042_device(d->i8042), PORT_I8042_CMD, 1,
			  I8042_RANGE_CMD, e);
	return r;
}

static int add_power_devices(struct machine *m, struct err *e)
{
	struct power_config power = { .irq = line(m, GSI_GED),
				      .events = { on_guest_event, m } };
	struct reset_port_config reset = { .events = { on_guest_event, m } };
	struct machine_devices *d = &m->dev;
	int r;

	r = power_create(&d->power, &power, e);
	if (!r)
		r = place(m, power_device(d->power), PORT_SLEEP_CONTROL,
			  POWER_PORTS, 0, e);
	if (!r)
		r = reset_port_create(&d->reset_port, &reset, e);
	if (!r)
		r = place(m, reset_port_device(d->reset_port),
			  PORT_RESET_CONTROL, RESET_PORT_PORTS, 0, e);
	return r;
}

static int add_report_devices(struct machine *m, struct err *e)
{
	struct pvpanic_config panic = { .events = { on_guest_event, m } };
	struct debug_exit_config dexit = { .events = { on_guest_event, m } };
	struct milestone_config stone = { .events = { on_guest_event, m } };
	struct machine_devices *d = &m->dev;
	int r;

	r = pvpanic_create(&d->pvpanic, &panic, e);
	if (!r)
		r = place(m, pvpanic_device(d->pvpanic), PORT_PVPANIC,
			  PVPANIC_PORTS, 0, e);
	if (!r)
		r = debug_exit_create(&d->debug_exit, &dexit, e);
	if (!r)
		r = place(m, debug_exit_device(d->debug_exit), PORT_DEBUG_EXIT,
			  DEBUG_EXIT_PORTS, 0, e);
	if (!r)
		r = milestone_create(&d->milestone, &stone, e);
	if (!r)
		r = place(m, milestone_device(d->milestone), PORT_MILESTONE,
			  MILESTONE_PORTS, 0, e);
	return r;
}

int machine_add_devices(struct machine *m, struct err *e)
{
	int r;

	m->ports.name = "port";
	m->mmio.name = "mmio";
	r = add_console_devices(m, e);
	if (!r)
		r = add_power_devices(m, e);
	if (!r)
		r = add_report_devices(m, e);
	return r;
}

void machine_remove_devices(struct machine *m)
{
	struct machine_devices *d = &m->dev;

	serial_destroy(d->serial);
	i8042_destroy(d->i8042);
	power_destroy(d->power);
	reset_port_destroy(d->reset_port);
	pvpanic_destroy(d->pvpanic);
	debug_exit_destroy(d->debug_exit);
	milestone_destroy(d->milestone);
	*d = (struct machine_devices){ .count = 0 };
}
