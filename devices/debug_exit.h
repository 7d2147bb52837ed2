/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug-exit port: a guest ends its VM with a number. Four ports wide;
 * a write of any width at the first port reports its low byte, the other
 * ports ignore writes. Reads are all ones. vCPU threads.
 */
#ifndef AMBER_DEVICES_DEBUG_EXIT_H
#define AMBER_DEVICES_DEBUG_EXIT_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"

#define DEBUG_EXIT_PORTS 4 /* width of its one range, at PORT_DEBUG_EXIT */

struct debug_exit;

struct debug_exit_config {
	struct guest_event_sink events; /* GUEST_DEBUG_EXIT, the byte */
};

/* Errors: -ENOMEM. */
int debug_exit_create(struct debug_exit **out,
		      const struct debug_exit_config *cfg, struct err *e);

/* NULL is fine. */
void debug_exit_destroy(struct debug_exit *x);

struct device *debug_exit_device(struct debug_exit *x);

#endif
