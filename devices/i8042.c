/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyboard controller and keyboard. Entered by vCPU threads (registers) and
 * the loop thread (keys, life cycle); the lock guards st and host. INV-1:
 * after every call the output buffer is full if anything may enter it, and
 * the line equals "output buffer full and its interrupt enabled". INV-2:
 * a reply of the controller goes before the keyboard's bytes, and a newer
 * reply replaces one that nobody has read.
 */
#include "devices/i8042.h"

#include <stdlib.h>

#include "base/lock.h"
#include "devices/ps2_keyboard.h"

/* Status register (port 0x64, read) */
#define STATUS_OUT_FULL	  0x01
#define STATUS_SYSTEM	  0x04
#define STATUS_COMMAND	  0x08
#define STATUS_NO_INHIBIT 0x10

/* Command byte */
#define CTR_IRQ_KBD   0x01
#define CTR_SYSTEM    0x04
#define CTR_KBD_OFF   0x10
#define CTR_AUX_OFF   0x20
#define CTR_TRANSLATE 0x40
#define CTR_MASK      0x7f
#define CTR_POWER_ON  (CTR_SYSTEM | CTR_AUX_OFF | CTR_TRANSLATE)

/* Controller commands (port 0x64, write) */
#define CMD_READ_CTR	 0x20
#define CMD_WRITE_CTR	 0x60
#define CMD_AUX_OFF	 0xa7
#define CMD_AUX_ON	 0xa8
#define CMD_AUX_TEST	 0xa9
#define CMD_SELF_TEST	 0xaa
#define CMD_KBD_TEST	 0xab
#define CMD_KBD_OFF	 0xad
#define CMD_KBD_ON	 0xae
#define CMD_READ_INPUT	 0xc0
#define CMD_READ_OUTPUT	 0xd0
#define CMD_WRITE_OUTPUT 0xd1
#define CMD_WRITE_KBD	 0xd2
#define CMD_WRITE_AUX	 0xd3
#define CMD_TO_AUX	 0xd4
#define CMD_READ_TEST	 0xe0
#define CMD_PULSE	 0xf0 /* low bits: which lines; 0 = pulsed */

#define SET1_BREAK	0x80 /* bit of a released key */
#define SELF_TEST_OK	0x55
#define AUX_CLOCK_LOW	0x01 /* the test result of a port with no device */
#define INPUT_UNLOCKED	0x80
#define OUTPUT_NO_RESET 0x01
#define OUTPUT_A20	0x02
#define OUTPUT_IRQ	0x10

struct i8042_state {
	uint8_t ctr;
	uint8_t out; /* output buffer */
	bool out_full;
	uint8_t reply; /* of the controller: waits for the output buffer */
	bool reply_full;
	uint8_t command; /* of the controller: waits for its parameter, or 0 */
	bool last_was_command;
	bool a20;
	bool break_prefix; /* translation has swallowed PS2_SCAN_BREAK */
	struct ps2_keyboard kbd;
};

struct i8042 {
	struct device device;
	struct i8042_config cfg;
	struct i8042_state st;
	struct {
		struct lock lock;
		bool level;	  /* what the line was last driven to */
		bool level_known; /* false after a load */
	} host;
};

static void drive_locked(struct i8042 *k) LOCK_NEEDS(k->host.lock)
{
	bool level = k->st.out_full && (k->st.ctr & CTR_IRQ_KBD);

	if (k->host.level_known && k->host.level == level)
		return;
	k->host.level = level;
	k->host.level_known = true;
	irq_set(&k->cfg.irq, level);
}

/* One byte from the keyboard's wire; false when it is only a prefix. */
static bool translate(struct i8042_state *st, uint8_t *byte)
{
	if (!(st->ctr & CTR_TRANSLATE))
		return true;
	if (*byte == PS2_SCAN_BREAK) {
		st->break_prefix = true;
		return false;
	}
	*byte = ps2_to_set1(*byte);
	if (st->break_prefix)
		*byte |= SET1_BREAK;
	st->break_prefix = false;
	return true;
}

/* Fills the empty output buffer: the controller's replies go first. */
static void fill(struct i8042_state *st)
{
	uint8_t byte;

	if (st->out_full)
		return;
	if (st->reply_full) {
		st->out = st->reply;
		st->out_full = true;
		st->reply_full = false;
		return;
	}
	if (st->ctr & CTR_KBD_OFF)
		return;
	while (!st->out_full && ps2_take(&st->kbd, &byte)) {
		if (!translate(st, &byte))
			continue;
		st->out = byte;
		st->out_full = true;
	}
}

static void reply(struct i8042_state *st, uint8_t byte)
{
	st->reply = byte;
	st->reply_full = true;
}

