/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: one port by which a guest kernel says that it panicked. A read
 * gives the events it may report (PVPANIC_PANICKED, PVPANIC_CRASHLOADED),
 * a write reports one: when both bits are set the panic counts. vCPU
 * threads.
 */
#ifndef AMBER_DEVICES_PVPANIC_H
#define AMBER_DEVICES_PVPANIC_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"

#define PVPANIC_PORTS 1 /* width of its one range, at PORT_PVPANIC */

struct pvpanic;

struct pvpanic_config {
	struct guest_event_sink events; /* GUEST_PANIC, GUEST_CRASH_LOADED */
};

/* Errors: -ENOMEM. */
int pvpanic_create(struct pvpanic **out, const struct pvpanic_config *cfg,
		   struct err *e);

/* NULL is fine. */
void pvpanic_destroy(struct pvpanic *p);

struct device *pvpanic_device(struct pvpanic *p);

#endif
