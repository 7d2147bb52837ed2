/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PS/2 keyboard: commands, replies and three keys. Entered under the
 * controller's lock. INV-1: the queue is bounded; what finds no room is
 * lost, as on the wire.
 */
#include "devices/ps2_keyboard.h"

#include <string.h>

#define KBD_LEDS     0xed
#define KBD_ECHO     0xee
#define KBD_SET	     0xf0
#define KBD_ID	     0xf2
#define KBD_RATE     0xf3
#define KBD_ENABLE   0xf4
#define KBD_DISABLE  0xf5
#define KBD_DEFAULTS 0xf6
#define KBD_ALL_LOW  0xf7 /* .. 0xfa: key types of set 3 */
#define KBD_ALL_HIGH 0xfa
#define KBD_RESEND   0xfe
#define KBD_RESET    0xff

#define REPLY_ACK     0xfa
#define REPLY_NAK     0xfe
#define REPLY_TEST_OK 0xaa
#define REPLY_ID_1    0xab
#define REPLY_ID_2    0x83

#define SCAN_EXTENDED	 0xe0
#define SET1_BREAK	 0x80
#define LEDS_MASK	 0x07
#define PARAMETER_MASK	 0x7f
#define RATE_POWER_ON	 0x2b
#define SCAN_SET_DEFAULT 2

struct key {
	uint8_t set1, set2, set3;
	bool extended; /* in sets 1 and 2 */
};

static const struct key ctrl = { 0x1d, 0x14, 0x11, false };
static const struct key alt = { 0x38, 0x11, 0x19, false };
static const struct key del = { 0x53, 0x71, 0x64, true };

static void send(struct ps2_keyboard *k, uint8_t byte)
{
	if (k->queued < PS2_QUEUE_BYTES)
		k->queue[k->queued++] = byte;
}

static void defaults(struct ps2_keyboard *k)
{
	k->scan_set = SCAN_SET_DEFAULT;
	k->rate = RATE_POWER_ON;
	k->queued = 0;
}

void ps2_power_on(struct ps2_keyboard *k)
{
	*k = (struct ps2_keyboard){ .last = 0 };
	defaults(k);
}

static void parameter(struct ps2_keyboard *k, uint8_t v)
{
	uint8_t command = k->command;

	k->command = 0;
	if (command == KBD_SET && v > 3) {
		send(k, REPLY_NAK);
		return;
	}
	send(k, REPLY_ACK);
	if (command == KBD_LEDS)
		k->leds = v & LEDS_MASK;
	else if (command == KBD_RATE)
		k->rate = v;
	else if (v)
		k->scan_set = v;
	else
		send(k, k->scan_set);
}

static void reset(struct ps2_keyboard *k)
{
	ps2_power_on(k);
	send(k, REPLY_ACK);
	send(k, REPLY_TEST_OK);
}

/* Enable, disable and defaults forget keys that nobody has read. */
static void change(struct ps2_keyboard *k, uint8_t v)
{
	k->queued = 0;
	if (v != KBD_ENABLE)
		defaults(k);
	if (v != KBD_DEFAULTS)
		k->enabled = v == KBD_ENABLE;
	send(k, REPLY_ACK);
}

static void command(struct ps2_keyboard *k, uint8_t v)
{
	switch (v) {
	case KBD_LEDS:
	case KBD_RATE:
	case KBD_SET:
		k->command = v;
		send(k, REPLY_ACK);
		break;
	case KBD_ECHO:
		send(k, KBD_ECHO);
		break;
	case KBD_ID:
		send(k, REPLY_ACK);
		send(k, REPLY_ID_1);
		send(k, REPLY_ID_2);
		break;
	case KBD_ENABLE:
	case KBD_DISABLE:
	case KBD_DEFAULTS:
		change(k, v);
		break;
	case KBD_ALL_LOW ... KBD_ALL_HIGH:
		send(k, REPLY_ACK);
		break;
	case KBD_RESEND:
		send(k, k->last);
		break;
	case KBD_RESET:
		reset(k);
		break;
	default:
		send(k, REPLY_NAK);
	}
}

void ps2_write(struct ps2_keyboard *k, uint8_t byte)
{
	if (k->command && byte <= PARAMETER_MASK) {
		parameter(k, byte);
		return;
	}
	k->command = 0; /* a command instead of a parameter */
	command(k, byte);
}

bool ps2_take(struct ps2_keyboard *k, uint8_t *byte)
{
	if (!k->queued)
		return false;
	*byte = k->last = k->queue[0];
	k->queued--;
	memmove(k->queue, k->queue + 1, k->queued);
	return true;
}

void ps2_flush(struct ps2_keyboard *k)
{
	k->queued = 0;
}

static void send_key(struct ps2_keyboard *k, const struct key *key, bool down)
{
	if (key->extended && k->scan_set != 3)
		send(k, SCAN_EXTENDED);
	if (k->scan_set == 1) {
		send(k, (uint8_t)(key->set1 | (down ? 0 : SET1_BREAK)));
		return;
	}
	if (!down)
		send(k, PS2_SCAN_BREAK);
	send(k, k->scan_set == 3 ? key->set3 : key->set2);
}

void ps2_ctrl_alt_del(struct ps2_keyboard *k)
{
	send_key(k, &ctrl, true);
	send_key(k, &alt, true);
	send_key(k, &del, true);
	send_key(k, &del, false);
	send_key(k, &alt, false);
	send_key(k, &ctrl, false);
}

uint8_t ps2_to_set1(uint8_t byte)
{
	if (byte == ctrl.set2)
		return ctrl.set1;
	if (byte == alt.set2)
		return alt.set1;
	if (byte == del.set2)
		return del.set1;
	return byte == REPLY_ID_2 ? 0x41 : byte;
}

void ps2_sync(struct ps2_keyboard *k, struct state_io *io)
{
	state_u8(io, &k->command);
	state_u8(io, &k->last);
	state_u8(io, &k->scan_set);
	state_u8(io, &k->leds);
	state_u8(io, &k->rate);
	state_bool(io, &k->enabled);
	state_blob(io, k->queue, &k->queued, sizeof(k->queue));
}

int ps2_validate(const struct ps2_keyboard *k, struct err *e)
{
	if (k->command && k->command != KBD_LEDS && k->command != KBD_SET &&
	    k->command != KBD_RATE)
		return err_set(e, -EINVAL,
			       "keyboard: command %#x has no parameter",
			       k->command);
	if (k->scan_set < 1 || k->scan_set > 3)
		return err_set(e, -EINVAL,
			       "keyboard: scan code set %u is not in 1..3",
			       k->scan_set);
	if (k->leds & ~LEDS_MASK)
		return err_set(e, -EINVAL, "keyboard: leds %#x", k->leds);
	if (k->rate & ~PARAMETER_MASK)
		return err_set(e, -EINVAL, "keyboard: rate %#x", k->rate);
	return 0;
}
