/* SPDX-License-Identifier: Apache-2.0 */
/* When a run ends and with which status; the console on streams; options. */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/config_table.h"
#include "control/exit_codes.h"
#include "control/once.h"
#include "control/stdio_console.h"
#include "control/vmm_options.h"
#include "devices/console.h"

static struct err e;
static struct once once;
static unsigned int decided;

static void on_decided(void *ctx)
{
	(void)ctx;
	decided++;
}

static int code(enum vm_cause cause, uint32_t value)
{
	struct vm_end end = { .cause = cause, .code = value };

	return once_exit_code(&once, &end);
}

START_TEST(the_guests_end_has_a_status_of_its_own)
{
	ck_assert_int_eq(once_init(&once, true, NULL, &e), 0);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_POWEROFF, 0), EXIT_CODE_OK);
	ck_assert_int_eq(code(VM_CAUSE_DEBUG_EXIT, 0), 0);
	ck_assert_int_eq(code(VM_CAUSE_DEBUG_EXIT, 7), 7);
	ck_assert_int_eq(code(VM_CAUSE_DEBUG_EXIT, 255), 255);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_RESET, 0), EXIT_CODE_REBOOTED);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_PANIC, 0), EXIT_CODE_PANICKED);
	ck_assert_int_eq(code(VM_CAUSE_TRIPLE_FAULT, 0), EXIT_CODE_CRASHED);
	ck_assert_int_eq(code(VM_CAUSE_INTERNAL_ERROR, 0), EXIT_CODE_CRASHED);
	ck_assert_int_eq(code(VM_CAUSE_START_FAILED, 0), EXIT_CODE_FAILED);
	ck_assert_int_eq(code(VM_CAUSE_COMMAND, 0), EXIT_CODE_OK);
	once_fini(&once);
}
END_TEST

START_TEST(what_was_expected_decides)
{
	struct loop *loop;

	decided = 0;
	ck_assert_int_eq(loop_create(&loop, &e), 0);
	ck_assert_int_eq(once_init(&once, true, "log(in|out):", &e), 0);
	once_start(&once, loop, 0, on_decided, NULL);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_POWEROFF, 0), EXIT_CODE_UNSEEN);
	ck_assert_int_eq(code(VM_CAUSE_DEBUG_EXIT, 3), 3);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_PANIC, 0), EXIT_CODE_PANICKED);
	once_output(&once, "xx log", 6);
	ck_assert_uint_eq(decided, 0);
	once_output(&once, "out: ", 5);
	ck_assert_uint_eq(decided, 1);
	once_output(&once, "login:", 6);
	ck_assert_uint_eq(decided, 1);
	ck_assert_int_eq(code(VM_CAUSE_COMMAND, 0), EXIT_CODE_OK);
	once_signal(&once, 15); /* too late */
	ck_assert_int_eq(code(VM_CAUSE_SIGNAL, 0), EXIT_CODE_OK);
	once_fini(&once);
	ck_assert_int_lt(once_init(&once, true, "log(in", &e), 0);
	ck_assert_int_eq(strncmp(e.text, "--expect: ", 10), 0);
	loop_destroy(loop);
}
END_TEST

START_TEST(time_decides_when_nothing_else_did)
{
	struct loop *loop;

	decided = 0;
	ck_assert_int_eq(loop_create(&loop, &e), 0);
	ck_assert_int_eq(once_init(&once, true, NULL, &e), 0);
	once_start(&once, loop, 1, on_decided, NULL);
	while (!decided)
		loop_step(loop, 2000);
	ck_assert_int_eq(code(VM_CAUSE_COMMAND, 0), EXIT_CODE_TIMEOUT);
	once_fini(&once);
	loop_destroy(loop);
}
END_TEST

START_TEST(a_signal_is_no_success_of_a_single_run)
{
	ck_assert_int_eq(once_init(&once, true, NULL, &e), 0);
	once_signal(&once, 15);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_POWEROFF, 0), 128 + 15);
	once_fini(&once);
	ck_assert_int_eq(once_init(&once, false, NULL, &e), 0);
	once_signal(&once, 15);
	ck_assert_int_eq(code(VM_CAUSE_GUEST_POWEROFF, 0), EXIT_CODE_OK);
	once_fini(&once);
}
END_TEST

