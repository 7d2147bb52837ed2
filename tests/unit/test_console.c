/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console: bounded both ways, coalesced notifications, and the same
 * bytes out of it with a vCPU-like and a loop-like thread at once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "devices/console.h"
#include "tests/unit/suite.h"

static unsigned int told;

static void tell(void *ctx)
{
	(void)ctx;
	told++;
}

static struct console *console_of(size_t history, size_t input)
{
	struct console_config cfg = { history, input, tell, NULL };
	struct console *c;
	struct err e = ERR_NONE;

	ck_assert_msg(!console_create(&c, &cfg, &e), "%s", e.text);
	told = 0;
	return c;
}

START_TEST(output_is_announced_once_until_it_is_acknowledged)
{
	struct console *c = console_of(0, 0);

	console_output(c, "", 0);
	ck_assert_uint_eq(told, 0);
	console_output(c, "a", 1);
	console_output(c, "bc", 2);
	ck_assert_uint_eq(told, 1);
	ck_assert(!console_ack(c, 2));
	console_output(c, "d", 1);
	ck_assert_uint_eq(told, 1);
	ck_assert(console_ack(c, console_position(c)));
	ck_assert_uint_eq(told, 1);
	console_output(c, "e", 1);
	ck_assert_uint_eq(told, 2);
	console_destroy(c);
}
END_TEST

START_TEST(a_slow_reader_learns_what_it_missed)
{
	struct console *c = console_of(16, 0);
	uint64_t cursor = 0, dropped;
	char out[32];

	console_output(c, "0123456789abcdefghij", 20);
	ck_assert_uint_eq(console_position(c), 20);
	ck_assert_uint_eq(console_start(c), 4);
	ck_assert_uint_eq(console_read(c, &cursor, out, 32, &dropped), 16);
	ck_assert_uint_eq(dropped, 4);
	ck_assert_mem_eq(out, "456789abcdefghij", 16);
	console_destroy(c);
}
END_TEST

START_TEST(a_hundred_megabytes_without_a_reader_are_bounded)
{
	struct console *c = console_of(0, 0);
	struct console_counters n;
	static const char line[4096] = "x";
	int i;

	for (i = 0; i < 25600; i++)
		console_output(c, line, sizeof(line));
	console_get_counters(c, &n);
	ck_assert_uint_eq(n.output_bytes, 100u << 20);
	ck_assert_uint_eq(console_position(c) - console_start(c),
			  CONSOLE_HISTORY_BYTES);
	ck_assert_uint_eq(told, 1);
	console_destroy(c);
}
END_TEST

START_TEST(ten_pasted_megabytes_are_refused_and_counted)
{
	struct console *c = console_of(0, 0);
	static char paste[10 << 20];
	struct console_counters n;
	char out[8];

	memset(paste, 'p', sizeof(paste));
	ck_assert_uint_eq(console_input(c, paste, sizeof(paste)),
			  CONSOLE_INPUT_BYTES);
	ck_assert_uint_eq(console_input_room(c), 0);
	ck_assert_uint_eq(console_input(c, "q", 1), 0);
	console_get_counters(c, &n);
	ck_assert_uint_eq(n.input_bytes, CONSOLE_INPUT_BYTES);
	ck_assert_uint_eq(n.input_dropped_bytes,
			  sizeof(paste) - CONSOLE_INPUT_BYTES + 1);
	ck_assert_uint_eq(console_take_input(c, out, 8), 8);
	ck_assert_mem_eq(out, "pppppppp", 8);
	ck_assert_uint_eq(console_input(c, "123456789", 9), 8);
	console_destroy(c);
}
END_TEST

static void count_input(void *ctx)
{
	++*(unsigned int *)ctx;
}

START_TEST(a_device_hears_of_input_also_of_what_came_before_it)
{
	struct console *c = console_of(0, 0);
	unsigned int heard = 0;

	console_set_device(c, count_input, &heard);
	ck_assert_uint_eq(heard, 0);
	console_input(c, "a", 1);
	ck_assert_uint_eq(heard, 1);
	console_set_device(c, NULL, NULL);
	console_input(c, "b", 1);
	ck_assert_uint_eq(heard, 1);
	console_set_device(c, count_input, &heard);
	ck_assert_uint_eq(heard, 2);
	console_destroy(c);
}
END_TEST

