/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the journal from its end, and adds to it. Any thread; no state. The
 * file is taken as hostile: what is no record is no number.
 */
#include "control/journal.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "control/home.h"

static uint64_t number_of(const char *line, size_t len)
{
	json_t *record = json_loadb(line, len, 0, NULL);
	json_int_t seq = json_integer_value(json_object_get(record, "seq"));

	json_decref(record);
	return seq > 0 && seq < INT64_MAX / 2 ? (uint64_t)seq : 0;
}

/* The number of the last line that has one. */
static uint64_t last_number(const char *text, size_t len)
{
	uint64_t number = 0;
	size_t end, start;

	for (end = len; end && !number; end = start) {
		if (text[end - 1] != '\n') {
			start = end - 1; /* torn */
			continue;
		}
		for (start = end - 1; start && text[start - 1] != '\n';)
			start--;
		number = number_of(text + start, end - 1 - start);
	}
	return number;
}

static uint64_t last_in_file(int dir, const char *name)
{
	char text[JOURNAL_TAIL_BYTES];
	struct stat st;
	ssize_t n = -1;
	off_t from;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		from = st.st_size > (off_t)sizeof(text)
			       ? st.st_size - (off_t)sizeof(text)
			       : 0;
		n = pread(fd, text, sizeof(text), from);
	}
	close(fd);
	return n > 0 ? last_number(text, (size_t)n) : 0;
}

uint64_t journal_last(int dir)
{
	uint64_t last;

	if (dir < 0)
		return 0;
	last = last_in_file(dir, VMDIR_LOGS "/" VMDIR_JOURNAL);
	if (!last)
		last = last_in_file(dir, VMDIR_LOGS
				    "/" VMDIR_JOURNAL VMDIR_OLD_SUFFIX);
	return last;
}

/* In one piece, behind a line that was torn on a line of its own. */
static int append(int fd, const struct event_record *record, struct err *e)
{
	struct stat st;
	char last = '\n', *line;
	int n, r;

	if (!fstat(fd, &st) && st.st_size)
		(void)!pread(fd, &last, 1, st.st_size - 1);
	n = asprintf(&line, "%s%s\n", last == '\n' ? "" : "\n", record->json);
	if (n < 0)
		return err_sys(e, -ENOMEM, VMDIR_JOURNAL);
	r = file_write_all(fd, line, (size_t)n);
	free(line);
	return r ? err_sys(e, r, VMDIR_JOURNAL) : 0;
}

int journal_add(int dir, const struct event_note *note, struct err *e)
{
	const struct event_record *record;
	struct events *events;
	int r = events_create(&events, journal_last(dir), e), fd;

	if (r)
		return r;
	fd = openat(dir, VMDIR_LOGS "/" VMDIR_JOURNAL,
		    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
			    O_NONBLOCK,
		    0600);
	record = events_note(events, note);
	if (fd < 0)
		r = err_sys(e, -errno, VMDIR_JOURNAL);
	else if (!record)
		r = err_sys(e, -ENOMEM, VMDIR_JOURNAL);
	else
		r = append(fd, record, e);
	if (fd >= 0)
		close(fd);
	events_destroy(events);
	return r;
}
