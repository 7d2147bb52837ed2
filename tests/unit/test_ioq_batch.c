/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct transfers are begun together while enough of them run. What runs is
 * a read of a pipe that has nothing yet, so that only the test ends it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq.h"
#include "tests/unit/suite.h"

#define DEPTH	32
#define RUNNING 8 /* a batch is of two then */

struct op {
	struct io io;
	struct iovec iov;
	uint8_t byte;
	int error, calls;
};

static struct ioq *q;
static int file, pipe_fd[2];
static struct op running[RUNNING];

static void done(struct io *io, int error)
{
	struct op *op = (struct op *)io;

	op->error = error;
	op->calls++;
}

static void submit(struct op *op, enum io_op kind, int fd, bool direct)
{
	memset(op, 0, sizeof(*op));
	op->iov = (struct iovec){ .iov_base = &op->byte, .iov_len = 1 };
	op->io = (struct io){ .op = kind,
			      .fd = fd,
			      .direct = direct,
			      .bytes = kind == IO_SYNC ? 0 : 1,
			      .iov = &op->iov,
			      .iovs = 1,
			      .done = done };
	ioq_submit(q, &op->io);
}

static void setup(void)
{
	char path[] = "build/test_ioq_batch.XXXXXX";
	unsigned int i;

	file = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(file, 0);
	unlink(path);
	ck_assert_int_eq(write(file, "x", 1), 1);
	ck_assert_int_eq(pipe2(pipe_fd, O_CLOEXEC), 0);
	ck_assert_int_eq(ioq_open(&q, IOQ_URING, DEPTH, NULL, NULL), 0);
	for (i = 0; i < RUNNING; i++)
		submit(&running[i], IO_READ, pipe_fd[0], true);
	ck_assert_int_eq(ioq_run(q, 0), 0);
}

static void run_until(const struct op *op)
{
	while (!op->calls)
		ck_assert_int_gt(ioq_run(q, 10 * NS_PER_S), 0);
	ck_assert_int_eq(op->error, 0);
}

static void end_running(void)
{
	unsigned int i;

	ck_assert_int_eq(write(pipe_fd[1], "12345678", RUNNING), RUNNING);
	for (i = 0; i < RUNNING; i++)
		run_until(&running[i]);
}

static void teardown(void)
{
	ck_assert_uint_eq(ioq_in_flight(q), 0);
	ioq_close(q);
	close(file);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

START_TEST(a_direct_transfer_waits_for_another_one)
{
	struct op one, two;

	setup();
	submit(&one, IO_READ, file, true);
	ck_assert_int_eq(ioq_run(q, 20 * NS_PER_MS), 0);
	submit(&two, IO_READ, file, true);
	run_until(&one);
	run_until(&two);
	end_running();
	teardown();
}
END_TEST

START_TEST(it_begins_when_what_runs_has_ended)
{
	struct op one;

	setup();
	submit(&one, IO_WRITE, file, true);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	end_running();
	run_until(&one);
	teardown();
}
END_TEST

START_TEST(a_sync_and_a_cached_read_do_not_wait)
{
	struct op direct, sync, cached;

	setup();
	submit(&sync, IO_SYNC, file, false);
	run_until(&sync);
	submit(&cached, IO_READ, file, false);
	run_until(&cached);
	/* The one that waits goes with them. */
	submit(&direct, IO_READ, file, true);
	submit(&sync, IO_SYNC, file, false);
	run_until(&direct);
	run_until(&sync);
	end_running();
	teardown();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_direct_transfer_waits_for_another_one,
		it_begins_when_what_runs_has_ended,
		a_sync_and_a_cached_read_do_not_wait,
	};
	struct err e = ERR_NONE;

	if (ioq_available(&e)) {
		printf("without io_uring: %s\n", e.text);
		return 77;
	}
	return SUITE_RUN("ioq_batch", tests);
}
