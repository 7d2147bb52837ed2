/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose file operations fail: every request x every fault x at the
 * first or second call x once or for ever. No success is reported unless the
 * data is really in the file, and a failed sync is not cured by another one.
 */
#include <stdio.h>

#include "tests/unit/disk_rig.h"
#include "tests/unit/fault_ops.h"

#define BYTES (256U << 10) /* of the disk, and of each request */

static struct disk_rig rig;
static struct fault_ops faults;
static uint8_t old[BYTES], data[BYTES], seen[BYTES];

static void setup(enum disk_cache cache)
{
	fault_init(&faults);
	rig_setup(&rig, BYTES, cache, &faults.ops);
	rig_fill(old, BYTES, 1);
	rig_fill(data, BYTES, 2);
	ck_assert_int_eq(pwrite(rig.fd, old, BYTES, 0), BYTES);
}

/* --- the sweep ------------------------------------------------------- */

struct request_row {
	const char *name;
	enum disk_op op;
	bool durable, may_unmap;
};

static const struct request_row requests[] = {
	{ "read", DISK_READ, false, false },
	{ "write", DISK_WRITE, false, false },
	{ "durable write", DISK_WRITE, true, false },
	{ "flush", DISK_FLUSH, false, false },
	{ "discard", DISK_DISCARD, false, false },
	{ "zero", DISK_ZERO, false, false },
	{ "zero, unmap", DISK_ZERO, false, true },
	{ "durable zero", DISK_ZERO, true, true },
};

static const int errors[] = { EIO,	  ENOSPC,      EINTR,	  EAGAIN,
			      EOPNOTSUPP, FAULT_SHORT, FAULT_NONE };

static bool is_retried(int error, bool is_sticky)
{
	return !is_sticky && (error == EINTR || error == EAGAIN);
}

/* What is in the file (or, read, in memory) after a success. */
static void check_success(const struct request_row *row)
{
	if (row->op == DISK_READ) {
		ck_assert_mem_eq(seen, old, BYTES);
		return;
	}
	ck_assert_int_eq(pread(rig.fd, seen, BYTES, 0), BYTES);
	if (row->op == DISK_WRITE)
		ck_assert_mem_eq(seen, data, BYTES);
	else if (row->op == DISK_ZERO)
		ck_assert(rig_is_zero(seen, BYTES));
	else if (row->op == DISK_FLUSH)
		ck_assert_mem_eq(seen, old, BYTES);
}

/* A fault that hit and can't be worked around is an error of its request. */
static void check_outcome(const struct request_row *row, int error)
{
	bool fails = faults.hits && faults.error > 0 &&
		     !is_retried(faults.error, faults.is_sticky);

	if (!error)
		check_success(row);
	if (fails && faults.error != EOPNOTSUPP)
		ck_assert_int_eq(error, -faults.error);
	if (!faults.hits || is_retried(faults.error, faults.is_sticky) ||
	    faults.error == FAULT_SHORT)
		ck_assert_int_eq(error, 0);
	if (faults.error == FAULT_NONE && faults.hits &&
	    faults.call == FAULT_WRITE)
		ck_assert_int_eq(error, -EIO);
	ck_assert_int_eq(disk_is_poisoned(rig.disk),
			 error && faults.hits && faults.call == FAULT_SYNC);
}

static void try_one(const struct request_row *row, enum fault_call call,
		    int fault, unsigned int at, bool is_sticky)
{
	struct disk_try t;
	int error;

	setup(DISK_WRITEBACK);
	memset(seen, 0xcc, BYTES);
	rig_make(&t, row->op, 0, row->op == DISK_READ ? seen : data, BYTES);
	t.r.durable = row->durable;
	t.r.may_unmap = row->may_unmap;
	fault_set(&faults, call, fault, at, is_sticky);
	error = rig_finish(&rig, &t);
	/* A read of none is the end of the file: that is how zeroes come. */
	if (!(row->op == DISK_READ && fault == FAULT_NONE && faults.hits))
		check_outcome(row, error);
	rig_teardown(&rig);
}

START_TEST(no_request_succeeds_unless_its_data_is_there)
{
	size_t row, error;
	unsigned int at;
	int call;

	for (row = 0; row < sizeof(requests) / sizeof(requests[0]); row++)
		for (call = 0; call < FAULT_CALLS; call++)
			for (error = 0;
			     error < sizeof(errors) / sizeof(errors[0]);
			     error++)
				for (at = 0; at < 4; at++)
					try_one(&requests[row],
						(enum fault_call)call,
						errors[error], at / 2, at % 2);
}
END_TEST

