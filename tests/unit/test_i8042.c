/* SPDX-License-Identifier: Apache-2.0 */
/* Keyboard controller: what drivers ask at boot, Ctrl-Alt-Del, reset. */
#include "tests/unit/board.h"
#include "tests/unit/suite.h"

#define DATA  PORT_I8042_DATA
#define CMD   PORT_I8042_CMD
#define LEVEL (b.irq[GSI_KEYBOARD].level)
#define RISES (b.irq[GSI_KEYBOARD].rises)

static struct board b;

static void fresh(void)
{
	board_init(&b);
}

static bool full(void)
{
	return board_in(&b, CMD) & 0x01;
}

/* A controller command that answers with one byte. */
static uint8_t ask(uint8_t command)
{
	board_out(&b, CMD, command);
	ck_assert(full());
	return board_in(&b, DATA);
}

/* A keyboard command, or parameter, that is acknowledged. */
static void tell(uint8_t byte)
{
	board_out(&b, DATA, byte);
	ck_assert(full());
	ck_assert_uint_eq(board_in(&b, DATA), 0xfa);
}

static void write_ctr(uint8_t ctr)
{
	board_out(&b, CMD, 0x60);
	board_out(&b, DATA, ctr);
}

/* What a keyboard driver has done once it listens. */
static void start_driver(uint8_t ctr)
{
	fresh();
	write_ctr(ctr);
	tell(0xf4);
	ck_assert(!full());
}

/* The next bytes from the keyboard are exactly these. */
static void expect(const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		ck_assert(full());
		ck_assert_uint_eq(board_in(&b, DATA), bytes[i]);
	}
	ck_assert(!full());
}

START_TEST(power_on_is_quiet_unlocked_and_translating)
{
	fresh();
	ck_assert_uint_eq(board_in(&b, CMD), 0x14);
	ck_assert_uint_eq(ask(0x20), 0x64);
	ck_assert(!LEVEL);
	board_fini(&b);
}
END_TEST

START_TEST(self_and_interface_tests_pass)
{
	fresh();
	ck_assert_uint_eq(ask(0xaa), 0x55);
	ck_assert_uint_eq(ask(0xab), 0x00);
	ck_assert_uint_eq(board_in(&b, CMD) & 0x08, 0x08);
	board_fini(&b);
}
END_TEST

START_TEST(the_command_byte_reads_back)
{
	fresh();
	write_ctr(0x41);
	ck_assert_uint_eq(ask(0x20), 0x41);
	board_out(&b, CMD, 0xad);
	ck_assert_uint_eq(ask(0x20), 0x51);
	board_out(&b, CMD, 0xae);
	ck_assert_uint_eq(ask(0x20), 0x41);
	board_out(&b, CMD, 0xa7);
	ck_assert_uint_eq(ask(0x20), 0x61);
	board_out(&b, CMD, 0xa8);
	ck_assert_uint_eq(ask(0x20), 0x41);
	write_ctr(0xff);
	ck_assert_uint_eq(ask(0x20), 0x7f);
	board_fini(&b);
}
END_TEST

START_TEST(a_probe_for_a_mouse_is_answered_at_once_with_no)
{
	fresh();
	board_out(&b, CMD, 0xd3); /* loop: does not come back as a mouse's */
	board_out(&b, DATA, 0x5a);
	ck_assert_uint_eq(board_in(&b, CMD) & 0x21, 0x01);
	ck_assert_uint_eq(board_in(&b, DATA), 0x5a);
	ck_assert_uint_eq(ask(0xa9), 0x01);
	board_out(&b, CMD, 0xd4);
	board_out(&b, DATA, 0xff);
	ck_assert(!full());
	board_fini(&b);
}
END_TEST