/* --- the console on streams --------------------------------------------- */

static struct loop *loop;
static struct console *console;
static struct stdio_console *stream;
static unsigned int drained;

static void on_drained(void *ctx)
{
	(void)ctx;
	drained++;
}

static void open_stream(int in, int out)
{
	struct console_config config = { 0 };

	drained = 0;
	ck_assert_int_eq(loop_create(&loop, &e), 0);
	ck_assert_int_eq(console_create(&console, &config, &e), 0);
	ck_assert_int_eq(
		stdio_console_create(&stream, loop, console, in, out, &e), 0);
}

static void close_stream(void)
{
	stdio_console_destroy(stream);
	console_destroy(console);
	loop_destroy(loop);
}

static void print(size_t bytes)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (; bytes; bytes -= bytes < 4096 ? bytes : 4096) {
		console_output(console, block, bytes < 4096 ? bytes : 4096);
		stdio_console_output(stream);
	}
}

static size_t read_all(int fd, bool step)
{
	char block[4096];
	size_t total = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		n = read(fd, block, sizeof(block));
		if (n > 0)
			total += (size_t)n;
		else if (!step || drained)
			return total;
		else
			loop_step(loop, 10);
	}
}

static void full_reader(int reader, int writer)
{
	int flags = fcntl(writer, F_GETFL);

	open_stream(-1, writer);
	print(300000); /* more than a pipe or socket holds: doesn't block */
	ck_assert_int_eq(fcntl(writer, F_GETFL), flags); /* left alone */
	stdio_console_drain(stream, on_drained, NULL);
	ck_assert_uint_eq(read_all(reader, true), 300000);
	ck_assert_uint_eq(drained, 1);
	close_stream();
}

START_TEST(a_full_pipe_does_not_block_and_loses_nothing)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	full_reader(fds[0], fds[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	full_reader(fds[0], fds[1]);
}
END_TEST

START_TEST(a_stopped_reader_loses_the_oldest)
{
	int fds[2];
	size_t n;

	ck_assert_int_eq(pipe(fds), 0);
	open_stream(-1, fds[1]);
	print(4 << 20);
	stdio_console_drain(stream, on_drained, NULL);
	n = read_all(fds[0], true);
	ck_assert_uint_gt(n, 1 << 20);
	ck_assert_uint_lt(n, 2 << 20);
	close_stream();
}
END_TEST

START_TEST(a_reader_that_is_gone_is_no_reason_to_stop)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(fds), 0);
	close(fds[0]);
	open_stream(-1, fds[1]);
	print(100);
	stdio_console_drain(stream, on_drained, NULL);
	ck_assert_uint_eq(drained, 1);
	close_stream();
}
END_TEST

START_TEST(a_file_and_nothing_take_output_too)
{
	char name[] = "/tmp/amber-test-once-XXXXXX";
	int fd = mkstemp(name);

	open_stream(-1, fd);
	print(300000);
	stdio_console_drain(stream, on_drained, NULL);
	ck_assert_uint_eq(drained, 1);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 300000);
	close_stream();
	close(fd);
	unlink(name);
	fd = open("/dev/full", O_WRONLY);
	open_stream(-1, fd);
	print(10);
	stdio_console_drain(stream, on_drained, NULL);
	ck_assert_uint_eq(drained, 1);
	close_stream();
	open_stream(-1, 999); /* closed */
	print(10);
	stdio_console_drain(stream, on_drained, NULL);
	ck_assert_uint_eq(drained, 1);
	close_stream();
}
END_TEST

START_TEST(input_waits_for_a_slow_guest_and_loses_nothing)
{
	char block[4096], taken[4096];
	size_t sent = 0, got = 0;
	int fds[2];
	ssize_t n;

	memset(block, 'i', sizeof(block));
	ck_assert_int_eq(pipe(fds), 0);
	open_stream(fds[0], open("/dev/null", O_WRONLY));
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	while (got < 200000) {
		n = sent < 200000 ? write(fds[1], block, sizeof(block)) : 0;
		sent += n > 0 ? (size_t)n : 0;
		loop_step(loop, 5);
		if (sent > 100000)
			got += console_take_input(console, taken,
						  sizeof(taken));
	}
	close(fds[1]);
	close_stream();
}
END_TEST

