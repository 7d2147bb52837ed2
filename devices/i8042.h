/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC keyboard controller (Intel 8042, IBM PS/2 Hardware Interface
 * Technical Reference) with one keyboard that has three keys: Ctrl, Alt and
 * Delete. There is no mouse port. Guests also use its reset pulse.
 *
 * Registers: vCPU threads. i8042_ctrl_alt_del(): any thread.
 */
#ifndef AMBER_DEVICES_I8042_H
#define AMBER_DEVICES_I8042_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"
#include "devices/irq.h"

/* Its ranges on the port bus, one port each. */
enum i8042_range {
	I8042_RANGE_DATA, /* PORT_I8042_DATA */
	I8042_RANGE_CMD,  /* PORT_I8042_CMD: status and commands */
};

struct i8042;

struct i8042_config {
	struct irq_line irq;		/* GSI_KEYBOARD, edge */
	struct guest_event_sink events; /* GUEST_RESET, GUEST_RESET_I8042 */
};

/* Errors: -ENOMEM. */
int i8042_create(struct i8042 **out, const struct i8042_config *cfg,
		 struct err *e);

/* NULL is fine. */
void i8042_destroy(struct i8042 *k);

struct device *i8042_device(struct i8042 *k);

/*
 * Presses and releases Ctrl-Alt-Del. 0: the keys are on their way to the
 * guest. Errors, nothing was queued: -ENODEV (no driver in the guest has
 * enabled the keyboard and its interrupt), -EBUSY (the guest has not read
 * earlier keys).
 */
int i8042_ctrl_alt_del(struct i8042 *k, struct err *e);

#endif
