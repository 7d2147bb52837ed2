/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device (VIRTIO 1.2, 5.3) with several ports: port 0 is a
 * console, the others have names and end in a channel. Works on a loop of
 * its thread; what a port's other end does not take waits in the guest.
 */
#ifndef AMBER_DEVICES_VCONSOLE_H
#define AMBER_DEVICES_VCONSOLE_H

#include "base/err.h"
#include "devices/channel.h"
#include "devices/console.h"
#include "devices/virtio_loop.h"

#define VCONSOLE_PORTS_MAX 8 /* with port 0 */
#define VPORT_NAME_MAX	   63

struct vconsole;

struct vport_config {
	char name[VPORT_NAME_MAX + 1];
	struct channel *channel; /* borrowed */
};

struct vconsole_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct loop *loop;	     /* borrowed */
	struct console *console;     /* borrowed: of port 0 */
	/*
	 * Port 0 was opened: it takes the console's input from now on; false:
	 * no longer. On the device's thread. May be NULL.
	 */
	void (*console_opened)(void *ctx, bool is_open);
	void *ctx;
	struct vport_config port[VCONSOLE_PORTS_MAX - 1]; /* ports 1... */
	unsigned int ports;				  /* of them */
};

int vconsole_create(struct vconsole **out, const struct vconsole_config *cfg,
		    struct err *e);
/* After the loop's thread has ended; lets go of the channels. NULL is fine. */
void vconsole_destroy(struct vconsole *c);
struct virtio *vconsole_virtio(struct vconsole *c);

/* The console has input. Any thread. */
void vconsole_input_ready(void *vconsole);

#endif