static void self_test(struct i8042_state *st)
{
	st->out_full = false;
	ps2_flush(&st->kbd);
	st->break_prefix = false;
	st->ctr |= CTR_SYSTEM;
	reply(st, SELF_TEST_OK);
}

static uint8_t output_port(const struct i8042_state *st)
{
	return (uint8_t)(OUTPUT_NO_RESET | (st->a20 ? OUTPUT_A20 : 0) |
			 (st->out_full ? OUTPUT_IRQ : 0));
}

static void pulse_reset(struct i8042 *k)
{
	guest_event(&k->cfg.events, GUEST_RESET, GUEST_RESET_I8042);
}

static void write_command_locked(struct i8042 *k, uint8_t v)
	LOCK_NEEDS(k->host.lock)
{
	struct i8042_state *st = &k->st;

	st->last_was_command = true;
	st->command = 0;
	switch (v) {
	case CMD_READ_CTR:
		reply(st, st->ctr);
		break;
	case CMD_WRITE_CTR:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_KBD:
	case CMD_WRITE_AUX:
	case CMD_TO_AUX:
		st->command = v;
		break;
	case CMD_AUX_OFF:
		st->ctr |= CTR_AUX_OFF;
		break;
	case CMD_AUX_ON:
		st->ctr &= (uint8_t)~CTR_AUX_OFF;
		break;
	case CMD_AUX_TEST:
		reply(st, AUX_CLOCK_LOW);
		break;
	case CMD_SELF_TEST:
		self_test(st);
		break;
	case CMD_KBD_TEST:
	case CMD_READ_TEST:
		reply(st, 0);
		break;
	case CMD_KBD_OFF:
		st->ctr |= CTR_KBD_OFF;
		break;
	case CMD_KBD_ON:
		st->ctr &= (uint8_t)~CTR_KBD_OFF;
		break;
	case CMD_READ_INPUT:
		reply(st, INPUT_UNLOCKED);
		break;
	case CMD_READ_OUTPUT:
		reply(st, output_port(st));
		break;
	default:
		if (v >= CMD_PULSE && !(v & OUTPUT_NO_RESET))
			pulse_reset(k);
	}
}

/* The parameter of a controller command. */
static void write_parameter_locked(struct i8042 *k, uint8_t v)
	LOCK_NEEDS(k->host.lock)
{
	struct i8042_state *st = &k->st;
	uint8_t command = st->command;

	st->command = 0;
	switch (command) {
	case CMD_WRITE_CTR:
		st->ctr = v & CTR_MASK;
		break;
	case CMD_WRITE_OUTPUT:
		st->a20 = v & OUTPUT_A20;
		if (!(v & OUTPUT_NO_RESET))
			pulse_reset(k);
		break;
	case CMD_WRITE_KBD:
	case CMD_WRITE_AUX: /* no mouse: arrives as a keyboard's byte */
		reply(st, v);
		break;
	default:
		break; /* to the mouse that isn't there */
	}
}

static void write_data_locked(struct i8042 *k, uint8_t v)
	LOCK_NEEDS(k->host.lock)
{
	struct i8042_state *st = &k->st;

	st->last_was_command = false;
	if (st->command) {
		write_parameter_locked(k, v);
		return;
	}
	st->ctr &= (uint8_t)~CTR_KBD_OFF; /* talking to it enables it */
	ps2_write(&st->kbd, v);
}

static uint8_t read_status(const struct i8042_state *st)
{
	return (uint8_t)(STATUS_NO_INHIBIT |
			 (st->out_full ? STATUS_OUT_FULL : 0) |
			 (st->ctr & CTR_SYSTEM ? STATUS_SYSTEM : 0) |
			 (st->last_was_command ? STATUS_COMMAND : 0));
}

/* Each byte read lowers the line, so that the next one makes an edge. */
static uint8_t read_data_locked(struct i8042 *k) LOCK_NEEDS(k->host.lock)
{
	uint8_t v = k->st.out;

	k->st.out_full = false;
	drive_locked(k);
	fill(&k->st);
	drive_locked(k);
	return v;
}

static uint64_t i8042_read(struct device *d, uint32_t range, uint64_t offset,
			   uint8_t size)
{
	struct i8042 *k = (struct i8042 *)d;
	uint8_t v;

	if (size != 1 || offset)
		return UINT64_MAX;
	lock_take(&k->host.lock);
	if (range == I8042_RANGE_DATA)
		v = read_data_locked(k);
	else
		v = read_status(&k->st);
	lock_release(&k->host.lock);
	return v;
}

static void i8042_write(struct device *d, uint32_t range, uint64_t offset,
			uint8_t size, uint64_t value)
{
	struct i8042 *k = (struct i8042 *)d;

	if (size != 1 || offset)
		return;
	lock_take(&k->host.lock);
	if (range == I8042_RANGE_DATA)
		write_data_locked(k, (uint8_t)value);
	else
		write_command_locked(k, (uint8_t)value);
	drive_locked(k);
	fill(&k->st);
	drive_locked(k);
	lock_release(&k->host.lock);
}

