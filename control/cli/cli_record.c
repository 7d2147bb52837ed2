/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of a VM read from its directory, records printed as lines. Any
 * thread. Invariant: a log is read up to the size it had when it was
 * opened, so that a guest that prints on doesn't make it endless.
 */
#include "control/cli/cli_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"
#include "control/home.h"

#define BLOCK_BYTES   65536
#define JOURNAL_BYTES (64u << 20)

/* A part of a log: the rotated one, or the present one. */
struct part {
	int fd; /* owned; -1: not there */
	off_t at, end;
};

static void open_part(struct part *p, int dir, const char *name,
		      const char *suffix)
{
	char path[128];
	struct stat st;

	*p = (struct part){ .fd = -1 };
	snprintf(path, sizeof(path), VMDIR_LOGS "/%s%s", name, suffix);
	p->fd = openat(dir, path,
		       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (p->fd >= 0 && fstat(p->fd, &st) == 0 && S_ISREG(st.st_mode))
		p->end = st.st_size;
}

/*
 * Moves p->at to where its last *lines lines begin; *lines is lessened by
 * those that it has. A last line without an end counts.
 */
static void seek_lines(struct part *p, uint64_t *lines)
{
	char block[BLOCK_BYTES];
	off_t at = p->end;

	while (at > 0) {
		off_t from = at > BLOCK_BYTES ? at - BLOCK_BYTES : 0;
		ssize_t n = pread(p->fd, block, (size_t)(at - from), from);

		for (; n > 0; n--) {
			if (block[n - 1] != '\n' || from + n == p->end)
				continue;
			if (--*lines == 0) {
				p->at = from + n;
				return;
			}
		}
		at = from;
	}
	if (p->end)
		--*lines; /* the first line has no end before it */
}

static int copy_part(const struct part *p,
		     int (*put)(void *ctx, const char *bytes, size_t len),
		     void *ctx)
{
	char block[BLOCK_BYTES];
	off_t at = p->at;
	int r = 0;

	while (!r && at < p->end) {
		size_t want = sizeof(block);
		ssize_t n;

		if ((off_t)want > p->end - at)
			want = (size_t)(p->end - at);
		n = pread(p->fd, block, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		r = put(ctx, block, (size_t)n);
		at += n;
	}
	return r;
}

/* Both parts of a log. */
struct log {
	struct part old, now;
};

static int open_log(struct log *l, int dir, const char *name, struct err *e)
{
	open_part(&l->old, dir, name, VMDIR_OLD_SUFFIX);
	open_part(&l->now, dir, name, "");
	if (l->old.fd < 0 && l->now.fd < 0)
		return err_set(e, -ENOENT, "there is no %s yet", name);
	return 0;
}

static void close_log(const struct log *l)
{
	if (l->old.fd >= 0)
		close(l->old.fd);
	if (l->now.fd >= 0)
		close(l->now.fd);
}

static int copy_log(struct log *l, const char *name,
		    int (*put)(void *ctx, const char *bytes, size_t len),
		    void *ctx, struct err *e)
{
	int r = 0;

	if (l->old.fd >= 0)
		r = copy_part(&l->old, put, ctx);
	if (!r && l->now.fd >= 0)
		r = copy_part(&l->now, put, ctx);
	close_log(l);
	return r < 0 ? err_sys(e, r, "%s", name) : r;
}

int cli_log_copy(int dir, const char *name, uint64_t lines,
		 int (*put)(void *ctx, const char *bytes, size_t len),
		 void *ctx, struct err *e)
{
	struct log l;
	int r = open_log(&l, dir, name, e);

	if (r)
		return r;
	if (lines) {
		seek_lines(&l.now, &lines);
		if (lines && l.old.fd >= 0)
			seek_lines(&l.old, &lines);
		else
			l.old.at = l.old.end;
	}
	return copy_log(&l, name, put, ctx, e);
}

/* Moves p->at by as many of *bytes as it has, and lessens *bytes by them. */
static void skip(struct part *p, uint64_t *bytes)
{
	p->at = (uint64_t)p->end < *bytes ? p->end : (off_t)*bytes;
	*bytes -= (uint64_t)p->at;
}

int cli_log_rest(int dir, const char *name, uint64_t from,
		 int (*put)(void *ctx, const char *bytes, size_t len),
		 void *ctx, struct err *e)
{
	struct log l;
	int r = open_log(&l, dir, name, e);

	if (r)
		return r;
	skip(&l.old, &from);
	skip(&l.now, &from);
	return copy_log(&l, name, put, ctx, e);
}

uint64_t cli_log_bytes(int dir, const char *name)
{
	struct log l;

	if (open_log(&l, dir, name, NULL))
		return 0;
	close_log(&l);
	return (uint64_t)l.old.end + (uint64_t)l.now.end;
}

size_t cli_tail(const char *bytes, size_t len, uint64_t lines)
{
	size_t at;

	for (at = len; at > 0; at--)
		if (bytes[at - 1] == '\n' && at != len && --lines == 0)
			return at;
	return 0;
}

static int put_buf(void *ctx, const char *bytes, size_t len)
{
	return buf_put(ctx, bytes, len);
}

static json_t *parse_lines(const char *text, uint64_t since)
{
	json_t *array = json_array();

	while (*text) {
		size_t len = strcspn(text, "\n");
		json_t *record = json_loadb(text, len, 0, NULL);

		if (json_is_object(record) &&
		    cli_status_number(record, "seq") > since)
			json_array_append(array, record);
		json_decref(record);
		text += len + (text[len] == '\n');
	}
	return array;
}

int cli_record_load(int dir, uint64_t since, uint64_t lines, json_t **out,
		    struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, JOURNAL_BYTES);
	/* One more: the first may be torn at a rotation. */
	r = cli_log_copy(dir, VMDIR_JOURNAL, lines ? lines + 1 : 0, put_buf,
			 &text, e);
	if (r == -ENOENT) {
		*out = json_array();
		r = 0;
	} else if (!r) {
		*out = parse_lines(buf_text(&text), since);
		while (lines && json_array_size(*out) > lines)
			json_array_remove(*out, 0);
	}
	buf_fini(&text);
	return r;
}

static void put_what(const json_t *record, bool colour, struct buf *out)
{
	const char *kind = cli_status_text(record, "kind");
	const char *to = cli_status_text(record, "to");

	if (*to)
		buf_printf(out, "%-12s  %s -> %s%s%s", kind,
			   cli_status_text(record, "from"),
			   term_code(term_state_colour(to), colour), to,
			   term_code(TERM_PLAIN, colour));
	else
		buf_printf(out, "%-12s", kind);
	if (strcmp(kind, "milestone") == 0)
		buf_printf(
			out, "  %llu",
			(unsigned long long)cli_status_number(record, "value"));
}

/* One line stands for a report: which kernel, else the first one. */
static void put_telling_line(const char *text, struct buf *out)
{
	const char *kernel = strstr(text, "\nkernel: ");
	char line[256];

	if (kernel)
		text = kernel + 1;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
	term_put_safe(out, line, false);
}

void cli_record_line(const json_t *record, bool colour, struct buf *out)
{
	uint64_t us = cli_status_number(record, "duration_us");
	const char *text = cli_status_text(record, "text");
	const char *reason = cli_status_text(record, "reason");
	const char *cause = cli_status_text(record, "cause");
	char took[TERM_HUMAN_BYTES];

	buf_printf(out, "%s%s%s  ", term_code(TERM_DIM, colour),
		   cli_status_text(record, "time"),
		   term_code(TERM_PLAIN, colour));
	put_what(record, colour, out);
	if (*text) {
		buf_puts(out, "  ");
		put_telling_line(text, out);
	}
	if (*cause) {
		buf_puts(out, "  (");
		cli_status_why(record, out);
		if (us)
			buf_printf(out, ", %s", term_duration_us(us, took));
		buf_puts(out, ")");
	}
	if (*reason) {
		buf_puts(out, "  \"");
		term_put_safe(out, reason, false);
		buf_puts(out, "\"");
	}
	buf_puts(out, "\n");
}
