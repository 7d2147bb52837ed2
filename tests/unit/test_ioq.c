/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of file operations: each test runs on both engines, the
 * synchronous one first. Without io_uring the second half is left out, and
 * the reason printed.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq.h"
#include "tests/unit/suite.h"

#define BLOCK 4096

static const enum ioq_engine engines[] = { IOQ_SYNC, IOQ_URING };
static struct ioq *q;
static int fd = -1;

struct op {
	struct io io;
	struct iovec iov;
	int error, calls;
};

static void done(struct io *io, int error)
{
	struct op *op = (struct op *)io;

	op->error = error;
	op->calls++;
}

static void open_queue(enum ioq_engine engine, unsigned int depth)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!ioq_open(&q, engine, depth, NULL, &e), "%s", e.text);
}

static void setup(enum ioq_engine engine)
{
	char path[] = "build/test_ioq.XXXXXX";

	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	open_queue(engine, 8);
}

static void teardown(void)
{
	ioq_close(q);
	close(fd);
}

static struct op *transfer(struct op *op, enum io_op kind, uint64_t offset,
			   void *memory, size_t bytes)
{
	memset(op, 0, sizeof(*op));
	op->iov = (struct iovec){ .iov_base = memory, .iov_len = bytes };
	op->io = (struct io){ .op = kind,
			      .fd = fd,
			      .offset = offset,
			      .bytes = bytes,
			      .iov = &op->iov,
			      .iovs = 1,
			      .done = done };
	return op;
}

static struct op *range(struct op *op, enum io_op kind, uint64_t offset,
			uint64_t bytes)
{
	memset(op, 0, sizeof(*op));
	op->io = (struct io){ .op = kind,
			      .fd = fd,
			      .offset = offset,
			      .bytes = bytes,
			      .done = done };
	return op;
}

static void run_all(void)
{
	while (ioq_in_flight(q))
		ck_assert_int_ge(ioq_run(q, 10 * NS_PER_S), 0);
}

/* Submits it and runs until it is done. Returns its error. */
static int finish(struct op *op)
{
	ioq_submit(q, &op->io);
	ck_assert_int_eq(op->calls, 0); /* never from inside */
	run_all();
	ck_assert_int_eq(op->calls, 1);
	return op->error;
}

