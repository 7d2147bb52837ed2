/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A: registers, interrupts, loop-back, what drivers probe. */
#include "tests/unit/board.h"
#include "tests/unit/suite.h"

#define THR   (PORT_COM1 + 0)
#define RBR   (PORT_COM1 + 0)
#define IER   (PORT_COM1 + 1)
#define IIR   (PORT_COM1 + 2)
#define FCR   (PORT_COM1 + 2)
#define LCR   (PORT_COM1 + 3)
#define MCR   (PORT_COM1 + 4)
#define LSR   (PORT_COM1 + 5)
#define MSR   (PORT_COM1 + 6)
#define SCR   (PORT_COM1 + 7)
#define LEVEL (b.irq[GSI_COM1].level)
#define RISES (b.irq[GSI_COM1].rises)

static struct board b;

static void input(const char *text)
{
	console_input(b.console, text, strlen(text));
}

static void fresh(void)
{
	board_init(&b);
}

START_TEST(power_on_is_idle_with_a_sane_divisor)
{
	fresh();
	ck_assert_uint_eq(board_in(&b, IER), 0);
	ck_assert_uint_eq(board_in(&b, IIR), 0x01);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	ck_assert_uint_eq(board_in(&b, MSR), 0xb0);
	ck_assert_uint_eq(board_in(&b, RBR), 0);
	board_out(&b, LCR, 0x80);
	ck_assert_uint_eq(board_in(&b, THR), 1);
	ck_assert_uint_eq(board_in(&b, IER), 0);
	ck_assert(!LEVEL);
	board_fini(&b);
}
END_TEST

START_TEST(what_is_written_to_thr_is_in_the_console)
{
	uint64_t cursor = 0;
	char out[8];

	fresh();
	board_out(&b, THR, 'o');
	board_out(&b, THR, 'k');
	ck_assert_uint_eq(console_read(b.console, &cursor, out, 8, NULL), 2);
	ck_assert_mem_eq(out, "ok", 2);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	board_fini(&b);
}
END_TEST

START_TEST(the_divisor_hides_data_and_ier)
{
	fresh();
	board_out(&b, LCR, 0x83);
	board_out(&b, THR, 0x0c);
	board_out(&b, IER, 0x01);
	ck_assert_uint_eq(board_in(&b, THR), 0x0c);
	ck_assert_uint_eq(board_in(&b, IER), 0x01);
	ck_assert_uint_eq(console_position(b.console), 0);
	board_out(&b, LCR, 0x03);
	ck_assert_uint_eq(board_in(&b, IER), 0);
	board_out(&b, IER, 0xff);
	ck_assert_uint_eq(board_in(&b, IER), 0x0f);
	board_fini(&b);
}
END_TEST

/* What Linux's 8250 driver does to recognise a plain 16550A. */
START_TEST(a_probing_driver_finds_a_16550a)
{
	fresh();
	board_out(&b, IER, 0x00);
	ck_assert_uint_eq(board_in(&b, IER) & 0x0f, 0x00);
	board_out(&b, IER, 0x0f);
	ck_assert_uint_eq(board_in(&b, IER), 0x0f);
	board_out(&b, IER, 0x00);
	board_out(&b, MCR, 0x1a);
	ck_assert_uint_eq(board_in(&b, MSR) & 0xf0, 0x90);
	board_out(&b, MCR, 0x00);
	board_out(&b, LCR, 0xbf);
	board_out(&b, FCR, 0x00);
	board_out(&b, LCR, 0x00);
	board_out(&b, FCR, 0x01);
	ck_assert_uint_eq(board_in(&b, IIR) >> 6, 3);
	board_out(&b, LCR, 0x80); /* no enhanced feature register */
	ck_assert_uint_ne(board_in(&b, FCR), 0);
	board_out(&b, FCR, 0x21); /* no 64-byte FIFO */
	ck_assert_uint_eq(board_in(&b, IIR) & 0x20, 0);
	board_out(&b, LCR, 0x00);
	board_out(&b, IER, 0x40); /* no XScale unit enable */
	ck_assert_uint_eq(board_in(&b, IER), 0);
	board_out(&b, SCR, 0x5a);
	ck_assert_uint_eq(board_in(&b, SCR), 0x5a);
	board_fini(&b);
}
END_TEST