START_TEST(input_from_a_file_comes_whole)
{
	char name[] = "/tmp/amber-test-once-XXXXXX", taken[16];
	int fd = mkstemp(name);

	ck_assert_int_eq(write(fd, "hello", 5), 5);
	lseek(fd, 0, SEEK_SET);
	open_stream(fd, open("/dev/null", O_WRONLY));
	while (console_take_input(console, taken, sizeof(taken)) != 5)
		loop_step(loop, 20);
	close_stream();
	close(fd);
	unlink(name);
}
END_TEST

/* --- options of amber-vmm ----------------------------------------------- */

static struct vmm_options options;
static struct vm_config config;

static int parse(const char *line)
{
	static char text[512]; /* the options point into it */
	char *argv[32], *save = NULL;
	int argc = 0, r;

	snprintf(text, sizeof(text), "amber-vmm %s", line);
	argv[0] = strtok_r(text, " ", &save);
	for (argc = 0; argv[argc]; argc++)
		argv[argc + 1] = strtok_r(NULL, " ", &save);
	vm_config_fini(&config);
	config_init(&config);
	e = (struct err)ERR_NONE;
	r = vmm_options_parse(&options, &config, argc, argv, &e);
	return r;
}

START_TEST(options_are_parsed_or_refused_with_a_hint)
{
	static const struct {
		const char *line, *text;
	} bad[] = {
		{ "--krnel x", "unknown option --krnel; did you mean "
			       "--kernel?" },
		{ "--dirr", "unknown option --dirr; did you mean --dir?" },
		{ "x", "'x' is no option" },
		{ "--", "'--' is no option" },
		{ "--once=1", "--once takes no value" },
		{ "--dir", "--dir takes a value: DIR" },
		{ "--timeout -1", "--timeout: '-1' is no number in 0..86400" },
		{ "--console tty", "--console: 'tty' is not stdio or none" },
		{ "--dir /x --kernel /k",
		  "--dir has its own config.json: no --config or --kernel and "
		  "the like beside it" },
		{ "--rm --kernel /k", "--rm needs --dir" },
		{ "--no-start --once",
		  "--no-start and --once or --paused contradict each other" },
		{ "--memory 1", "--memory: 1 is not in 16M..1T" },
	};
	struct buf usage;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(parse(bad[i].line), -EINVAL);
		ck_assert_str_eq(e.text, bad[i].text);
	}
	ck_assert_int_eq(parse("--kernel /k --cpus=2 --once --timeout 5 "
			       "--console stdio --notify-fd=3 --socket /s"),
			 0);
	ck_assert_uint_eq(config.cpus, 2);
	ck_assert_str_eq(config.kernel[0], "/k");
	ck_assert(options.once && options.stdio);
	ck_assert_uint_eq(options.timeout_s, 5);
	ck_assert_int_eq(options.notify_fd, 3);
	ck_assert_str_eq(options.socket, "/s");
	vm_config_fini(&config);
	buf_init(&usage, 1 << 16);
	ck_assert_int_eq(vmm_options_usage(&usage), 0);
	ck_assert_ptr_nonnull(strstr(buf_text(&usage), "--on-poweroff"));
	buf_fini(&usage);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_guests_end_has_a_status_of_its_own,
		what_was_expected_decides,
		time_decides_when_nothing_else_did,
		a_signal_is_no_success_of_a_single_run,
		a_full_pipe_does_not_block_and_loses_nothing,
		a_stopped_reader_loses_the_oldest,
		a_reader_that_is_gone_is_no_reason_to_stop,
		a_file_and_nothing_take_output_too,
		input_waits_for_a_slow_guest_and_loses_nothing,
		input_from_a_file_comes_whole,
		options_are_parsed_or_refused_with_a_hint,
	};

	return SUITE_RUN("once", tests);
}