/* The file system has no FALLOC_FL_*: zeroes are written, and that fails. */
START_TEST(zeroes_that_are_written_are_checked_like_a_write)
{
	struct disk_try t;

	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_ALLOCATE, EOPNOTSUPP, 0, true);
	rig_make(&t, DISK_ZERO, 0, NULL, BYTES);
	ck_assert_int_eq(rig_finish(&rig, &t), 0);
	check_success(&requests[5]);
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_request_succeeds_when_the_fault_is_gone)
{
	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_WRITE, ENOSPC, 0, false);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, BYTES), -ENOSPC);
	ck_assert(!disk_is_poisoned(rig.disk));
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, BYTES), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	check_success(&requests[1]);
	rig_teardown(&rig);
}
END_TEST

/* --- poison ---------------------------------------------------------- */

static void check_poisoned(void)
{
	uint8_t memory[512];

	ck_assert(disk_is_poisoned(rig.disk));
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, 512), -EIO);
	ck_assert_int_eq(rig_do(&rig, DISK_ZERO, 0, NULL, 512), -EIO);
	ck_assert_int_eq(rig_do(&rig, DISK_DISCARD, 0, NULL, 512), -EIO);
	ck_assert_int_eq(rig_do(&rig, DISK_READ, 0, memory, 512), 0);
	disk_verified(rig.disk);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, 512), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
}

START_TEST(a_failed_flush_is_not_cured_by_the_next_one)
{
	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_SYNC, EIO, 0, false);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, BYTES), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	check_poisoned();
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_durable_write_that_cannot_be_synced_poisons)
{
	setup(DISK_WRITETHROUGH);
	fault_set(&faults, FAULT_SYNC, ENOSPC, 0, false);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, BYTES), -ENOSPC);
	check_poisoned();
	rig_teardown(&rig);
}
END_TEST

/* The kernel tells one of them; the others must not believe otherwise. */
START_TEST(flushes_and_durable_writes_in_flight_fail_together)
{
	struct disk_try t[6];
	int i;

	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_SYNC, EIO, 0, false);
	for (i = 0; i < 6; i++) {
		rig_make(&t[i], i % 2 ? DISK_FLUSH : DISK_WRITE,
			 (uint64_t)i * 512, data, 512);
		t[i].r.durable = true;
		disk_submit(rig.disk, &t[i].r);
	}
	rig_run(&rig);
	for (i = 0; i < 6; i++) {
		ck_assert_int_eq(t[i].calls, 1);
		ck_assert_int_eq(t[i].error, -EIO);
	}
	ck_assert_uint_eq(faults.made, 1);
	check_poisoned();
	rig_teardown(&rig);
}
END_TEST

/* A second sync would succeed, and say nothing about what was lost. */
START_TEST(a_durable_write_that_is_done_after_a_failed_flush_fails)
{
	struct disk_try flush, write;

	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_SYNC, EIO, 0, false);
	disk_submit(rig.disk, &rig_make(&flush, DISK_FLUSH, 0, NULL, 0)->r);
	rig_make(&write, DISK_WRITE, 0, data, BYTES)->r.durable = true;
	ck_assert_int_eq(rig_finish(&rig, &write), -EIO);
	ck_assert_int_eq(flush.error, -EIO);
	ck_assert_uint_eq(faults.made, 1);
	check_poisoned();
	rig_teardown(&rig);
}
END_TEST

/* --- how many syncs -------------------------------------------------- */

START_TEST(flushes_that_wait_share_a_sync_that_begins_later)
{
	struct disk_try t[10];
	int i;

	setup(DISK_WRITEBACK);
	fault_set(&faults, FAULT_SYNC, EIO, 100, false);
	for (i = 0; i < 10; i++)
		disk_submit(rig.disk,
			    &rig_make(&t[i], DISK_FLUSH, 0, NULL, 0)->r);
	rig_run(&rig);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(t[i].error, 0);
	ck_assert_uint_eq(faults.made, 2);
	rig_teardown(&rig);
}
END_TEST

START_TEST(writethrough_syncs_and_writeback_does_not)
{
	static const struct {
		enum disk_cache cache;
		unsigned int syncs;
	} rows[] = { { DISK_WRITEBACK, 0 },
		     { DISK_WRITETHROUGH, 1 },
		     { DISK_DIRECT, 0 } };
	size_t i;

	for (i = 0; i < 3; i++) {
		setup(rows[i].cache);
		fault_set(&faults, FAULT_SYNC, EIO, 100, false);
		ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, data, BYTES), 0);
		ck_assert_uint_eq(faults.made, rows[i].syncs);
		rig_teardown(&rig);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		no_request_succeeds_unless_its_data_is_there,
		zeroes_that_are_written_are_checked_like_a_write,
		a_request_succeeds_when_the_fault_is_gone,
		a_failed_flush_is_not_cured_by_the_next_one,
		a_durable_write_that_cannot_be_synced_poisons,
		flushes_and_durable_writes_in_flight_fail_together,
		a_durable_write_that_is_done_after_a_failed_flush_fails,
		flushes_that_wait_share_a_sync_that_begins_later,
		writethrough_syncs_and_writeback_does_not,
	};

	return SUITE_RUN("disk_faults", tests);
}