START_TEST(without_a_fifo_one_byte_is_held)
{
	fresh();
	input("ab");
	ck_assert_uint_eq(board_in(&b, LSR), 0x61);
	ck_assert_uint_eq(console_input_room(b.console),
			  CONSOLE_INPUT_BYTES - 1);
	ck_assert_uint_eq(board_in(&b, RBR), 'a');
	ck_assert_uint_eq(board_in(&b, RBR), 'b');
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	board_fini(&b);
}
END_TEST

START_TEST(the_fifo_holds_sixteen_and_the_queue_the_rest)
{
	int i;

	fresh();
	board_out(&b, FCR, 0x01);
	input("0123456789abcdefgh");
	ck_assert_uint_eq(console_input_room(b.console),
			  CONSOLE_INPUT_BYTES - 2);
	for (i = 0; i < 18; i++)
		ck_assert_uint_eq(board_in(&b, RBR), "0123456789abcdefgh"[i]);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	board_fini(&b);
}
END_TEST

START_TEST(clearing_or_toggling_the_fifo_empties_it)
{
	fresh();
	board_out(&b, FCR, 0x01);
	input("abc");
	board_out(&b, FCR, 0x03);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	input("abc");
	board_out(&b, FCR, 0x00);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	ck_assert_uint_eq(board_in(&b, IIR), 0x01);
	input("d");
	board_out(&b, FCR, 0x02); /* without the enable bit: ignored */
	ck_assert_uint_eq(board_in(&b, RBR), 'd');
	board_fini(&b);
}
END_TEST

START_TEST(received_data_interrupts_until_it_is_read)
{
	fresh();
	board_out(&b, IER, 0x01);
	ck_assert(!LEVEL);
	input("x");
	ck_assert(LEVEL);
	ck_assert_uint_eq(board_in(&b, IIR), 0x04);
	ck_assert(LEVEL);
	board_in(&b, RBR);
	ck_assert(!LEVEL);
	ck_assert_uint_eq(board_in(&b, IIR), 0x01);
	board_fini(&b);
}
END_TEST

START_TEST(fewer_bytes_than_the_trigger_are_a_timeout)
{
	fresh();
	board_out(&b, IER, 0x01);
	board_out(&b, FCR, 0x41); /* trigger at 4 */
	input("abc");
	ck_assert_uint_eq(board_in(&b, IIR), 0xcc);
	input("d");
	ck_assert_uint_eq(board_in(&b, IIR), 0xc4);
	board_fini(&b);
}
END_TEST

START_TEST(an_empty_transmitter_interrupts_when_enabled_and_once_per_write)
{
	fresh();
	board_out(&b, IER, 0x02);
	ck_assert(LEVEL);
	ck_assert_uint_eq(board_in(&b, IIR), 0x02);
	ck_assert(!LEVEL);
	ck_assert_uint_eq(board_in(&b, IIR), 0x01);
	board_out(&b, THR, 'x');
	ck_assert(LEVEL);
	ck_assert_uint_eq(RISES, 2);
	ck_assert_uint_eq(board_in(&b, IIR), 0x02);
	board_out(&b, IER, 0x02); /* no change of the bit: nothing new */
	ck_assert(!LEVEL);
	board_out(&b, IER, 0x00);
	board_out(&b, IER, 0x02);
	ck_assert(LEVEL);
	board_fini(&b);
}
END_TEST

START_TEST(interrupts_are_identified_by_priority)
{
	fresh();
	board_out(&b, MCR, 0x10);
	board_out(&b, THR, 'a');
	board_out(&b, THR, 'b'); /* overrun */
	board_out(&b, IER, 0x0f);
	ck_assert_uint_eq(board_in(&b, IIR), 0x06);
	ck_assert_uint_eq(board_in(&b, LSR), 0x63);
	ck_assert_uint_eq(board_in(&b, IIR), 0x04);
	ck_assert_uint_eq(board_in(&b, RBR), 'b');
	ck_assert_uint_eq(board_in(&b, IIR), 0x02);
	ck_assert_uint_eq(board_in(&b, IIR), 0x00);
	ck_assert_uint_eq(board_in(&b, MSR), 0x0b);
	ck_assert_uint_eq(board_in(&b, IIR), 0x01);
	ck_assert(!LEVEL);
	board_fini(&b);
}
END_TEST

