/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While many direct transfers run, their ends are waited for together; what
 * is to wake the thread does it all the same. What runs is a read of a pipe
 * that has nothing yet, so that only the test ends it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq.h"
#include "tests/unit/suite.h"

#define CROWD  32
#define AWAITS 8  /* of them at once: a quarter */
#define FEW    12 /* each end is waited for alone then */
#define TICK   (10 * NS_PER_MS)

struct op {
	struct io io;
	struct iovec iov;
	uint8_t byte;
	bool over;
};

struct bell {
	struct ioq_event ev;
	uint64_t rung;
};

static struct ioq *q;
static int pipe_fd[2];
static struct op ops[CROWD];
static struct bell bell;

static void done(struct io *io, int error)
{
	struct op *op = (struct op *)io;

	ck_assert_int_eq(error, 0);
	op->over = true;
}

static void on_bell(struct ioq_event *ev)
{
	bell.rung += ev->count;
}

static void submit(struct op *op)
{
	memset(op, 0, sizeof(*op));
	op->iov = (struct iovec){ .iov_base = &op->byte, .iov_len = 1 };
	op->io = (struct io){ .op = IO_READ,
			      .fd = pipe_fd[0],
			      .direct = true,
			      .bytes = 1,
			      .iov = &op->iov,
			      .iovs = 1,
			      .done = done };
	ioq_submit(q, &op->io);
}

/* The bell is armed before anything runs. */
static void setup(void)
{
	unsigned int i;

	memset(&bell, 0, sizeof(bell));
	ck_assert_int_eq(pipe2(pipe_fd, O_CLOEXEC), 0);
	ck_assert_int_eq(ioq_open(&q, IOQ_URING, CROWD, NULL, NULL), 0);
	bell.ev.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(bell.ev.fd, 0);
	ck_assert_int_eq(ioq_watch(q, &bell.ev, bell.ev.fd, on_bell), 0);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	for (i = 0; i < CROWD; i++)
		submit(&ops[i]);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	ck_assert_int_eq(ioq_run(q, 20 * NS_PER_MS), 0);
}

static void end_some(unsigned int n)
{
	static const uint8_t bytes[CROWD];

	ck_assert_int_eq(write(pipe_fd[1], bytes, n), n);
}

static unsigned int over(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < CROWD; i++)
		n += ops[i].over;
	return n;
}

static void teardown(void)
{
	end_some(ioq_in_flight(q));
	while (ioq_in_flight(q))
		ck_assert_int_gt(ioq_run(q, IOQ_FOREVER), 0);
	ck_assert_uint_eq(over(), CROWD);
	ioq_close(q);
	close(bell.ev.fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* How long it waits for what ends n of them. */
static uint64_t wait_ns(unsigned int n)
{
	uint64_t start = clock_mono_ns();

	end_some(n);
	ck_assert_int_gt(ioq_run(q, IOQ_FOREVER), 0);
	return clock_mono_ns() - start;
}

START_TEST(one_of_many_waits_for_others_but_not_for_ever)
{
	uint64_t longest = 0;
	unsigned int i;

	setup();
	/* The clock has run for a while when the first one ends. */
	for (i = 1; i <= 4; i++) {
		uint64_t ns = wait_ns(1);

		ck_assert_uint_eq(over(), i);
		longest = ns > longest ? ns : longest;
	}
	ck_assert_uint_ge(longest, TICK);
	teardown();
}
END_TEST

START_TEST(enough_of_them_do_not_wait)
{
	uint64_t ns, shortest = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		setup();
		ns = wait_ns(AWAITS);
		shortest = ns < shortest ? ns : shortest;
		teardown();
	}
	ck_assert_uint_lt(shortest, TICK / 2);
}
END_TEST

START_TEST(one_of_a_few_does_not_wait)
{
	uint64_t shortest = UINT64_MAX;
	unsigned int i;

	setup();
	end_some(CROWD - FEW);
	while (over() < CROWD - FEW)
		ck_assert_int_gt(ioq_run(q, IOQ_FOREVER), 0);
	for (i = 0; i < FEW; i++) {
		uint64_t ns = wait_ns(1);

		shortest = ns < shortest ? ns : shortest;
	}
	ck_assert_uint_lt(shortest, TICK / 2);
	teardown();
}
END_TEST

static void *ring_late(void *ctx)
{
	static const uint64_t one = 1;

	usleep(2000);
	ck_assert_int_eq(write(bell.ev.fd, &one, sizeof(one)), sizeof(one));
	return ctx;
}

/* The thread sleeps when it rings. With the clock's help alone it would be
 * heard sooner now and then only. */
START_TEST(a_bell_is_heard_at_once_while_many_run)
{
	unsigned int i, soon = 0;
	uint64_t start;
	pthread_t t;

	setup();
	for (i = 1; i <= 100; i++) {
		start = clock_mono_ns();
		ck_assert_int_eq(pthread_create(&t, NULL, ring_late, NULL), 0);
		ck_assert_int_eq(ioq_run(q, IOQ_FOREVER), 1);
		soon += clock_mono_ns() - start < TICK / 2;
		pthread_join(t, NULL);
		ck_assert_uint_eq(bell.rung, i);
	}
	ck_assert_uint_eq(over(), 0);
	ck_assert_uint_gt(soon, 20);
	teardown();
}
END_TEST

START_TEST(a_bell_is_untouched_after_the_close)
{
	static const uint64_t seven = 7;
	uint64_t count;
	int fd;

	setup();
	fd = dup(bell.ev.fd);
	teardown();
	ck_assert_int_eq(write(fd, &seven, sizeof(seven)), sizeof(seven));
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 7);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		one_of_many_waits_for_others_but_not_for_ever,
		enough_of_them_do_not_wait,
		one_of_a_few_does_not_wait,
		a_bell_is_heard_at_once_while_many_run,
		a_bell_is_untouched_after_the_close,
	};
	struct err e = ERR_NONE;

	if (ioq_available(&e)) {
		printf("without io_uring: %s\n", e.text);
		return 77;
	}
	return SUITE_RUN("ioq_crowd", tests);
}
