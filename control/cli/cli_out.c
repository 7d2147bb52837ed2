/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output and standard error of `amber`. Main thread. Invariant:
 * a failed write is remembered until cli_out_end().
 */
#include "control/cli/cli_out.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/term_table.h"
#include "control/nearest.h"

#define LINE_BYTES (16u << 10)

static int write_errno; /* of the first failed write */

void cli_out_init(void)
{
	int fd;

	/*
	 * A file that is opened later must not become one of the standard
	 * three. Read-only for output: writing then fails and is reported.
	 */
	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

bool cli_out_failed(void)
{
	if (fflush(stdout) != 0 && !write_errno)
		write_errno = errno;
	return write_errno != 0;
}

void cli_out_broke(int code)
{
	if (!write_errno)
		write_errno = code;
}

int cli_out_end(int status)
{
	cli_out_failed();
	if (write_errno == EPIPE)
		return CLI_EXIT_PIPE;
	if (!write_errno)
		return status;
	cli_error(NULL, "standard output: %s", strerror(write_errno));
	return status ? status : EXIT_CODE_FAILED;
}

static void print_line(const char *name, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void print_line(const char *name, const char *fmt, va_list ap)
{
	struct buf raw, line;

	buf_init(&raw, LINE_BYTES);
	buf_init(&line, LINE_BYTES);
	buf_vprintf(&raw, fmt, ap);
	buf_puts(&line, "amber: ");
	if (name)
		buf_printf(&line, "%s: ", name);
	term_put_safe(&line, buf_text(&raw), true);
	fflush(stdout);
	fprintf(stderr, "%s\n", buf_text(&line));
	buf_fini(&raw);
	buf_fini(&line);
}

void cli_error(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(name, fmt, ap);
	va_end(ap);
}

void cli_note(const char *name, const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	print_line(name, fmt, ap);
	va_end(ap);
}

int cli_fail(const char *name, const struct err *e)
{
	cli_error(name, "%s", e->text);
	switch (e->code) {
	case -EINVAL:
	case -ERANGE:
	case -EFBIG: /* a configuration beyond its limits */
		return EXIT_CODE_USAGE;
	default:
		return EXIT_CODE_FAILED;
	}
}

int cli_fail_usage(const struct err *e)
{
	cli_error(NULL, "%s", e->text);
	return EXIT_CODE_USAGE;
}

void cli_no_word(const char *command, const char *word,
		 const char *const *names, size_t count)
{
	const char *near = nearest(word, names, count);

	if (near)
		cli_error(NULL, "%s: no \"%.64s\" (did you mean %s?)", command,
			  word, near);
	else
		cli_error(NULL, "%s: no \"%.64s\" (see: amber help %s)",
			  command, word, command);
}

bool cli_print(struct buf *b)
{
	errno = 0;
	if (!write_errno && b->len &&
	    fwrite(b->data, 1, b->len, stdout) != b->len)
		write_errno = errno ? errno : EIO;
	buf_reset(b);
	return !write_errno;
}

static int put_chunk(const char *text, size_t len, void *ctx)
{
	return buf_put(ctx, text, len);
}

bool cli_print_json(json_t *json)
{
	struct buf b;
	bool good;

	buf_init(&b, 64u << 20);
	if (json_dump_callback(json, put_chunk, &b, JSON_ENCODE_ANY) == 0)
		buf_puts(&b, "\n");
	else
		cli_error(NULL, "out of memory");
	json_decref(json);
	good = cli_print(&b);
	buf_fini(&b);
	return good;
}
