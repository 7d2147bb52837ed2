/* SPDX-License-Identifier: Apache-2.0 */
/* The one-register ports: 0xcf9, pvpanic, debug exit, milestone. */
#include "tests/unit/board.h"
#include "tests/unit/suite.h"

static struct board b;

static void fresh(void)
{
	board_init(&b);
}

START_TEST(cf9_resets_when_its_trigger_bit_is_written)
{
	unsigned int v;

	fresh();
	for (v = 0; v < 256; v++) {
		b.events.count = 0;
		board_out(&b, PORT_RESET_CONTROL, (uint8_t)v);
		ck_assert_uint_eq(b.events.count, !!(v & 4));
		ck_assert_uint_eq(board_in(&b, PORT_RESET_CONTROL), v & 0x0e);
	}
	ck_assert_int_eq(b.events.kind, GUEST_RESET);
	ck_assert_uint_eq(b.events.value, GUEST_RESET_CF9);
	board_fini(&b);
}
END_TEST

START_TEST(linux_resets_through_cf9_in_two_steps)
{
	uint8_t v;

	fresh();
	v = (uint8_t)(board_in(&b, PORT_RESET_CONTROL) & ~0x0e);
	board_out(&b, PORT_RESET_CONTROL, v | 0x02);
	ck_assert_uint_eq(b.events.count, 0);
	board_out(&b, PORT_RESET_CONTROL, v | 0x0e);
	ck_assert_uint_eq(b.events.count, 1);
	board_fini(&b);
}
END_TEST

START_TEST(pvpanic_reports_what_it_supports)
{
	fresh();
	ck_assert_uint_eq(board_in(&b, PORT_PVPANIC),
			  PVPANIC_PANICKED | PVPANIC_CRASHLOADED);
	board_fini(&b);
}
END_TEST

START_TEST(pvpanic_tells_a_panic_from_a_crash_kernel)
{
	fresh();
	board_out(&b, PORT_PVPANIC, PVPANIC_CRASHLOADED);
	ck_assert_int_eq(b.events.kind, GUEST_CRASH_LOADED);
	board_out(&b, PORT_PVPANIC, PVPANIC_PANICKED);
	ck_assert_int_eq(b.events.kind, GUEST_PANIC);
	board_out(&b, PORT_PVPANIC, 3);
	ck_assert_int_eq(b.events.kind, GUEST_PANIC);
	ck_assert_uint_eq(b.events.count, 3);
	board_out(&b, PORT_PVPANIC, 0xfc);
	board_out(&b, PORT_PVPANIC, 0);
	ck_assert_uint_eq(b.events.count, 3);
	board_fini(&b);
}
END_TEST

START_TEST(debug_exit_gives_the_low_byte_of_any_width)
{
	uint64_t v;

	fresh();
	board_out(&b, PORT_DEBUG_EXIT, 7);
	ck_assert_int_eq(b.events.kind, GUEST_DEBUG_EXIT);
	ck_assert_uint_eq(b.events.value, 7);
	bus_write(&b.port, PORT_DEBUG_EXIT, 2, 0x1234);
	ck_assert_uint_eq(b.events.value, 0x34);
	bus_write(&b.port, PORT_DEBUG_EXIT, 4, 0x12345600);
	ck_assert_uint_eq(b.events.value, 0);
	ck_assert_uint_eq(b.events.count, 3);
	board_out(&b, PORT_DEBUG_EXIT + 1, 9);
	board_out(&b, PORT_DEBUG_EXIT + 3, 9);
	ck_assert_uint_eq(b.events.count, 3);
	bus_read(&b.port, PORT_DEBUG_EXIT, 4, &v);
	ck_assert_uint_eq(v, UINT32_MAX);
	board_fini(&b);
}
END_TEST

START_TEST(every_milestone_is_passed_on)
{
	unsigned int v;

	fresh();
	for (v = 0; v < 256; v++) {
		board_out(&b, PORT_MILESTONE, (uint8_t)v);
		ck_assert_int_eq(b.events.kind, GUEST_MILESTONE);
		ck_assert_uint_eq(b.events.value, v);
	}
	ck_assert_uint_eq(b.events.count, 256);
	ck_assert_uint_eq(board_in(&b, PORT_MILESTONE), 0xff);
	board_fini(&b);
}
END_TEST

START_TEST(the_last_milestone_is_described_until_a_reset)
{
	struct device *d;
	struct buf out;

	fresh();
	d = milestone_device(b.milestone);
	buf_init(&out, 256);
	board_out(&b, PORT_MILESTONE, MILESTONE_READY);
	d->ops->describe(d, &out);
	ck_assert_str_eq(buf_text(&out), "written=1\nvalue=3\n");
	buf_reset(&out);
	d->ops->reset(d);
	d->ops->describe(d, &out);
	ck_assert_str_eq(buf_text(&out), "written=0\nvalue=0\n");
	buf_fini(&out);
	board_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		cf9_resets_when_its_trigger_bit_is_written,
		linux_resets_through_cf9_in_two_steps,
		pvpanic_reports_what_it_supports,
		pvpanic_tells_a_panic_from_a_crash_kernel,
		debug_exit_gives_the_low_byte_of_any_width,
		every_milestone_is_passed_on,
		the_last_milestone_is_described_until_a_reset,
	};

	return SUITE_RUN("ports", tests);
}