START_TEST(loopback_returns_bytes_and_hides_the_outside)
{
	fresh();
	board_out(&b, MCR, 0x10);
	board_out(&b, FCR, 0x01);
	input("z");
	board_out(&b, THR, 'L');
	ck_assert_uint_eq(console_position(b.console), 0);
	ck_assert_uint_eq(board_in(&b, RBR), 'L');
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	board_out(&b, MCR, 0x00);
	ck_assert_uint_eq(board_in(&b, RBR), 'z');
	board_fini(&b);
}
END_TEST

START_TEST(a_full_fifo_overruns_and_keeps_the_oldest)
{
	int i;

	fresh();
	board_out(&b, MCR, 0x10);
	board_out(&b, FCR, 0x01);
	for (i = 0; i < 17; i++)
		board_out(&b, THR, (uint8_t)('a' + i));
	ck_assert_uint_eq(board_in(&b, LSR), 0x63);
	ck_assert_uint_eq(board_in(&b, LSR), 0x61);
	for (i = 0; i < 16; i++)
		ck_assert_uint_eq(board_in(&b, RBR), 'a' + i);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	board_fini(&b);
}
END_TEST

START_TEST(modem_status_reports_changes_once)
{
	fresh();
	board_out(&b, MCR, 0x10); /* all inputs fall */
	ck_assert_uint_eq(board_in(&b, MSR), 0x0b);
	ck_assert_uint_eq(board_in(&b, MSR), 0x00);
	board_out(&b, MCR, 0x14); /* RI rises: no trailing edge */
	ck_assert_uint_eq(board_in(&b, MSR), 0x40);
	board_out(&b, MCR, 0x10);
	ck_assert_uint_eq(board_in(&b, MSR), 0x04);
	board_out(&b, MCR, 0x13);
	ck_assert_uint_eq(board_in(&b, MSR), 0x33);
	board_fini(&b);
}
END_TEST

START_TEST(wide_accesses_read_ones_and_change_nothing)
{
	uint64_t v, port;
	uint8_t size;

	fresh();
	for (port = PORT_COM1; port < PORT_COM1 + 8; port++)
		for (size = 2; size <= 8; size *= 2) {
			bus_write(&b.port, port, size, UINT64_MAX);
			bus_read(&b.port, port, size, &v);
			ck_assert_uint_eq(v, size == 8	 ? UINT64_MAX
					     : size == 4 ? UINT32_MAX
							 : UINT16_MAX);
		}
	ck_assert_uint_eq(board_in(&b, IER), 0);
	ck_assert_uint_eq(board_in(&b, SCR), 0);
	ck_assert_uint_eq(console_position(b.console), 0);
	board_fini(&b);
}
END_TEST

START_TEST(reset_lowers_the_line_and_keeps_waiting_input)
{
	struct device *d;

	fresh();
	d = serial_device(b.serial);
	board_out(&b, IER, 0x01);
	input("abc");
	ck_assert(LEVEL);
	d->ops->reset(d);
	ck_assert(!LEVEL);
	ck_assert_uint_eq(board_in(&b, IER), 0);
	ck_assert_uint_eq(board_in(&b, RBR), 0); /* "a" was in the FIFO */
	ck_assert_uint_eq(board_in(&b, LSR), 0x61);
	ck_assert_uint_eq(board_in(&b, RBR), 'b');
	board_fini(&b);
}
END_TEST

START_TEST(a_restored_uart_drives_its_line_again)
{
	struct buf saved;
	struct device *d;

	fresh();
	buf_init(&saved, 256);
	board_out(&b, IER, 0x01);
	input("abc");
	ck_assert_int_eq(board_save(serial_device(b.serial), &saved), 0);
	board_fini(&b);
	fresh();
	d = serial_device(b.serial);
	ck_assert_int_eq(board_load(d, saved.data, saved.len, NULL), 0);
	ck_assert(!LEVEL);
	board_resume(d);
	ck_assert(LEVEL);
	ck_assert_uint_eq(board_in(&b, RBR), 'a');
	buf_fini(&saved);
	board_fini(&b);
}
END_TEST

