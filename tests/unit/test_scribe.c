/* SPDX-License-Identifier: Apache-2.0 */
/* The log writer: order, rotation, loss, hung and full disks. */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "control/home.h"
#include "control/scribe.h"

#define BURST_KIB ((16 << 10) * SUITE_MEMORY_FACTOR)

static char place[64];
static int dir, logs;
static struct loop *loop;
static struct scribe *scribe;
static struct err e;
static char trouble[256];

static void on_trouble(void *ctx, const char *text)
{
	(void)ctx;
	snprintf(trouble, sizeof(trouble), "%s", text);
}

static void begin(uint64_t console_limit, size_t queue)
{
	struct scribe_config config = { .trouble = on_trouble };

	snprintf(place, sizeof(place), "/tmp/amber-test-scribe-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	dir = file_open_dir(AT_FDCWD, place, &e);
	ck_assert_int_eq(mkdirat(dir, VMDIR_LOGS, 0700), 0);
	logs = file_open_dir(dir, VMDIR_LOGS, &e);
	ck_assert_int_eq(loop_create(&loop, &e), 0);
	config.loop = loop;
	config.dir = dir;
	config.queue_bytes = queue;
	config.log_bytes[SCRIBE_CONSOLE] = console_limit;
	ck_assert_int_eq(scribe_create(&scribe, &config, &e), 0);
	*trouble = 0;
}

static void end(void)
{
	scribe_destroy(scribe);
	loop_destroy(loop);
	close(logs);
	close(dir);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, &e), 0);
}

static void expect_file(int at, const char *name, const char *text)
{
	struct buf content;

	buf_init(&content, 1 << 24);
	ck_assert_int_eq(file_read(at, name, 1 << 24, &content, &e), 0);
	ck_assert_str_eq(buf_text(&content), text);
	buf_fini(&content);
}

static void put(enum scribe_log log, const char *text)
{
	scribe_append(scribe, log, text, strlen(text));
}

START_TEST(what_was_given_before_the_start_is_kept_in_order)
{
	begin(0, 0);
	put(SCRIBE_CONSOLE, "one ");
	put(SCRIBE_JOURNAL, "{}\n");
	scribe_replace(scribe, SCRIBE_STATE, "old", 3);
	scribe_replace(scribe, SCRIBE_STATE, "new", 3);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "two");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG, "one two");
	expect_file(logs, VMDIR_JOURNAL, "{}\n");
	expect_file(dir, VMDIR_STATE, "new");
	end();
}
END_TEST

START_TEST(it_is_written_soon_without_being_asked)
{
	struct stat st;

	begin(0, 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "x");
	while (fstatat(logs, VMDIR_CONSOLE_LOG, &st, 0) < 0 || !st.st_size)
		loop_step(loop, 50);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	end();
}
END_TEST

START_TEST(a_log_is_rotated_at_its_limit_and_one_old_is_kept)
{
	begin(10, 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "0123456789");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG, "0123456789"); /* just fits */
	put(SCRIBE_CONSOLE, "a");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG VMDIR_OLD_SUFFIX, "0123456789");
	expect_file(logs, VMDIR_CONSOLE_LOG, "a");
	put(SCRIBE_CONSOLE, "bcdefghijkl");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG VMDIR_OLD_SUFFIX, "a");
	expect_file(logs, VMDIR_CONSOLE_LOG, "bcdefghijkl");
	end();
}
END_TEST

START_TEST(a_later_process_goes_on_where_the_file_ends)
{
	begin(0, 0);
	ck_assert_int_eq(file_commit(logs, VMDIR_CONSOLE_LOG, "before ", 7,
				     FILE_ATOMIC, &e),
			 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "after");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG, "before after");
	end();
}
END_TEST

