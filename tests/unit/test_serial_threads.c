/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UART between two threads: one drives its registers like a vCPU with
 * an interrupt-driven driver, the other reads output and feeds input like
 * the loop. Meant for TSan, and for lost interrupts.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "devices/console.h"
#include "devices/serial.h"
#include "tests/unit/suite.h"

#define REG_DATA 0
#define REG_IER	 1
#define REG_FCR	 2
#define REG_LSR	 5
#define BYTES	 50000

struct rig {
	struct console *console;
	struct serial *serial;
	bool level;	     /* guarded by the device's lock */
	atomic_uint edges;   /* latched until the vCPU takes them */
	atomic_uint outputs; /* announcements not yet dealt with */
	uint64_t received;   /* vCPU thread, then the joiner */
	uint64_t wrong;
};

static void set_irq(void *ctx, uint32_t gsi, bool level)
{
	struct rig *r = ctx;

	(void)gsi;
	if (level && !r->level)
		atomic_fetch_add(&r->edges, 1);
	r->level = level;
}

static void on_output(void *ctx)
{
	atomic_store(&((struct rig *)ctx)->outputs, 1);
}

static uint8_t in(struct rig *r, uint64_t reg)
{
	struct device *d = serial_device(r->serial);

	return (uint8_t)d->ops->read(d, 0, reg, 1);
}

static void out(struct rig *r, uint64_t reg, uint8_t v)
{
	struct device *d = serial_device(r->serial);

	d->ops->write(d, 0, reg, 1, v);
}

/* An interrupt: echoes what came. */
static void interrupt(struct rig *r)
{
	while (!(in(r, REG_FCR) & 1)) {
		while (in(r, REG_LSR) & 1) {
			uint8_t byte = in(r, REG_DATA);

			r->wrong += byte != (uint8_t)(r->received % 253);
			r->received++;
			out(r, REG_DATA, byte);
		}
	}
}

static void *vcpu_like(void *ctx)
{
	struct rig *r = ctx;

	while (r->received < BYTES)
		if (atomic_exchange(&r->edges, 0))
			interrupt(r);
	return NULL;
}

/* Reads the echo after an announcement; returns how many were wrong. */
static uint64_t read_echo(struct rig *r, uint64_t *cursor)
{
	uint64_t wrong = 0, i;
	uint8_t bytes[128];
	size_t n;

	if (!atomic_exchange(&r->outputs, 0))
		return 0;
	do {
		n = console_read(r->console, cursor, bytes, sizeof(bytes),
				 NULL);
		for (i = 0; i < n; i++)
			wrong += bytes[i] != (*cursor - n + i) % 253;
	} while (!console_ack(r->console, *cursor));
	return wrong;
}

START_TEST(an_echo_through_interrupts_loses_and_reorders_nothing)
{
	struct rig r = { .level = false };
	struct console_config cc = { .on_output = on_output, .ctx = &r };
	uint64_t cursor = 0, sent = 0, wrong = 0;
	struct buf text;
	pthread_t thread;

	ck_assert_int_eq(console_create(&r.console, &cc, NULL), 0);
	ck_assert_int_eq(serial_create(&r.serial,
				       &(struct serial_config){
					       .irq = { set_irq, &r, 4 },
					       .console = r.console },
				       NULL),
			 0);
	buf_init(&text, 4096);
	out(&r, REG_FCR, 0x01); /* before any input: it empties the FIFO */
	out(&r, REG_IER, 0x03);
	ck_assert_int_eq(pthread_create(&thread, NULL, vcpu_like, &r), 0);
	while (cursor < BYTES) {
		uint8_t byte = (uint8_t)(sent % 253);

		if (sent < BYTES)
			sent += console_input(r.console, &byte, 1);
		wrong += read_echo(&r, &cursor);
		buf_reset(&text);
		serial_device(r.serial)->ops->describe(serial_device(r.serial),
						       &text);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(r.wrong, 0);
	ck_assert_uint_eq(r.received, BYTES);
	buf_fini(&text);
	serial_destroy(r.serial);
	console_destroy(r.console);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		an_echo_through_interrupts_loses_and_reorders_nothing,
	};

	return SUITE_RUN("serial_threads", tests);
}
