/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI sleep, reset and event registers. */
#include <pthread.h>

#include "tests/unit/board.h"
#include "tests/unit/suite.h"

#define EDGES (b.irq[GSI_GED].rises)

static struct board b;

static void fresh(void)
{
	board_init(&b);
}

static uint32_t events(void)
{
	uint64_t v;

	ck_assert(bus_read(&b.port, PORT_GED_EVENTS, 4, &v));
	return (uint32_t)v;
}

START_TEST(only_s5_with_sleep_enable_powers_off)
{
	unsigned int v;

	fresh();
	for (v = 0; v < 256; v++) {
		b.events.count = 0;
		board_out(&b, PORT_SLEEP_CONTROL, (uint8_t)v);
		ck_assert_uint_eq(b.events.count, (v & 0x3c) == 0x34);
		ck_assert_uint_eq(board_in(&b, PORT_SLEEP_CONTROL), v & 0x1c);
	}
	board_out(&b, PORT_SLEEP_CONTROL, 0x34);
	ck_assert_int_eq(b.events.kind, GUEST_POWEROFF);
	board_fini(&b);
}
END_TEST

START_TEST(sleep_status_never_reports_a_wake)
{
	fresh();
	board_out(&b, PORT_SLEEP_STATUS, 0xff);
	ck_assert_uint_eq(board_in(&b, PORT_SLEEP_STATUS), 0);
	ck_assert_uint_eq(b.events.count, 0);
	board_fini(&b);
}
END_TEST

START_TEST(only_the_reset_value_resets)
{
	unsigned int v;

	fresh();
	for (v = 0; v < 256; v++)
		board_out(&b, PORT_ACPI_RESET, (uint8_t)v);
	ck_assert_uint_eq(b.events.count, 1);
	ck_assert_int_eq(b.events.kind, GUEST_RESET);
	ck_assert_uint_eq(b.events.value, GUEST_RESET_ACPI);
	ck_assert_uint_eq(board_in(&b, PORT_ACPI_RESET), 0xff);
	board_fini(&b);
}
END_TEST

START_TEST(an_event_is_pending_until_it_is_read_once)
{
	fresh();
	ck_assert_uint_eq(events(), 0);
	power_button(b.power);
	ck_assert(b.irq[GSI_GED].level);
	power_genid_changed(b.power);
	ck_assert(b.irq[GSI_GED].level);
	ck_assert_uint_eq(events(), GED_POWER_BUTTON | GED_VM_GENID);
	ck_assert(!b.irq[GSI_GED].level);
	ck_assert_uint_eq(events(), 0);
	board_fini(&b);
}
END_TEST

START_TEST(a_second_press_interrupts_again)
{
	fresh();
	power_button(b.power);
	power_button(b.power);
	ck_assert_uint_eq(EDGES, 2);
	ck_assert_uint_eq(events(), GED_POWER_BUTTON);
	board_fini(&b);
}
END_TEST

START_TEST(other_widths_neither_read_nor_clear_events)
{
	uint64_t v, port;

	fresh();
	power_button(b.power);
	for (port = PORT_GED_EVENTS; port < PORT_GED_EVENTS + 4; port++)
		ck_assert_uint_eq(board_in(&b, port), 0xff);
	bus_read(&b.port, PORT_GED_EVENTS, 2, &v);
	ck_assert_uint_eq(v, 0xffff);
	bus_read(&b.port, PORT_SLEEP_CONTROL, 8, &v);
	ck_assert_uint_eq(v, UINT64_MAX);
	bus_write(&b.port, PORT_GED_EVENTS, 4, UINT32_MAX);
	bus_write(&b.port, PORT_SLEEP_CONTROL, 2, 0x0134);
	ck_assert_uint_eq(b.events.count, 0);
	ck_assert_uint_eq(events(), GED_POWER_BUTTON);
	board_fini(&b);
}
END_TEST

START_TEST(reset_forgets_pending_events)
{
	struct device *d;

	fresh();
	d = power_device(b.power);
	power_button(b.power);
	d->ops->reset(d);
	ck_assert(!b.irq[GSI_GED].level);
	ck_assert_uint_eq(events(), 0);
	board_fini(&b);
}
END_TEST

#define PRESSES 20000

static void *press(void *ctx)
{
	int i;

	for (i = 0; i < PRESSES; i++)
		power_button(ctx);
	return NULL;
}

START_TEST(presses_while_the_guest_reads_are_never_lost)
{
	pthread_t thread;
	uint32_t last = 0;
	int i;

	fresh();
	ck_assert_int_eq(pthread_create(&thread, NULL, press, b.power), 0);
	for (i = 0; i < PRESSES; i++)
		last |= events();
	pthread_join(thread, NULL);
	last |= events();
	ck_assert_uint_eq(last, GED_POWER_BUTTON);
	ck_assert_uint_eq(EDGES, PRESSES);
	board_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		only_s5_with_sleep_enable_powers_off,
		sleep_status_never_reports_a_wake,
		only_the_reset_value_resets,
		an_event_is_pending_until_it_is_read_once,
		a_second_press_interrupts_again,
		other_widths_neither_read_nor_clear_events,
		reset_forgets_pending_events,
		presses_while_the_guest_reads_are_never_lost,
	};

	return SUITE_RUN("power", tests);
}
