/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference) with
 * three keys: Ctrl, Alt and Delete. Plain state without a lock: the
 * controller that it is plugged into owns it and serialises.
 */
#ifndef AMBER_DEVICES_PS2_KEYBOARD_H
#define AMBER_DEVICES_PS2_KEYBOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/state.h"

#define PS2_QUEUE_BYTES 32
#define PS2_SCAN_BREAK	0xf0 /* prefix of a released key, sets 2 and 3 */

struct ps2_keyboard {
	uint8_t command;  /* waits for its parameter, or 0 */
	uint8_t last;	  /* last byte sent */
	uint8_t scan_set; /* 1..3 */
	uint8_t leds;
	uint8_t rate;
	bool enabled; /* by the enable command: a driver listens */
	uint8_t queue[PS2_QUEUE_BYTES]; /* to the controller, oldest first */
	uint32_t queued;
};

void ps2_power_on(struct ps2_keyboard *k);

/* A command or parameter byte from the guest; the replies are queued. */
void ps2_write(struct ps2_keyboard *k, uint8_t byte);

/* Takes the oldest queued byte; false when there is none. */
bool ps2_take(struct ps2_keyboard *k, uint8_t *byte);

/* Forgets what is queued. */
void ps2_flush(struct ps2_keyboard *k);

/* Presses and releases Ctrl-Alt-Del; the queue must be empty. */
void ps2_ctrl_alt_del(struct ps2_keyboard *k);

/*
 * The byte of scan code set 1 that a translating controller makes of a
 * byte of set 2 from this keyboard.
 */
uint8_t ps2_to_set1(uint8_t byte);

void ps2_sync(struct ps2_keyboard *k, struct state_io *io);
/* -EINVAL: a state that the keyboard can't reach. */
int ps2_validate(const struct ps2_keyboard *k, struct err *e);

#endif
