/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the device contract test: for each device, the register
 * writes that reach each part of its state, and values that are refused.
 */
#ifndef AMBER_TESTS_UNIT_CONTRACT_ROWS_H
#define AMBER_TESTS_UNIT_CONTRACT_ROWS_H

#include "tests/unit/board.h"

#define STEPS_MAX 16

/* Register writes after power-on that make a state of their own. */
struct poke {
	uint16_t port;
	uint8_t value;
};

struct step {
	struct poke poke[STEPS_MAX]; /* ends at port 0 */
	void (*call)(struct board *b);
};

/* A byte of the saved power-on state that makes it one that can't be. */
struct impossible {
	uint32_t offset;
	uint8_t value;
	const char *says;
};

struct row {
	const char *source; /* the file in devices/ */
	const char *kind;   /* ops->name, the name of the section */
	uint32_t bytes;	    /* of the power-on state: a change of the format */
	uint32_t gsi; /* a line whose level follows from the state, or 0 */
	struct step step[STEPS_MAX];
	struct impossible impossible[STEPS_MAX];
};

#define COM(n) (PORT_COM1 + (n))
#define KEY    PORT_I8042_DATA
#define KCMD   PORT_I8042_CMD

static void type_x(struct board *b)
{
	console_input(b->console, "x", 1);
}

static void press_power(struct board *b)
{
	power_button(b->power);
}

static void change_genid(struct board *b)
{
	power_genid_changed(b->power);
}

static const struct row rows[] = {
	{
		.source = "serial.c",
		.kind = "serial",
		.bytes = 14,
		.gsi = GSI_COM1,
		.step = {
			{ .poke = { { COM(1), 0x01 } } },
			{ .poke = { { COM(1), 0x02 } } },
			{ .poke = { { COM(2), 0x01 } } },
			{ .poke = { { COM(2), 0xc1 } } },
			{ .poke = { { COM(3), 0x03 } } },
			{ .poke = { { COM(4), 0x0b } } },
			{ .poke = { { COM(4), 0x10 } } },
			{ .poke = { { COM(4), 0x10 }, { COM(0), 'L' } } },
			{ .poke = { { COM(4), 0x10 }, { COM(0), 'M' } } },
			{ .poke = { { COM(4), 0x10 },
				    { COM(0), 'L' },
				    { COM(0), 'M' } } },
			{ .poke = { { COM(7), 0x5a } } },
			{ .poke = { { COM(3), 0x80 }, { COM(0), 0x0c } } },
			{ .poke = { { COM(3), 0x80 }, { COM(1), 0x0c } } },
			{ .poke = { { COM(0), 'x' } } },
			{ .call = type_x },
		},
		.impossible = {
			{ 0, 0x10, "ier 0x10" },
			{ 1, 0x03, "fcr 0x3" },
			{ 1, 0xc0, "fcr 0xc0" },
			{ 3, 0x20, "mcr 0x20" },
			{ 7, 0x04, "line errors 0x4" },
			{ 8, 0x10, "msr delta 0x10" },
			{ 9, 0x02, "section serial" },
			{ 10, 17, "section serial" },
			{ 13, 1, "section serial" },
		},
	},
	{
		.source = "i8042.c",
		.kind = "i8042",
		.bytes = 19,
		.gsi = GSI_KEYBOARD,
		.step = {
			{ .poke = { { KCMD, 0x60 } } },
			{ .poke = { { KCMD, 0xd4 } } },
			{ .poke = { { KCMD, 0x60 }, { KEY, 0x45 } } },
			{ .poke = { { KCMD, 0xd1 }, { KEY, 0x01 } } },
			{ .poke = { { KCMD, 0xaa } } },
			{ .poke = { { KCMD, 0xaa }, { KCMD, 0x20 } } },
			{ .poke = { { KCMD, 0xa8 } } },
			{ .poke = { { KEY, 0xed } } },
			{ .poke = { { KEY, 0xed }, { KEY, 0x07 } } },
			{ .poke = { { KEY, 0xf3 }, { KEY, 0x11 } } },
			{ .poke = { { KEY, 0xf0 }, { KEY, 0x03 } } },
			{ .poke = { { KEY, 0xf4 } } },
			{ .poke = { { KEY, 0xee } } },
			{ .poke = { { KEY, 0xee }, { KEY, 0xee } } },
			{ .poke = { { KEY, 0xff } } },
		},
		.impossible = {
			{ 0, 0x80, "command byte 0x80" },
			{ 2, 0x02, "section i8042" },
			{ 4, 0x01, "output buffer empty" },
			{ 5, 0x20, "command 0x20" },
			{ 9, 0xf4, "command 0xf4" },
			{ 11, 0, "set 0" },
			{ 11, 4, "set 4" },
			{ 12, 8, "leds 0x8" },
			{ 13, 0x80, "rate 0x80" },
			{ 15, 33, "section i8042" },
		},
	},
	{
		.source = "power.c",
		.kind = "power",
		.bytes = 5,
		.step = {
			{ .poke = { { PORT_SLEEP_CONTROL, 0x04 } } },
			{ .poke = { { PORT_SLEEP_CONTROL, 0x34 } } },
			{ .call = press_power },
			{ .call = change_genid },
		},
		.impossible = {
			{ 0, 8, "sleep type 8" },
			{ 1, 4, "events in 0x4" },
			{ 4, 0x80, "events in 0x80000000" },
		},
	},
	{
		.source = "reset_port.c",
		.kind = "reset_port",
		.bytes = 1,
		.step = { { .poke = { { PORT_RESET_CONTROL, 0x02 } } },
			  { .poke = { { PORT_RESET_CONTROL, 0x0e } } } },
		.impossible = { { 0, 0x01, "value 0x1" },
				{ 0, 0x10, "value 0x10" } },
	},
	{
		.source = "pvpanic.c",
		.kind = "pvpanic",
		.bytes = 1,
		.step = { { .poke = { { PORT_PVPANIC, 1 } } },
			  { .poke = { { PORT_PVPANIC, 2 } } } },
		.impossible = { { 0, 4, "events in 0x4" } },
	},
	{
		.source = "debug_exit.c",
		.kind = "debug_exit",
		.bytes = 2,
		.step = { { .poke = { { PORT_DEBUG_EXIT, 0 } } },
			  { .poke = { { PORT_DEBUG_EXIT, 9 } } } },
		.impossible = { { 0, 2, "section debug_exit" },
				{ 1, 1, "not written" } },
	},
	{
		.source = "milestone.c",
		.kind = "milestone",
		.bytes = 2,
		.step = { { .poke = { { PORT_MILESTONE, 0 } } },
			  { .poke = { { PORT_MILESTONE, 3 } } } },
		.impossible = { { 0, 2, "section milestone" },
				{ 1, 1, "not written" } },
	},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

#endif