START_TEST(bad_sizes_are_refused_with_a_reason)
{
	struct console_config cfg = { .history_bytes = 1000 };
	struct console *c = NULL;
	struct err e = ERR_NONE;

	ck_assert_int_eq(console_create(&c, &cfg, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "1000"));
	cfg = (struct console_config){ .input_bytes = 5 };
	ck_assert_int_eq(console_create(&c, &cfg, &e), -EINVAL);
	ck_assert_ptr_null(c);
	console_destroy(NULL);
}
END_TEST

/* --- two threads -------------------------------------------------------- */

#define STREAM_BYTES 200000

struct pair {
	struct console *console;
	atomic_uint announced; /* what a loop_post() would wake */
	uint64_t taken;	       /* input bytes the device side saw */
	bool in_order;
	atomic_bool input_done;
};

static void announce(void *ctx)
{
	atomic_fetch_add(&((struct pair *)ctx)->announced, 1);
}

static uint8_t nth(uint64_t n)
{
	return (uint8_t)(n % 251);
}

/* Takes input and checks it; returns whether there was any. */
static bool take_some(struct pair *p)
{
	uint8_t in[16];
	size_t n = console_take_input(p->console, in, sizeof(in)), i;

	for (i = 0; i < n; i++)
		p->in_order &= in[i] == nth(p->taken + i);
	p->taken += n;
	return n;
}

static void *vcpu_like(void *ctx)
{
	struct pair *p = ctx;
	uint64_t i;
	uint8_t byte;

	for (i = 0; i < STREAM_BYTES; i++) {
		byte = nth(i);
		console_output(p->console, &byte, 1);
		take_some(p);
	}
	while (!atomic_load(&p->input_done) || take_some(p))
		take_some(p);
	return NULL;
}

/* Reads like the loop: only after an announcement, until an ack succeeds. */
static bool read_announced(struct pair *p, uint64_t *cursor, uint64_t *lost)
{
	uint64_t dropped, before;
	uint8_t out[256];
	bool right = true;
	size_t n, i;

	if (!atomic_exchange(&p->announced, 0))
		return true;
	do {
		n = console_read(p->console, cursor, out, 256, &dropped);
		before = *cursor - n;
		*lost += dropped;
		for (i = 0; i < n; i++)
			right &= out[i] == nth(before + i);
	} while (!console_ack(p->console, *cursor));
	return right;
}

START_TEST(no_byte_goes_unannounced_between_two_threads)
{
	struct pair p = { .in_order = true };
	struct console_config cfg = { 4096, 1024, announce, &p };
	uint64_t cursor = 0, lost = 0, sent = 0;
	bool right = true;
	pthread_t thread;

	ck_assert_int_eq(console_create(&p.console, &cfg, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, vcpu_like, &p), 0);
	while (cursor < STREAM_BYTES || sent < STREAM_BYTES) {
		uint8_t byte = nth(sent);

		right &= read_announced(&p, &cursor, &lost);
		if (sent < STREAM_BYTES)
			sent += console_input(p.console, &byte, 1);
	}
	atomic_store(&p.input_done, true);
	pthread_join(thread, NULL);
	ck_assert(right);
	ck_assert(p.in_order);
	ck_assert_uint_eq(p.taken, STREAM_BYTES);
	ck_assert_uint_eq(cursor, STREAM_BYTES);
	console_destroy(p.console);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		output_is_announced_once_until_it_is_acknowledged,
		a_slow_reader_learns_what_it_missed,
		a_hundred_megabytes_without_a_reader_are_bounded,
		ten_pasted_megabytes_are_refused_and_counted,
		a_device_hears_of_input_also_of_what_came_before_it,
		bad_sizes_are_refused_with_a_reason,
		no_byte_goes_unannounced_between_two_threads,
	};

	return SUITE_RUN("console", tests);
}