/*
 * A driver that trusts edges only and gives up after a few passes, as
 * Linux's does: it must never be left with bytes and no interrupt.
 */
static unsigned int handle_interrupt(unsigned int *wrong, uint64_t *got)
{
	unsigned int passes = 0, budget;

	while (passes++ < 4 && !(board_in(&b, IIR) & 1)) {
		for (budget = 8; budget && board_in(&b, LSR) & 1; budget--)
			*wrong += board_in(&b, RBR) != (uint8_t)(*got)++;
		board_out(&b, THR, '.');
	}
	return passes;
}

/* Between saving and loading it would be lost. */
START_TEST(a_quiet_uart_leaves_input_where_it_is)
{
	struct device *d;
	struct buf state;
	struct err e;

	fresh();
	buf_init(&state, 4096);
	d = serial_device(b.serial);
	input("a");
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	ck_assert_int_eq(board_save(d, &state), 0);
	input("b");
	d->ops->reset(d);
	ck_assert_int_eq(board_load(d, state.data, state.len, &e), 0);
	d->ops->resume(d);
	ck_assert_uint_eq(board_in(&b, RBR), 'a');
	ck_assert_uint_eq(board_in(&b, LSR), 0x61);
	ck_assert_uint_eq(board_in(&b, RBR), 'b');
	buf_fini(&state);
	board_fini(&b);
}
END_TEST

START_TEST(input_for_another_device_is_not_taken)
{
	struct device *d;

	fresh();
	d = serial_device(b.serial);
	serial_leave_console(b.serial);
	console_set_device(b.console, NULL, NULL);
	input("a");
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	d->ops->resume(d);
	board_out(&b, SCR, 1);
	ck_assert_uint_eq(board_in(&b, LSR), 0x60);
	serial_take_console(b.serial);
	ck_assert_uint_eq(board_in(&b, RBR), 'a');
	board_fini(&b);
}
END_TEST

START_TEST(an_edge_triggered_driver_never_loses_a_paste)
{
	unsigned int wrong = 0, seen = 0, idle = 0;
	uint64_t sent = 0, got = 0;
	uint8_t byte;

	fresh();
	board_out(&b, FCR, 0x81);
	board_out(&b, IER, 0x07);
	while (got < 100000 && idle < 1000) {
		while (sent < got + 3000 && sent < 100000) {
			byte = (uint8_t)sent;
			sent += console_input(b.console, &byte, 1);
		}
		idle++;
		if (RISES == seen)
			continue;
		seen = RISES;
		idle = 0;
		handle_interrupt(&wrong, &got);
	}
	ck_assert_uint_eq(got, 100000);
	ck_assert_uint_eq(wrong, 0);
	board_fini(&b);
}
END_TEST

START_TEST(describe_names_the_registers)
{
	struct device *d;
	struct buf out;

	fresh();
	buf_init(&out, 4096);
	d = serial_device(b.serial);
	board_out(&b, LCR, 0x13);
	d->ops->describe(d, &out);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "lcr=0x13\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "divisor=1\n"));
	buf_fini(&out);
	board_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		power_on_is_idle_with_a_sane_divisor,
		what_is_written_to_thr_is_in_the_console,
		the_divisor_hides_data_and_ier,
		a_probing_driver_finds_a_16550a,
		without_a_fifo_one_byte_is_held,
		the_fifo_holds_sixteen_and_the_queue_the_rest,
		clearing_or_toggling_the_fifo_empties_it,
		received_data_interrupts_until_it_is_read,
		fewer_bytes_than_the_trigger_are_a_timeout,
		an_empty_transmitter_interrupts_when_enabled_and_once_per_write,
		interrupts_are_identified_by_priority,
		loopback_returns_bytes_and_hides_the_outside,
		a_full_fifo_overruns_and_keeps_the_oldest,
		modem_status_reports_changes_once,
		wide_accesses_read_ones_and_change_nothing,
		reset_lowers_the_line_and_keeps_waiting_input,
		a_restored_uart_drives_its_line_again,
		a_quiet_uart_leaves_input_where_it_is,
		input_for_another_device_is_not_taken,
		an_edge_triggered_driver_never_loses_a_paste,
		describe_names_the_registers,
	};

	return SUITE_RUN("serial", tests);
}
