/* SPDX-License-Identifier: Apache-2.0 */
/* The console over an upgraded connection. */
#include "tests/unit/suite.h"

#include "tests/unit/client.h"

static struct desk d;
static struct client c;

static void attach(struct client *client, const char *request)
{
	client_open(client, &d);
	client_send(client, request);
	ck_assert(client_await(client, &d, "\r\n\r\n"));
}

static void print(const char *text)
{
	fake_vm_output(d.plane.control->vm, text, strlen(text));
}

START_TEST(bytes_go_both_ways)
{
	char input[16];

	desk_open(&d);
	print("before ");
	attach(&c, ATTACH(""));
	ck_assert_int_eq(strncmp(c.text, "HTTP/1.1 101", 12), 0);
	ck_assert_ptr_nonnull(strstr(c.text, "Upgrade: amber-console"));
	ck_assert_ptr_nonnull(strstr(c.text, "Amber-Position: 7"));
	print("after");
	ck_assert(client_await(&c, &d, "\r\n\r\nafter"));
	client_send(&c, "input");
	while (console_take_input(d.plane.control->vm->console, input,
				  sizeof(input)) != 5)
		desk_step(&d);
	ck_assert_int_eq(memcmp(input, "input", 5), 0);
	client_close(&c);
	while (d.plane.control->readers)
		desk_step(&d);
	ck_assert(!d.plane.control->has_writer);
	desk_close(&d);
}
END_TEST

START_TEST(bytes_that_follow_the_request_at_once_are_input)
{
	char input[16];

	desk_open(&d);
	attach(&c, ATTACH("") "early");
	ck_assert_uint_eq(console_take_input(d.plane.control->vm->console,
					     input, sizeof(input)),
			  5);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(history_and_positions_choose_the_beginning)
{
	desk_open(&d);
	print("0123456789");
	attach(&c, ATTACH("?history=1"));
	ck_assert(client_await(&c, &d, "\r\n\r\n0123456789"));
	client_close(&c);
	attach(&c, ATTACH("?since=7&readonly=1"));
	ck_assert(client_await(&c, &d, "\r\n\r\n789"));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(many_may_read_and_one_may_write)
{
	struct client second, third;
	char input[16];

	desk_open(&d);
	attach(&c, ATTACH(""));
	attach(&second, ATTACH(""));
	ck_assert_ptr_nonnull(strstr(second.text, "console-busy"));
	client_close(&second);
	attach(&second, ATTACH("?readonly=1"));
	attach(&third, ATTACH("?readonly=1"));
	print("to all");
	ck_assert(client_await(&c, &d, "to all"));
	ck_assert(client_await(&second, &d, "to all"));
	ck_assert(client_await(&third, &d, "to all"));
	client_send(&second, "ignored");
	desk_step(&d);
	ck_assert_uint_eq(console_take_input(d.plane.control->vm->console,
					     input, sizeof(input)),
			  0);
	client_close(&c);
	while (d.plane.control->has_writer)
		desk_step(&d);
	attach(&c, ATTACH("")); /* the place is free again */
	ck_assert_ptr_nonnull(strstr(c.text, "101"));
	client_close(&c);
	client_close(&second);
	client_close(&third);
	desk_close(&d);
}
END_TEST

START_TEST(a_reader_that_stops_loses_the_oldest_and_is_told)
{
	char block[4096];
	size_t i;

	memset(block, 'x', sizeof(block));
	desk_open(&d);
	attach(&c, ATTACH(""));
	for (i = 0; i < 1024; i++) { /* 4 MiB */
		fake_vm_output(d.plane.control->vm, block, sizeof(block));
		if (i % 64 == 0)
			ck_assert(desk_answers(&d, STATUS_REQUEST, "labels"));
	}
	print("the end");
	ck_assert(client_await(&c, &d, "the end"));
	ck_assert_ptr_nonnull(strstr(c.text, "bytes lost]"));
	ck_assert_uint_gt(c.len, 1 << 20);
	ck_assert_uint_lt(c.len, 2 << 20);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(pasted_input_is_bounded_and_counted)
{
	char block[4096];
	struct console_counters counters;
	size_t i;

	memset(block, 'p', sizeof(block));
	desk_open(&d);
	attach(&c, ATTACH(""));
	for (i = 0; i < 2560; i++) { /* 10 MiB */
		while (client_push(&c, block, sizeof(block)) == -EAGAIN)
			desk_step(&d);
	}
	for (i = 0; i < 100; i++)
		desk_step(&d);
	console_get_counters(d.plane.control->vm->console, &counters);
	ck_assert_uint_eq(counters.input_bytes, CONSOLE_INPUT_BYTES);
	ck_assert_uint_gt(counters.input_dropped_bytes, 9 << 20);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(a_half_closed_client_still_reads)
{
	desk_open(&d);
	attach(&c, ATTACH(""));
	ck_assert_int_eq(shutdown(c.fd, SHUT_WR), 0);
	while (d.plane.control->has_writer)
		desk_step(&d);
	print("still");
	ck_assert(client_await(&c, &d, "still"));
	client_close(&c);
	while (d.plane.control->readers)
		desk_step(&d);
	desk_close(&d);
}
END_TEST

START_TEST(an_attached_client_outlives_the_time_for_requests)
{
	uint64_t began;

	desk_open_hasty(&d);
	attach(&c, ATTACH(""));
	began = clock_mono_ns();
	while (clock_mono_ns() - began < 500 * NS_PER_MS)
		desk_step(&d);
	print("late");
	ck_assert(client_await(&c, &d, "late"));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(at_the_end_readers_get_all_and_are_let_go)
{
	char block[4096];
	size_t i;

	memset(block, 'z', sizeof(block));
	desk_open(&d);
	attach(&c, ATTACH(""));
	for (i = 0; i < 128; i++) /* more than a socket holds */
		fake_vm_output(d.plane.control->vm, block, sizeof(block));
	print("the last words");
	control_drain(d.plane.control);
	server_drain(d.server);
	ck_assert(client_await(&c, &d, "the last words"));
	ck_assert(client_await_end(&c, &d));
	while (!d.drained)
		desk_step(&d);
	client_close(&c);
	desk_close(&d);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bytes_go_both_ways,
		bytes_that_follow_the_request_at_once_are_input,
		history_and_positions_choose_the_beginning,
		many_may_read_and_one_may_write,
		a_reader_that_stops_loses_the_oldest_and_is_told,
		pasted_input_is_bounded_and_counted,
		a_half_closed_client_still_reads,
		an_attached_client_outlives_the_time_for_requests,
		at_the_end_readers_get_all_and_are_let_go,
	};

	return SUITE_RUN("attach", tests);
}
