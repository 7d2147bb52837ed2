/* SPDX-License-Identifier: Apache-2.0 */
/* Where the numbers of a journal go on; files of every kind of damage. */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "control/events.h"
#include "control/home.h"
#include "control/journal.h"

static char place[64];
static int dir;

static void setup(void)
{
	struct err e = ERR_NONE;

	snprintf(place, sizeof(place), "/tmp/amber-test-journal-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	dir = file_open_dir(AT_FDCWD, place, &e);
	ck_assert_int_ge(dir, 0);
	ck_assert_int_eq(mkdirat(dir, VMDIR_LOGS, 0700), 0);
}

static void teardown(void)
{
	close(dir);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, NULL), 0);
}

static void put(const char *name, const char *text)
{
	int logs = openat(dir, VMDIR_LOGS, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(
		file_commit(logs, name, text, strlen(text), FILE_ATOMIC, NULL),
		0);
	close(logs);
}

START_TEST(a_new_vm_begins_at_one)
{
	setup();
	ck_assert_uint_eq(journal_last(dir), 0);
	ck_assert_uint_eq(journal_last(-1), 0);
	teardown();
}
END_TEST

static void add(const char *text)
{
	struct err e = ERR_NONE;
	const struct event_note note = { .kind = "policy",
					 .state = VM_STOPPED,
					 .cause = "command",
					 .actor = { .kind = "policy" },
					 .reason = "",
					 .text = text };

	ck_assert_msg(!journal_add(dir, &note, &e), "%s", e.text);
}

START_TEST(a_record_that_is_added_has_the_next_number)
{
	struct buf text;

	setup();
	add("first");
	ck_assert_uint_eq(journal_last(dir), 1);
	put(VMDIR_JOURNAL, "{\"seq\":1}\n{\"seq\":7}\n{\"seq\":8,\"ki");
	add("behind a torn one");
	ck_assert_uint_eq(journal_last(dir), 8);
	add("and one more");
	ck_assert_uint_eq(journal_last(dir), 9);
	buf_init(&text, 4096);
	ck_assert_int_eq(
		file_read(dir, VMDIR_LOGS "/" VMDIR_JOURNAL, 4096, &text, NULL),
		0);
	ck_assert_ptr_nonnull(strstr(buf_text(&text), "\"ki\n{\"seq\":8,"));
	buf_fini(&text);
	teardown();
}
END_TEST

START_TEST(the_last_whole_record_counts)
{
	setup();
	put(VMDIR_JOURNAL, "{\"seq\":1}\n{\"seq\":7,\"kind\":\"x\"}\n");
	ck_assert_uint_eq(journal_last(dir), 7);
	put(VMDIR_JOURNAL, "{\"seq\":1}\n{\"seq\":8}\n{\"seq\":9,\"ki");
	ck_assert_uint_eq(journal_last(dir), 8);
	put(VMDIR_JOURNAL, "{\"seq\":3}\n\n\nnonsense\n[4]\n{\"seq\":\"5\"}\n");
	ck_assert_uint_eq(journal_last(dir), 3);
	put(VMDIR_JOURNAL, "{\"seq\":3}\n{\"seq\":-4}\n"
			   "{\"seq\":9223372036854775807}\n");
	ck_assert_uint_eq(journal_last(dir), 3);
	teardown();
}
END_TEST

START_TEST(the_rotated_file_is_asked_when_the_new_one_is_empty)
{
	setup();
	put(VMDIR_JOURNAL VMDIR_OLD_SUFFIX, "{\"seq\":41}\n{\"seq\":42}\n");
	ck_assert_uint_eq(journal_last(dir), 42);
	put(VMDIR_JOURNAL, "");
	ck_assert_uint_eq(journal_last(dir), 42);
	put(VMDIR_JOURNAL, "{\"seq\":43}\n");
	ck_assert_uint_eq(journal_last(dir), 43);
	teardown();
}
END_TEST

START_TEST(what_is_no_file_is_no_journal)
{
	int logs;

	setup();
	logs = openat(dir, VMDIR_LOGS, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(symlinkat("/etc/passwd", logs, VMDIR_JOURNAL), 0);
	ck_assert_uint_eq(journal_last(dir), 0);
	ck_assert_int_eq(unlinkat(logs, VMDIR_JOURNAL, 0), 0);
	ck_assert_int_eq(mkfifoat(logs, VMDIR_JOURNAL, 0600), 0);
	ck_assert_uint_eq(journal_last(dir), 0);
	close(logs);
	teardown();
}
END_TEST

START_TEST(events_go_on_from_there)
{
	struct event_note note = { .kind = "command", .cause = "command" };
	struct err e = ERR_NONE;
	struct events *ev;

	ck_assert_int_eq(events_create(&ev, 42, &e), 0);
	ck_assert_uint_eq(events_first(ev), 43);
	ck_assert_uint_eq(events_next(ev), 43);
	ck_assert_uint_eq(events_note(ev, &note)->seq, 43);
	ck_assert_uint_eq(events_first(ev), 43);
	ck_assert_ptr_null(events_get(ev, 42));
	ck_assert_ptr_nonnull(events_get(ev, 43));
	events_destroy(ev);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_new_vm_begins_at_one,
		a_record_that_is_added_has_the_next_number,
		the_last_whole_record_counts,
		the_rotated_file_is_asked_when_the_new_one_is_empty,
		what_is_no_file_is_no_journal,
		events_go_on_from_there,
	};

	return SUITE_RUN("journal", tests);
}
