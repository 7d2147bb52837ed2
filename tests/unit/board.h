/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of devices: every device on a port bus, as in the machine, with
 * recorders where KVM and the loop would be. Nothing here needs KVM.
 */
#ifndef AMBER_TESTS_UNIT_BOARD_H
#define AMBER_TESTS_UNIT_BOARD_H

#include <stdlib.h>
#include <string.h>

#include "devices/bus.h"
#include "devices/console.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/milestone.h"
#include "devices/platform.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "devices/reset_port.h"
#include "devices/serial.h"

#define BOARD_HISTORY (1u << 16)
#define BOARD_DEVICES 7

/* What an interrupt line was driven to; each line has one device. */
struct board_irq {
	bool level;
	unsigned int rises, sets;
};

/* The last guest event, and how many there were. */
struct board_events {
	unsigned int count;
	enum guest_event_kind kind;
	uint32_t value;
};

struct board {
	struct bus port;
	struct console *console;
	struct serial *serial;
	struct i8042 *i8042;
	struct power *power;
	struct reset_port *reset_port;
	struct pvpanic *pvpanic;
	struct debug_exit *debug_exit;
	struct milestone *milestone;
	struct device *device[BOARD_DEVICES];
	struct board_irq irq[GSI_COUNT];
	struct board_events events;
	unsigned int outputs; /* calls of on_output */
};

static inline void board_set_irq(void *ctx, uint32_t gsi, bool level)
{
	struct board_irq *irq = &((struct board *)ctx)->irq[gsi];

	irq->rises += level && !irq->level;
	irq->sets++;
	irq->level = level;
}

static inline void board_emit(void *ctx, enum guest_event_kind kind,
			      uint32_t value)
{
	struct board_events *events = &((struct board *)ctx)->events;

	events->count++;
	events->kind = kind;
	events->value = value;
}

static inline void board_on_output(void *ctx)
{
	((struct board *)ctx)->outputs++;
}

static inline void board_must(int r)
{
	if (r)
		abort();
}

static inline void board_create_devices(struct board *b)
{
	struct guest_event_sink events = { board_emit, b };
	struct console_config console = { .history_bytes = BOARD_HISTORY,
					  .on_output = board_on_output,
					  .ctx = b };

	board_must(console_create(&b->console, &console, NULL));
	board_must(serial_create(
		&b->serial,
		&(struct serial_config){ .irq = { board_set_irq, b, GSI_COM1 },
					 .console = b->console },
		NULL));
	board_must(
		i8042_create(&b->i8042,
			     &(struct i8042_config){
				     .irq = { board_set_irq, b, GSI_KEYBOARD },
				     .events = events },
			     NULL));
	board_must(power_create(
		&b->power,
		&(struct power_config){ .irq = { board_set_irq, b, GSI_GED },
					.events = events },
		NULL));
	board_must(reset_port_create(
		&b->reset_port, &(struct reset_port_config){ events }, NULL));
	board_must(pvpanic_create(&b->pvpanic,
				  &(struct pvpanic_config){ events }, NULL));
	board_must(debug_exit_create(
		&b->debug_exit, &(struct debug_exit_config){ events }, NULL));
	board_must(milestone_create(
		&b->milestone, &(struct milestone_config){ events }, NULL));
}

static inline void board_add(struct board *b, uint64_t port, uint64_t ports,
			     struct device *d, uint32_t range)
{
	board_must(bus_add(&b->port, port, ports, d, range, NULL));
}

static inline void board_init(struct board *b)
{
	unsigned int n = 0;

	*b = (struct board){ .port = { .name = "port" } };
	board_create_devices(b);
	b->device[n++] = serial_device(b->serial);
	b->device[n++] = i8042_device(b->i8042);
	b->device[n++] = power_device(b->power);
	b->device[n++] = reset_port_device(b->reset_port);
	b->device[n++] = pvpanic_device(b->pvpanic);
	b->device[n++] = debug_exit_device(b->debug_exit);
	b->device[n++] = milestone_device(b->milestone);
	board_add(b, PORT_COM1, SERIAL_PORTS, serial_device(b->serial), 0);
	board_add(b, PORT_I8042_DATA, 1, i8042_device(b->i8042),
		  I8042_RANGE_DATA);
	board_add(b, PORT_I8042_CMD, 1, i8042_device(b->i8042),
		  I8042_RANGE_CMD);
	board_add(b, PORT_SLEEP_CONTROL, POWER_PORTS, power_device(b->power),
		  0);
	board_add(b, PORT_RESET_CONTROL, RESET_PORT_PORTS,
		  reset_port_device(b->reset_port), 0);
	board_add(b, PORT_PVPANIC, PVPANIC_PORTS, pvpanic_device(b->pvpanic),
		  0);
	board_add(b, PORT_DEBUG_EXIT, DEBUG_EXIT_PORTS,
		  debug_exit_device(b->debug_exit), 0);
	board_add(b, PORT_MILESTONE, MILESTONE_PORTS,
		  milestone_device(b->milestone), 0);
}

static inline void board_fini(struct board *b)
{
	milestone_destroy(b->milestone);
	debug_exit_destroy(b->debug_exit);
	pvpanic_destroy(b->pvpanic);
	reset_port_destroy(b->reset_port);
	power_destroy(b->power);
	i8042_destroy(b->i8042);
	serial_destroy(b->serial);
	console_destroy(b->console);
}

static inline struct device *board_find(const struct board *b, const char *name)
{
	unsigned int i;

	for (i = 0; i < BOARD_DEVICES; i++)
		if (!strcmp(b->device[i]->ops->name, name))
			return b->device[i];
	return NULL;
}

static inline void board_out(struct board *b, uint64_t port, uint8_t value)
{
	bus_write(&b->port, port, 1, value);
}

static inline uint8_t board_in(struct board *b, uint64_t port)
{
	uint64_t v;

	bus_read(&b->port, port, 1, &v);
	return (uint8_t)v;
}

/* Appends the saved state of d to out (initialised by the caller). */
static inline int board_save(struct device *d, struct buf *out)
{
	struct state_io io;

	state_save(&io, d->ops->name, out);
	d->ops->sync(d, &io);
	return state_end(&io, NULL);
}

/* Decodes and validates, as a restore does. */
static inline int board_load(struct device *d, const uint8_t *bytes, size_t len,
			     struct err *e)
{
	struct state_io io;
	int r;

	state_load(&io, d->ops->name, bytes, len);
	d->ops->sync(d, &io);
	r = state_end(&io, e);
	return r ? r : d->ops->validate(d, e);
}

static inline void board_resume(struct device *d)
{
	if (d->ops->resume)
		d->ops->resume(d);
}

#endif
