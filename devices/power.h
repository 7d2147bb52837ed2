/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a hardware-reduced ACPI machine: sleep control and
 * status (ACPI 6.4, 4.8.3.7), reset register (4.8.3.6), and the event
 * register that the generic event device's _EVT method reads (5.6.9).
 *
 * Registers: vCPU threads. power_button(), power_genid_changed(): any
 * thread.
 */
#ifndef AMBER_DEVICES_POWER_H
#define AMBER_DEVICES_POWER_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"
#include "devices/irq.h"

/* Its one range: PORT_SLEEP_CONTROL .. PORT_GED_EVENTS + 3 */
#define POWER_PORTS 8

struct power;

struct power_config {
	struct irq_line irq; /* GSI_GED: high while an event is pending */
	struct guest_event_sink events; /* GUEST_POWEROFF, GUEST_RESET */
};

/* Errors: -ENOMEM. */
int power_create(struct power **out, const struct power_config *cfg,
		 struct err *e);

/* NULL is fine. */
void power_destroy(struct power *p);

struct device *power_device(struct power *p);

/*
 * Presses the power button, or tells the guest that its VM generation
 * identifier has changed: the event is pending until the guest reads the
 * event register. The line is level-triggered, so that a press before the
 * guest's driver is there is not lost.
 */
void power_button(struct power *p);
void power_genid_changed(struct power *p);

#endif
