/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART (TI PC16550D data sheet): registers, 16-byte receive FIFO,
 * loop-back, modem status, interrupts. The transmitter is always empty: a
 * byte written to THR is in the console when the write returns. Nothing
 * here ever waits for the outside.
 *
 * Registers: vCPU threads. Input arrives on the console's loop thread.
 */
#ifndef AMBER_DEVICES_SERIAL_H
#define AMBER_DEVICES_SERIAL_H

#include "base/err.h"
#include "devices/console.h"
#include "devices/device.h"
#include "devices/irq.h"

#define SERIAL_PORTS 8 /* width of its one range, at PORT_COM1 */

struct serial;

struct serial_config {
	uint32_t instance;
	struct irq_line irq;	 /* driven on change; high = INTR active */
	struct console *console; /* borrowed; attached until destroy */
};

/* The thread that builds the machine. Errors: -ENOMEM. */
int serial_create(struct serial **out, const struct serial_config *cfg,
		  struct err *e);

/* vCPU threads are gone. Detaches from the console. NULL is fine. */
void serial_destroy(struct serial *s);

struct device *serial_device(struct serial *s);

/* Takes the console's input (again): another device had it. Any thread. */
void serial_take_console(struct serial *s);
/* Another device takes it now. Any thread. */
void serial_leave_console(struct serial *s);

#endif
