/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The milestone port: a guest says how far its boot has come, one byte at
 * a time (MILESTONE_*; other values are the guest's own). Reads are all
 * ones. vCPU threads.
 */
#ifndef AMBER_DEVICES_MILESTONE_H
#define AMBER_DEVICES_MILESTONE_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"

#define MILESTONE_PORTS 1 /* width of its one range, at PORT_MILESTONE */

struct milestone;

struct milestone_config {
	struct guest_event_sink events; /* GUEST_MILESTONE, the byte */
};

/* Errors: -ENOMEM. */
int milestone_create(struct milestone **out, const struct milestone_config *cfg,
		     struct err *e);

/* NULL is fine. */
void milestone_destroy(struct milestone *m);

struct device *milestone_device(struct milestone *m);

#endif