int i8042_ctrl_alt_del(struct i8042 *k, struct err *e)
{
	struct i8042_state *st = &k->st;
	int r = 0;

	lock_take(&k->host.lock);
	if (!st->kbd.enabled || !(st->ctr & CTR_IRQ_KBD) ||
	    st->ctr & CTR_KBD_OFF)
		r = err_set(e, -ENODEV,
			    "Ctrl-Alt-Del: no driver in the guest listens to "
			    "the keyboard");
	else if (st->kbd.queued)
		r = err_set(e, -EBUSY,
			    "Ctrl-Alt-Del: the guest has not read %u earlier "
			    "bytes of the keyboard",
			    st->kbd.queued);
	if (!r) {
		ps2_ctrl_alt_del(&st->kbd);
		fill(st);
		drive_locked(k);
	}
	lock_release(&k->host.lock);
	return r;
}

static void power_on(struct i8042_state *st)
{
	*st = (struct i8042_state){ .ctr = CTR_POWER_ON, .a20 = true };
	ps2_power_on(&st->kbd);
}

static void i8042_reset(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	lock_take(&k->host.lock);
	power_on(&k->st);
	drive_locked(k);
	lock_release(&k->host.lock);
}

/* After a load the line is driven anew. */
static void i8042_resume(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	lock_take(&k->host.lock);
	fill(&k->st);
	drive_locked(k);
	lock_release(&k->host.lock);
}

static void state_sync(struct i8042_state *st, struct state_io *io)
{
	state_u8(io, &st->ctr);
	state_u8(io, &st->out);
	state_bool(io, &st->out_full);
	state_u8(io, &st->reply);
	state_bool(io, &st->reply_full);
	state_u8(io, &st->command);
	state_bool(io, &st->last_was_command);
	state_bool(io, &st->a20);
	state_bool(io, &st->break_prefix);
	ps2_sync(&st->kbd, io);
}

static void i8042_sync(struct device *d, struct state_io *io)
{
	struct i8042 *k = (struct i8042 *)d;
	struct i8042_state st = k->st;

	state_sync(&st, io);
	if (!state_is_loading(io) || io->error)
		return;
	k->st = st;
	k->host.level_known = false;
}

static bool takes_parameter(uint8_t command)
{
	return command == CMD_WRITE_CTR || command == CMD_WRITE_OUTPUT ||
	       command == CMD_WRITE_KBD || command == CMD_WRITE_AUX ||
	       command == CMD_TO_AUX;
}

static int i8042_validate(const struct device *d, struct err *e)
{
	const struct i8042_state *st = &((const struct i8042 *)d)->st;

	if (st->ctr & ~CTR_MASK)
		return err_set(e, -EINVAL, "i8042: command byte %#x", st->ctr);
	if (st->command && !takes_parameter(st->command))
		return err_set(e, -EINVAL,
			       "i8042: command %#x has no parameter",
			       st->command);
	if (!st->out_full &&
	    (st->reply_full || (st->kbd.queued && !(st->ctr & CTR_KBD_OFF))))
		return err_set(e, -EINVAL,
			       "i8042: output buffer empty, but bytes wait");
	return ps2_validate(&st->kbd, e);
}

static void i8042_describe(struct device *d, struct buf *out)
{
	struct i8042 *k = (struct i8042 *)d;
	const struct i8042_state *st = &k->st;

	lock_take(&k->host.lock);
	buf_printf(out, "command_byte=%#x\noutput_full=%d\nqueued=%u\n",
		   st->ctr, st->out_full, st->kbd.queued);
	buf_printf(out, "keyboard_enabled=%d\nleds=%u\nscan_set=%u\n",
		   st->kbd.enabled, st->kbd.leds, st->kbd.scan_set);
	lock_release(&k->host.lock);
}

static const struct device_ops ops = {
	.name = "i8042",
	.state_version = 1,
	.read = i8042_read,
	.write = i8042_write,
	.reset = i8042_reset,
	.resume = i8042_resume,
	.sync = i8042_sync,
	.validate = i8042_validate,
	.describe = i8042_describe,
};

int i8042_create(struct i8042 **out, const struct i8042_config *cfg,
		 struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return err_sys(e, -ENOMEM, "i8042");
	k->device.ops = &ops;
	k->cfg = *cfg;
	lock_init(&k->host.lock);
	k->host.level_known = true; /* a new line is low */
	power_on(&k->st);
	*out = k;
	return 0;
}

void i8042_destroy(struct i8042 *k)
{
	if (!k)
		return;
	lock_fini(&k->host.lock);
	free(k);
}

struct device *i8042_device(struct i8042 *k)
{
	return &k->device;
}
