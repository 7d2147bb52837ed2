/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reset control register at port 0xcf9 as on Intel PCHs: bit 1 says
 * what kind of reset, bit 2 triggers it, bit 3 asks for a power cycle. All
 * kinds are one reset here. The register reads back. vCPU threads.
 */
#ifndef AMBER_DEVICES_RESET_PORT_H
#define AMBER_DEVICES_RESET_PORT_H

#include "base/err.h"
#include "devices/device.h"
#include "devices/guest_event.h"

#define RESET_PORT_PORTS 1 /* width of its one range, at PORT_RESET_CONTROL */

struct reset_port;

struct reset_port_config {
	struct guest_event_sink events; /* GUEST_RESET, GUEST_RESET_CF9 */
};

/* Errors: -ENOMEM. */
int reset_port_create(struct reset_port **out,
		      const struct reset_port_config *cfg, struct err *e);

/* NULL is fine. */
void reset_port_destroy(struct reset_port *p);

struct device *reset_port_device(struct reset_port *p);

#endif