START_TEST(the_keyboard_answers_a_probing_driver)
{
	fresh();
	board_out(&b, DATA, 0xff);
	expect((uint8_t[]){ 0xfa, 0xaa }, 2);
	tell(0xf5);
	board_out(&b, DATA, 0xf2);
	expect((uint8_t[]){ 0xfa, 0xab, 0x41 }, 3); /* translated */
	write_ctr(0x04);
	board_out(&b, DATA, 0xf2);
	expect((uint8_t[]){ 0xfa, 0xab, 0x83 }, 3);
	tell(0xed);
	tell(0x07);
	tell(0xf3);
	tell(0x00);
	tell(0xf6);
	board_out(&b, DATA, 0xee);
	expect((uint8_t[]){ 0xee }, 1);
	board_out(&b, DATA, 0xfe); /* resend */
	expect((uint8_t[]){ 0xee }, 1);
	board_out(&b, DATA, 0x01); /* no command */
	expect((uint8_t[]){ 0xfe }, 1);
	board_fini(&b);
}
END_TEST

START_TEST(scan_code_sets_are_selected_and_reported)
{
	fresh();
	write_ctr(0x04);
	tell(0xf0);
	board_out(&b, DATA, 0x00);
	expect((uint8_t[]){ 0xfa, 0x02 }, 2);
	tell(0xf0);
	tell(0x03);
	tell(0xf0);
	board_out(&b, DATA, 0x00);
	expect((uint8_t[]){ 0xfa, 0x03 }, 2);
	tell(0xf0);
	board_out(&b, DATA, 0x04);
	expect((uint8_t[]){ 0xfe }, 1);
	board_fini(&b);
}
END_TEST

START_TEST(a_command_replaces_an_awaited_parameter)
{
	fresh();
	tell(0xed);
	tell(0xf4);
	board_out(&b, DATA, 0x07);
	expect((uint8_t[]){ 0xfe }, 1);
	board_fini(&b);
}
END_TEST

START_TEST(ctrl_alt_del_arrives_translated)
{
	const uint8_t keys[] = {
		0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d
	};
	unsigned int before;
	struct err e = ERR_NONE;

	start_driver(0x45);
	before = RISES;
	ck_assert_msg(!i8042_ctrl_alt_del(b.i8042, &e), "%s", e.text);
	ck_assert(LEVEL);
	expect(keys, sizeof(keys));
	ck_assert(!LEVEL);
	ck_assert_uint_eq(RISES - before, sizeof(keys));
	board_fini(&b);
}
END_TEST

START_TEST(ctrl_alt_del_arrives_in_set_2_untranslated)
{
	const uint8_t keys[] = { 0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
				 0x71, 0xf0, 0x11, 0xf0, 0x14 };

	start_driver(0x05);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, NULL), 0);
	expect(keys, sizeof(keys));
	board_fini(&b);
}
END_TEST

START_TEST(ctrl_alt_del_arrives_in_sets_1_and_3)
{
	const uint8_t set1[] = {
		0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d
	};
	const uint8_t set3[] = { 0x11, 0x19, 0x64, 0xf0, 0x64,
				 0xf0, 0x19, 0xf0, 0x11 };

	start_driver(0x05);
	tell(0xf0);
	tell(0x01);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, NULL), 0);
	expect(set1, sizeof(set1));
	tell(0xf0);
	tell(0x03);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, NULL), 0);
	expect(set3, sizeof(set3));
	board_fini(&b);
}
END_TEST

START_TEST(ctrl_alt_del_without_a_listener_says_so_and_queues_nothing)
{
	struct err e = ERR_NONE;

	fresh();
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, &e), -ENODEV);
	ck_assert_ptr_nonnull(strstr(e.text, "no driver"));
	ck_assert(!full());
	board_fini(&b);
	start_driver(0x44); /* interrupt off */
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, &e), -ENODEV);
	board_fini(&b);
	start_driver(0x45);
	board_out(&b, CMD, 0xad); /* keyboard off */
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, &e), -ENODEV);
	tell(0xf5);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, &e), -ENODEV);
	board_fini(&b);
}
END_TEST

START_TEST(ctrl_alt_del_twice_unread_is_busy)
{
	struct err e = ERR_NONE;

	start_driver(0x45);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, NULL), 0);
	ck_assert_int_eq(i8042_ctrl_alt_del(b.i8042, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "not read"));
	board_fini(&b);
}
END_TEST

