/* SPDX-License-Identifier: Apache-2.0 */
/* When a copy begins to be on the disk: a raw disk that only counts calls. */
#include "tests/unit/suite.h"

#include <errno.h>
#include <string.h>

#include "disk/copy.h"
#include "disk/format.h"
#include "tests/unit/disk_rig.h"

#define MIB   (1u << 20)
#define BEGIN (32u * MIB) /* written, then they begin to be synced */

static struct disk_rig rig;
static struct file_ops ops;
static unsigned int begun;
static int begun_fd, begin_error;
static enum copy_what what;

static int count_begin(void *ctx, int fd)
{
	(void)ctx;
	begun++;
	begun_fd = fd;
	errno = begin_error;
	return begin_error ? -1 : 0;
}

/* Nothing is stored: what is copied is of no interest here. */
static ssize_t swallow(void *ctx, int fd, const struct iovec *iov, int n,
		       off_t offset, int flags)
{
	ssize_t bytes = 0;
	int i;

	(void)ctx, (void)fd, (void)offset, (void)flags;
	for (i = 0; i < n; i++)
		bytes += (ssize_t)iov[i].iov_len;
	return bytes;
}

static int look(void *ctx, uint64_t at, uint64_t left, uint64_t *n,
		enum copy_what *out)
{
	(void)ctx, (void)at;
	*n = left;
	*out = what;
	return 0;
}

static int peek(void *ctx, void *out, uint64_t n, uint64_t at)
{
	(void)ctx, (void)at;
	memset(out, 'x', n);
	return 0;
}

/* Copies so many bytes of that kind; returns how often a sync was begun. */
static unsigned int copy(enum copy_what of, uint64_t bytes)
{
	struct disk_config config = { .format = DISK_RAW, .files = &ops };
	struct copy_plan plan = { .bytes = bytes, .look = look, .peek = peek };
	struct err e = ERR_NONE;

	rig_create(&rig, bytes);
	config.path = rig.path;
	ck_assert_msg(!disk_open(&rig.disk, &config, &e), "%s", e.text);
	ck_assert_msg(!ioq_open(&rig.q, IOQ_SYNC, 16, &ops, &e), "%s", e.text);
	disk_attach(rig.disk, rig.q);
	plan.to = rig.disk;
	plan.q = rig.q;
	begun = 0;
	what = of;
	ck_assert_msg(!copy_run(&plan, &e), "%s", e.text);
	ck_assert_uint_eq(plan.copied, of == COPY_DATA ? bytes : 0);
	ck_assert(!begun || begun_fd == rig.disk->fd);
	rig_teardown(&rig);
	return begun;
}

static void setup(void)
{
	ops = file_ops_real;
	ops.pwritev = swallow;
	ops.begin_sync = count_begin;
	begin_error = 0;
}

START_TEST(a_copy_begins_to_be_synced_while_it_is_made)
{
	setup();
	ck_assert_uint_eq(copy(COPY_DATA, BEGIN - MIB), 0);
	ck_assert_uint_eq(copy(COPY_DATA, BEGIN), 1);
	ck_assert_uint_eq(copy(COPY_DATA, 3 * BEGIN + MIB), 3);
}
END_TEST

START_TEST(what_is_not_written_is_not_synced)
{
	setup();
	ck_assert_uint_eq(copy(COPY_SKIP, 4 * BEGIN), 0);
	ck_assert_uint_eq(copy(COPY_ZERO, 4 * BEGIN), 0);
}
END_TEST

START_TEST(a_sync_that_cannot_begin_early_does_no_harm)
{
	setup();
	begin_error = EIO;
	ck_assert_uint_eq(copy(COPY_DATA, 2 * BEGIN), 2);
	ops.begin_sync = NULL;
	ck_assert_uint_eq(copy(COPY_DATA, 2 * BEGIN), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_copy_begins_to_be_synced_while_it_is_made,
		what_is_not_written_is_not_synced,
		a_sync_that_cannot_begin_early_does_no_harm,
	};

	return SUITE_RUN("copy", tests);
}