static void fill(uint8_t *memory, size_t bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		memory[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

static bool is_zero(const uint8_t *memory, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (memory[i])
			return false;
	return true;
}

/* A test on one engine; the last argument of START_BOTH is its body. */
#define START_BOTH(name)                               \
	static void name##_on(enum ioq_engine engine); \
	START_TEST(name)                               \
	{                                              \
		size_t i;                              \
		for (i = 0; i < 2; i++)                \
			if (!engines_skip(engines[i])) \
				name##_on(engines[i]); \
	}                                              \
	END_TEST                                       \
	static void name##_on(enum ioq_engine engine)

static bool engines_skip(enum ioq_engine engine)
{
	struct err e = ERR_NONE;

	if (engine != IOQ_URING || !ioq_available(&e))
		return false;
	printf("without io_uring: %s\n", e.text);
	return true;
}

START_BOTH(what_was_written_is_read)
{
	uint8_t out[3 * BLOCK], in[3 * BLOCK] = { 0 };
	struct op op;

	setup(engine);
	fill(out, sizeof(out), engine);
	ck_assert_int_eq(finish(transfer(&op, IO_WRITE, 100, out, 12000)), 0);
	ck_assert_int_eq(finish(transfer(&op, IO_READ, 100, in, 12000)), 0);
	ck_assert_mem_eq(in, out, 12000);
	teardown();
}

START_BOTH(a_durable_write_and_a_sync_succeed)
{
	uint8_t out[BLOCK] = { 1 };
	struct op op;

	setup(engine);
	transfer(&op, IO_WRITE, 0, out, BLOCK)->io.durable = true;
	ck_assert_int_eq(finish(&op), 0);
	ck_assert_int_eq(finish(range(&op, IO_SYNC, 0, 0)), 0);
	teardown();
}

START_BOTH(a_read_beyond_the_end_gives_zeroes)
{
	uint8_t out[BLOCK], in[3 * BLOCK];
	struct op op;

	setup(engine);
	fill(out, sizeof(out), 3);
	ck_assert_int_eq(finish(transfer(&op, IO_WRITE, 0, out, 1000)), 0);
	memset(in, 0xff, sizeof(in));
	ck_assert_int_eq(finish(transfer(&op, IO_READ, 0, in, sizeof(in))), 0);
	ck_assert_mem_eq(in, out, 1000);
	ck_assert(is_zero(in + 1000, sizeof(in) - 1000));
	memset(in, 0xff, sizeof(in));
	ck_assert_int_eq(finish(transfer(&op, IO_READ, 1 << 30, in, 512)), 0);
	ck_assert(is_zero(in, 512));
	teardown();
}

/* Empty pieces, and more pieces than a system call takes. */
START_BOTH(memory_in_many_pieces_is_one_transfer)
{
	enum { PIECES = IOV_MAX + 500, PIECE = 37 };
	static uint8_t out[PIECES * PIECE], in[PIECES * PIECE];
	static struct iovec iov[2 * PIECES];
	unsigned int i;
	struct op op;

	setup(engine);
	fill(out, sizeof(out), 9);
	memset(in, 0, sizeof(in));
	ck_assert_int_eq(finish(transfer(&op, IO_WRITE, 5, out, sizeof(out))),
			 0);
	for (i = 0; i < PIECES; i++) {
		iov[2 * i] = (struct iovec){ .iov_base = in, .iov_len = 0 };
		iov[2 * i + 1] = (struct iovec){ .iov_base = in + i * PIECE,
						 .iov_len = PIECE };
	}
	transfer(&op, IO_READ, 5, in, sizeof(in));
	op.io.iov = iov;
	op.io.iovs = 2 * PIECES;
	ck_assert_int_eq(finish(&op), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	teardown();
}

/* Only a part of the memory, which begins and ends inside pieces. */
START_BOTH(a_part_of_scattered_memory_is_transferred)
{
	enum { PIECE = 100, PIECES = 20 };
	static uint8_t out[PIECE * PIECES], in[PIECE * PIECES];
	struct iovec iov[PIECES];
	struct op op;
	unsigned int i;

	setup(engine);
	fill(out, sizeof(out), 3);
	memset(in, 0xee, sizeof(in));
	ck_assert_int_eq(finish(transfer(&op, IO_WRITE, 0, out, 1200)), 0);
	for (i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){ in + i * PIECE, PIECE };
	transfer(&op, IO_READ, 30, in, 1234);
	op.io.iov = iov;
	op.io.iovs = PIECES;
	op.io.skip = 250;
	ck_assert_int_eq(finish(&op), 0);
	ck_assert_mem_eq(in + 250, out + 30, 1170);
	ck_assert(is_zero(in + 250 + 1170, 64)); /* the file has ended */
	ck_assert_uint_eq(in[249], 0xee);
	ck_assert_uint_eq(in[250 + 1234], 0xee);
	teardown();
}

static void check_zeroed(enum io_op kind)
{
	static uint8_t out[64 * BLOCK], in[64 * BLOCK];
	struct op op;

	fill(out, sizeof(out), 1);
	ck_assert_int_eq(finish(transfer(&op, IO_WRITE, 0, out, sizeof(out))),
			 0);
	ck_assert_int_eq(finish(range(&op, kind, 512, 60 * BLOCK)), 0);
	ck_assert_int_eq(finish(transfer(&op, IO_READ, 0, in, sizeof(in))), 0);
	ck_assert_mem_eq(in, out, 512);
	ck_assert(is_zero(in + 512, 60 * BLOCK));
	ck_assert_mem_eq(in + 512 + 60 * BLOCK, out + 512 + 60 * BLOCK,
			 4 * BLOCK - 512);
}

START_BOTH(punched_and_zeroed_ranges_read_as_zeroes)
{
	setup(engine);
	check_zeroed(IO_PUNCH);
	check_zeroed(IO_ZERO);
	teardown();
}

/* On tmpfs, which has no FALLOC_FL_ZERO_RANGE. */
START_BOTH(zeroes_are_written_where_a_range_cannot_be_zeroed)
{
	setup(engine);
	close(fd);
	fd = memfd_create("test_ioq", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	check_zeroed(IO_ZERO);
	teardown();
}

START_BOTH(more_than_the_depth_waits_inside)
{
	enum { OPS = 300 };
	static uint8_t out[OPS][512], in[OPS][512];
	static struct op ops[OPS];
	unsigned int i;

	setup(engine);
	fill(out[0], sizeof(out), 5);
	for (i = 0; i < OPS; i++)
		ioq_submit(
			q,
			&transfer(&ops[i], IO_WRITE, i * 512, out[i], 512)->io);
	ck_assert_uint_eq(ioq_in_flight(q), OPS);
	run_all();
	for (i = 0; i < OPS; i++) {
		ck_assert_int_eq(ops[i].calls, 1);
		ck_assert_int_eq(ops[i].error, 0);
		ioq_submit(
			q,
			&transfer(&ops[i], IO_READ, i * 512, in[i], 512)->io);
	}
	run_all();
	ck_assert_mem_eq(in, out, sizeof(in));
	teardown();
}

START_BOTH(a_faulty_operation_is_refused_from_the_next_round)
{
	uint8_t memory[512];
	struct op op;

	setup(engine);
	transfer(&op, IO_READ, 0, memory, 512)->io.bytes = 1024;
	ck_assert_int_eq(finish(&op), -EINVAL);
	transfer(&op, IO_WRITE, 0, memory, 512)->io.skip = 1;
	ck_assert_int_eq(finish(&op), -EINVAL);
	ck_assert_int_eq(finish(transfer(&op, IO_READ, INT64_MAX, memory, 512)),
			 -EINVAL);
	ck_assert_int_eq(finish(range(&op, IO_PUNCH, UINT64_MAX, 2)), -EINVAL);
	ck_assert_int_eq(finish(transfer(&op, IO_READ, 0, memory, 0)), 0);
	transfer(&op, IO_READ, 0, memory, 512)->io.fd = -1;
	ck_assert_int_eq(finish(&op), -EBADF);
	transfer(&op, IO_WRITE, 0, memory, 512)->io.fd = -1;
	ck_assert_int_eq(finish(&op), -EBADF);
	range(&op, IO_SYNC, 0, 0);
	ioq_conclude(q, &op.io, -EIO);
	ck_assert_int_eq(op.calls, 0);
	ck_assert_int_eq(ioq_run(q, IOQ_FOREVER), 1);
	ck_assert_int_eq(op.error, -EIO);
	teardown();
}

/* --- what done() may do ---------------------------------------------- */

static void go_on(struct io *io, int error)
{
	done(io, error);
	if (((struct op *)io)->calls < 50)
		ioq_submit(q, io);
}

START_BOTH(an_owner_may_submit_from_done)
{
	uint8_t memory[512] = { 0 };
	struct op op;

	setup(engine);
	transfer(&op, IO_WRITE, 0, memory, 512)->io.done = go_on;
	ioq_submit(q, &op.io);
	run_all();
	ck_assert_int_eq(op.calls, 50);
	teardown();
}

static void free_it(struct io *io, int error)
{
	ck_assert_int_eq(error, 0);
	free(io);
}

START_BOTH(an_owner_may_be_freed_in_done)
{
	static uint8_t memory[512];
	struct op *op;
	int i;

	setup(engine);
	for (i = 0; i < 20; i++) {
		op = malloc(sizeof(*op));
		ck_assert_ptr_nonnull(op);
		transfer(op, i & 1 ? IO_READ : IO_WRITE, 0, memory, 512);
		op->io.done = free_it;
		ioq_submit(q, &op->io);
	}
	run_all();
	teardown();
}

/* --- events and time ------------------------------------------------- */

struct bell {
	struct ioq_event ev;
	uint64_t sum;
	int rings;
};

static void rung(struct ioq_event *ev)
{
	struct bell *bell = (struct bell *)ev;

	bell->sum += ev->count;
	bell->rings++;
}

static void hang(struct bell *bell)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	memset(bell, 0, sizeof(*bell));
	ck_assert_int_ge(event, 0);
	ck_assert_int_eq(ioq_watch(q, &bell->ev, event, rung), 0);
}

static void ring(struct bell *bell, uint64_t count)
{
	ck_assert_int_eq(write(bell->ev.fd, &count, sizeof(count)), 8);
}

START_BOTH(events_are_reported_as_often_as_they_come)
{
	struct bell a, b;
	int i;

	setup(engine);
	hang(&a);
	hang(&b);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	for (i = 0; i < 100; i++) {
		ring(&a, 2);
		ck_assert_int_eq(ioq_run(q, 10 * NS_PER_S), 1);
		ck_assert_int_eq(a.rings, i + 1);
	}
	ring(&a, 1);
	ring(&b, 5);
	while (a.rings + b.rings < 102)
		ck_assert_int_gt(ioq_run(q, 10 * NS_PER_S), 0);
	ck_assert_uint_eq(a.sum, 201);
	ck_assert_uint_eq(b.sum, 5);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	ioq_close(q);
	close(fd);
	close(a.ev.fd);
	close(b.ev.fd);
}

START_BOTH(a_look_sees_an_event_while_reads_go_on)
{
	uint8_t memory[512];
	struct bell a;
	struct op op;
	int i;

	setup(engine);
	hang(&a);
	ring(&a, 1);
	for (i = 0; i < 100 && !a.rings; i++) {
		ioq_submit(q, &transfer(&op, IO_READ, 0, memory, 512)->io);
		ck_assert_int_ge(ioq_run(q, 0), 0);
	}
	ck_assert_int_le(i, 3);
	run_all();
	ring(&a, 1);
	for (i = 0; i < 100 && a.rings < 2; i++) {
		ioq_submit(q, &transfer(&op, IO_READ, 0, memory, 512)->io);
		ck_assert_int_ge(ioq_run(q, 0), 0);
	}
	ck_assert_int_le(i, 3);
	run_all();
	teardown();
	close(a.ev.fd);
}

START_BOTH(a_wait_ends_with_its_time)
{
	struct bell a;
	uint64_t start;

	setup(engine);
	hang(&a);
	start = clock_mono_ns();
	ck_assert_int_eq(ioq_run(q, 20 * NS_PER_MS), 0);
	ck_assert_uint_ge(clock_mono_ns() - start, 20 * NS_PER_MS);
	ck_assert_uint_le(clock_mono_ns() - start, 5 * NS_PER_S);
	teardown();
	close(a.ev.fd);
}

START_BOTH(only_so_many_events_are_taken)
{
	struct bell bells[IOQ_EVENTS_MAX], extra;
	unsigned int i;

	setup(engine);
	for (i = 0; i < IOQ_EVENTS_MAX; i++)
		hang(&bells[i]);
	ck_assert_int_eq(ioq_watch(q, &extra.ev, bells[0].ev.fd, rung),
			 -ENOSPC);
	ring(&bells[IOQ_EVENTS_MAX - 1], 1);
	ck_assert_int_eq(ioq_run(q, 10 * NS_PER_S), 1);
	ck_assert_int_eq(bells[IOQ_EVENTS_MAX - 1].rings, 1);
	teardown();
	for (i = 0; i < IOQ_EVENTS_MAX; i++)
		close(bells[i].ev.fd);
}

START_BOTH(an_event_is_untouched_after_the_close)
{
	struct bell a;
	uint64_t count;

	setup(engine);
	hang(&a);
	ck_assert_int_eq(ioq_run(q, 0), 0);
	teardown();
	ring(&a, 7);
	ck_assert_int_eq(read(a.ev.fd, &count, sizeof(count)), 8);
	ck_assert_uint_eq(count, 7);
	close(a.ev.fd);
}

/* --- threads --------------------------------------------------------- */

static void *serve(void *ctx)
{
	struct bell *stop = ctx;
	uint8_t memory[512];
	struct op op;

	while (!stop->rings) {
		ioq_submit(q, &transfer(&op, IO_READ, 0, memory, 512)->io);
		if (ioq_run(q, IOQ_FOREVER) < 0)
			return NULL;
		while (ioq_in_flight(q) || !stop->rings)
			if (ioq_run(q, IOQ_FOREVER) < 0)
				return NULL;
	}
	return stop;
}

START_BOTH(another_thread_may_open_stop_and_close_it)
{
	struct bell stop;
	pthread_t thread;
	void *result;

	setup(engine);
	hang(&stop);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, &stop), 0);
	ring(&stop, 1);
	pthread_join(thread, &result);
	ck_assert_ptr_eq(result, &stop);
	teardown();
	close(stop.ev.fd);
}

START_TEST(without_any_work_a_queue_opens_and_closes)
{
	struct err e = ERR_NONE;

	open_queue(IOQ_AUTO, IOQ_DEPTH_MAX);
	ck_assert_str_eq(ioq_engine_name(q),
			 ioq_available(NULL) ? "synchronous" : "io_uring");
	ioq_close(q);
	ck_assert_int_eq(ioq_open(&q, IOQ_AUTO, 1, &file_ops_real, &e), 0);
	ck_assert_str_eq(ioq_engine_name(q), "synchronous");
	ioq_close(q);
	ioq_close(NULL);
	ck_assert_int_eq(ioq_open(&q, IOQ_AUTO, 0, NULL, &e), -EINVAL);
	ck_assert_int_eq(ioq_open(&q, IOQ_AUTO, IOQ_DEPTH_MAX + 1, NULL, &e),
			 -EINVAL);
	ck_assert_str_eq(e.text, "queue depth 4097 is not in 1..4096");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_was_written_is_read,
		a_durable_write_and_a_sync_succeed,
		a_read_beyond_the_end_gives_zeroes,
		memory_in_many_pieces_is_one_transfer,
		a_part_of_scattered_memory_is_transferred,
		punched_and_zeroed_ranges_read_as_zeroes,
		zeroes_are_written_where_a_range_cannot_be_zeroed,
		more_than_the_depth_waits_inside,
		a_faulty_operation_is_refused_from_the_next_round,
		an_owner_may_submit_from_done,
		an_owner_may_be_freed_in_done,
		events_are_reported_as_often_as_they_come,
		a_look_sees_an_event_while_reads_go_on,
		a_wait_ends_with_its_time,
		only_so_many_events_are_taken,
		an_event_is_untouched_after_the_close,
		another_thread_may_open_stop_and_close_it,
		without_any_work_a_queue_opens_and_closes,
	};

	return SUITE_RUN("ioq", tests);
}