static unsigned int resets_after(uint8_t command, int data)
{
	unsigned int before = b.events.count;

	board_out(&b, CMD, command);
	if (data >= 0)
		board_out(&b, DATA, (uint8_t)data);
	if (b.events.count != before) {
		ck_assert_int_eq(b.events.kind, GUEST_RESET);
		ck_assert_uint_eq(b.events.value, GUEST_RESET_I8042);
	}
	return b.events.count - before;
}

START_TEST(the_reset_line_resets_however_it_is_pulled)
{
	fresh();
	ck_assert_uint_eq(resets_after(0xfe, -1), 1);
	ck_assert_uint_eq(resets_after(0xf0, -1), 1);
	ck_assert_uint_eq(resets_after(0xff, -1), 0);
	ck_assert_uint_eq(resets_after(0xfd, -1), 0);
	ck_assert_uint_eq(resets_after(0xd1, 0x02), 1);
	ck_assert_uint_eq(resets_after(0xd1, 0x03), 0);
	ck_assert_uint_eq(resets_after(0x60, 0x00), 0);
	board_fini(&b);
}
END_TEST

START_TEST(the_output_port_shows_a20)
{
	fresh();
	ck_assert_uint_eq(ask(0xd0), 0x03);
	board_out(&b, CMD, 0xd1);
	board_out(&b, DATA, 0x01);
	ck_assert_uint_eq(ask(0xd0), 0x01);
	ck_assert_uint_eq(ask(0xc0), 0x80);
	board_out(&b, CMD, 0xd2);
	board_out(&b, DATA, 0x99);
	expect((uint8_t[]){ 0x99 }, 1);
	board_fini(&b);
}
END_TEST

START_TEST(a_flood_of_unread_commands_stays_bounded)
{
	int i, n = 0;

	fresh();
	for (i = 0; i < 100000; i++)
		board_out(&b, DATA, 0xee);
	while (full()) {
		ck_assert_uint_eq(board_in(&b, DATA), 0xee);
		n++;
	}
	ck_assert_int_eq(n, 33); /* the queue and the output buffer */
	board_fini(&b);
}
END_TEST

START_TEST(every_byte_makes_an_edge_when_the_interrupt_is_on)
{
	fresh();
	write_ctr(0x45);
	board_out(&b, DATA, 0xff);
	ck_assert_uint_eq(RISES, 1);
	board_in(&b, DATA);
	ck_assert_uint_eq(RISES, 2);
	board_in(&b, DATA);
	ck_assert(!LEVEL);
	board_out(&b, DATA, 0xee);
	write_ctr(0x44);
	ck_assert(!LEVEL);
	write_ctr(0x45);
	ck_assert(LEVEL);
	board_fini(&b);
}
END_TEST

START_TEST(wide_accesses_are_ignored)
{
	uint64_t v;

	fresh();
	bus_write(&b.port, DATA, 2, 0xfefe);
	ck_assert(!bus_read(&b.port, CMD, 4, &v));
	ck_assert_uint_eq(v, UINT32_MAX);
	ck_assert(!full());
	ck_assert_uint_eq(b.events.count, 0);
	board_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		power_on_is_quiet_unlocked_and_translating,
		self_and_interface_tests_pass,
		the_command_byte_reads_back,
		a_probe_for_a_mouse_is_answered_at_once_with_no,
		the_keyboard_answers_a_probing_driver,
		scan_code_sets_are_selected_and_reported,
		a_command_replaces_an_awaited_parameter,
		ctrl_alt_del_arrives_translated,
		ctrl_alt_del_arrives_in_set_2_untranslated,
		ctrl_alt_del_arrives_in_sets_1_and_3,
		ctrl_alt_del_without_a_listener_says_so_and_queues_nothing,
		ctrl_alt_del_twice_unread_is_busy,
		the_reset_line_resets_however_it_is_pulled,
		the_output_port_shows_a20,
		a_flood_of_unread_commands_stays_bounded,
		every_byte_makes_an_edge_when_the_interrupt_is_on,
		wide_accesses_are_ignored,
	};

	return SUITE_RUN("i8042", tests);
}