START_TEST(what_does_not_fit_the_queue_is_counted_and_told)
{
	uint64_t until;

	begin(0, 16);
	put(SCRIBE_CONSOLE, "0123456789");
	put(SCRIBE_CONSOLE, "abcdef"); /* 16: full */
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_CONSOLE), 0);
	put(SCRIBE_CONSOLE, "!");
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_CONSOLE), 1);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_CONSOLE_LOG, "0123456789abcdef");
	put(SCRIBE_CONSOLE, "and on");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	until = clock_mono_ns() + 5 * NS_PER_S;
	while (!*trouble && clock_mono_ns() < until)
		loop_step(loop, 100);
	ck_assert_str_eq(trouble, "console.log: output came faster than it "
				  "could be written; 1 bytes lost so far");
	end();
}
END_TEST

START_TEST(a_full_disk_is_told_and_survived)
{
	struct rlimit old, tiny;
	uint64_t until;

	signal(SIGXFSZ, SIG_IGN);
	begin(0, 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_JOURNAL, "{\"a\":1}\n");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	tiny = (struct rlimit){ 10, old.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	put(SCRIBE_JOURNAL, "{\"b\":2}\n");
	put(SCRIBE_CONSOLE, "0123456789abcdef");
	scribe_replace(scribe, SCRIBE_STATE, "0123456789abcdef", 16);
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	/* a line is there in full or not at all; a console up to the limit */
	expect_file(logs, VMDIR_JOURNAL, "{\"a\":1}\n");
	expect_file(logs, VMDIR_CONSOLE_LOG, "0123456789");
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_CONSOLE), 6);
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_JOURNAL), 8);
	/* no temporary of state.json is left */
	ck_assert_int_eq(faccessat(dir, VMDIR_STATE, F_OK, 0), -1);
	until = clock_mono_ns() + 5 * NS_PER_S;
	while (!*trouble && clock_mono_ns() < until)
		loop_step(loop, 100);
	ck_assert_ptr_nonnull(strstr(trouble, "File too large"));
	put(SCRIBE_JOURNAL, "{\"c\":3}\n");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	expect_file(logs, VMDIR_JOURNAL, "{\"a\":1}\n{\"c\":3}\n");
	end();
}
END_TEST

START_TEST(a_log_that_is_no_file_is_not_followed)
{
	begin(0, 0);
	ck_assert_int_eq(symlinkat("/dev/full", logs, VMDIR_CONSOLE_LOG), 0);
	ck_assert_int_eq(mkfifoat(logs, VMDIR_JOURNAL, 0600), 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "x");
	put(SCRIBE_JOURNAL, "y");
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_CONSOLE), 1);
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_JOURNAL), 1);
	end();
}
END_TEST

START_TEST(a_removed_directory_is_survived)
{
	begin(0, 0);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, &e), 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	put(SCRIBE_CONSOLE, "x");
	scribe_replace(scribe, SCRIBE_STATE, "x", 1);
	ck_assert_int_eq(scribe_flush(scribe, 2000), 0);
	ck_assert_uint_eq(scribe_lost(scribe, SCRIBE_CONSOLE), 1);
	end();
}
END_TEST

START_TEST(a_burst_of_100_mb_needs_bounded_memory)
{
	static char block[1 << 16];
	struct rusage before, after;
	int i;

	begin(1 << 20, 0);
	ck_assert_int_eq(scribe_start(scribe, &e), 0);
	memset(block, 'x', sizeof(block));
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < 1600; i++)
		scribe_append(scribe, SCRIBE_CONSOLE, block, sizeof(block));
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, BURST_KIB);
	ck_assert_int_eq(scribe_flush(scribe, 10000), 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_was_given_before_the_start_is_kept_in_order,
		it_is_written_soon_without_being_asked,
		a_log_is_rotated_at_its_limit_and_one_old_is_kept,
		a_later_process_goes_on_where_the_file_ends,
		what_does_not_fit_the_queue_is_counted_and_told,
		a_full_disk_is_told_and_survived,
		a_log_that_is_no_file_is_not_followed,
		a_removed_directory_is_survived,
		a_burst_of_100_mb_needs_bounded_memory,
	};

	return SUITE_RUN("scribe", tests);
}
