/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber disk OPERATION FILE...`: which operation, what the options mean, and
 * the small operations. Main thread.
 */
#include "control/cli/cli_disk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/config_value.h"
#include "disk/convert.h"
#include "disk/paths.h"

static const struct operation {
	const char *name;
	unsigned int min, max; /* arguments behind the name */
	const char *usage;
	int (*run)(const struct cli *cli);
} operations[] = {
	{ "create", 1, 2, "FILE [SIZE]", cli_disk_create },
	{ "info", 1, 1, "FILE", cli_disk_info },
	{ "check", 1, 1, "FILE", cli_disk_check },
	{ "map", 1, 1, "FILE", cli_disk_map },
	{ "compare", 2, 2, "FILE FILE", cli_disk_compare },
	{ "convert", 2, 2, "FILE NEW", cli_disk_convert },
	{ "resize", 2, 2, "FILE [+|-]SIZE", cli_disk_resize },
	{ "commit", 1, 1, "FILE", cli_disk_commit },
	{ "stream", 1, 1, "FILE", cli_disk_stream },
	{ "rebase", 1, 1, "FILE", cli_disk_rebase },
	{ "apply", 2, 2, "FILE SNAPSHOT", cli_disk_apply },
	{ "bench", 1, 1, "FILE", cli_disk_bench },
};

#define COUNT (sizeof(operations) / sizeof(operations[0]))

/* --- options --------------------------------------------------------- */

int cli_disk_format(const struct cli *cli, enum cli_opt id,
		    enum disk_format *out)
{
	const char *text = cli_value(cli, id);
	int format = text ? disk_format_parse(text) : DISK_FORMAT_UNKNOWN;

	*out = format < 0 ? DISK_FORMAT_UNKNOWN : (enum disk_format)format;
	if (format >= 0)
		return 0;
	cli_error(NULL, "--%s: %.32s is neither raw nor qcow2",
		  cli_option(id)->name, text);
	return EXIT_CODE_USAGE;
}

static int open_disk(const struct cli *cli, const char *path, bool read_only,
		     bool is_alone, struct disk **out)
{
	const char *const allowed[] = { cli_value(cli, CLI_ALLOW_BACKING),
					NULL };
	/* Where two are opened it is the first one's. */
	const char *snapshot =
		path == cli->args[1] ? cli_value(cli, CLI_SNAPSHOT) : NULL;
	struct disk_config config = { .path = path,
				      .read_only = read_only,
				      .is_alone = is_alone,
				      .snapshot = snapshot,
				      .allow_backing =
					      *allowed ? allowed : NULL };
	struct err e = ERR_NONE;

	if (cli_disk_format(cli, CLI_FORMAT, &config.format))
		return EXIT_CODE_USAGE;
	if (!disk_open(out, &config, &e))
		return 0;
	cli_error(NULL, "%s", e.text);
	return EXIT_CODE_FAILED;
}

int cli_disk_open(const struct cli *cli, const char *path, bool is_alone,
		  struct disk **out)
{
	return open_disk(cli, path, true, is_alone, out);
}

bool cli_disk_size(const char *what, const char *text, uint64_t *bytes)
{
	struct err e = ERR_NONE;

	if (!config_parse_number(what, text, true, bytes, &e))
		return true;
	cli_error(NULL, "%s", e.text);
	return false;
}

/* --- progress -------------------------------------------------------- */

static struct {
	const char *what;
	bool is_shown;
	unsigned int percent;
} bar;

static volatile sig_atomic_t is_interrupted;

static void interrupted(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

void cli_disk_progress_begin(const char *what)
{
	struct sigaction act = { .sa_handler = interrupted };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	bar.what = what;
	bar.is_shown = isatty(STDERR_FILENO);
	bar.percent = 101;
}

int cli_disk_progress(void *ctx, unsigned int permille)
{
	unsigned int percent = permille / 10, i;
	char text[33];

	(void)ctx;
	if (bar.is_shown && percent != bar.percent) {
		bar.percent = percent;
		for (i = 0; i < 32; i++)
			text[i] = i < percent * 32 / 100 ? '#' : '.';
		text[32] = '\0';
		fprintf(stderr, "\r%s [%s] %3u %%", bar.what, text, percent);
	}
	return is_interrupted;
}

void cli_disk_progress_end(void)
{
	if (bar.is_shown)
		fprintf(stderr, "\r%*s\r", (int)strlen(bar.what) + 44, "");
}

/* --- create ---------------------------------------------------------- */

/* Without a size: that of the backing file. */
static int size_of_backing(const char *path, struct qcow2_options *o)
{
	struct disk_config config = { .read_only = true, .is_alone = true };
	char *name = disk_backing_path(path, o->backing);
	struct err e = ERR_NONE;
	struct disk *d;
	int r;

	config.path = name;
	config.format = (enum disk_format)disk_format_parse(o->backing_format);
	r = name ? disk_open(&d, &config, &e)
		 : err_sys(&e, -ENOMEM, "%s", o->backing);
	free(name);
	if (r) {
		cli_error(NULL, "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	o->bytes = disk_get_info(d)->bytes;
	disk_close(d);
	return 0;
}

static int fill_file(int fd, const char *path, enum disk_format format,
		     const struct cli_disk_options *o, struct err *e)
{
	int r;

	if (format == DISK_RAW) {
		r = file_preallocate(fd, o->image.bytes, o->prealloc,
				     &file_ops_real);
		return r ? err_sys(e, r, "%s", path) : 0;
	}
	r = qcow2_create(fd, &o->image, &file_ops_real, e);
	return r ? r
		 : qcow2_preallocate(fd, path, o->prealloc, &file_ops_real, e);
}

static int create_file(const char *path, enum disk_format format,
		       const struct cli_disk_options *o, struct err *e)
{
	struct new_file f;
	int r = new_file_open(&f, path, e);

	if (r)
		return r;
	r = fill_file(f.fd, path, format, o, e);
	if (!r)
		r = new_file_publish(&f, &file_ops_real, e);
	new_file_close(&f);
	return r;
}

static bool is_plain(const struct qcow2_options *o)
{
	const struct qcow2_options *d = &qcow2_defaults;

	return o->version == d->version && o->cluster_bits == d->cluster_bits &&
	       o->refcount_order == d->refcount_order && !o->is_extended &&
	       !o->is_lazy && !o->compression;
}

/* -o preallocation=... is the only one that a raw image knows. */
static int check_create(const struct cli *cli, enum disk_format format,
			const struct qcow2_options *o)
{
	const char *wrong = NULL;

	if (o->backing && format != DISK_QCOW2)
		wrong = "-b: a raw image has no backing file";
	else if (o->backing && disk_format_parse(o->backing_format) < 1)
		wrong = "-F is raw or qcow2";
	else if (cli->nargs < 3 && !o->backing)
		wrong = "disk create: SIZE is missing";
	else if (format == DISK_RAW && !is_plain(o))
		wrong = "-o: a raw image has preallocation only";
	if (!wrong)
		return 0;
	cli_error(NULL, "%s", wrong);
	return EXIT_CODE_USAGE;
}

int cli_disk_create(const struct cli *cli)
{
	const char *path = cli->args[1];
	enum disk_format format;
	struct cli_disk_options o;
	struct err e = ERR_NONE;
	uint64_t size = 0;
	int r = cli_disk_format(cli, CLI_FORMAT, &format);

	if (!r)
		r = cli_disk_options(cli, &o);
	if (!format)
		format = DISK_QCOW2;
	if (!r)
		r = check_create(cli, format, &o.image);
	if (r)
		return r;
	if (cli->nargs > 2 && !cli_disk_size("SIZE", cli->args[2], &size))
		return EXIT_CODE_USAGE;
	if (size % DISK_SECTOR_BYTES) {
		cli_error(NULL, "SIZE: %s is not a multiple of %d bytes",
			  cli->args[2], DISK_SECTOR_BYTES);
		return EXIT_CODE_USAGE;
	}
	if (o.image.backing) /* it must be there, also when SIZE is given */
		r = size_of_backing(path, &o.image);
	if (r)
		return r;
	if (cli->nargs > 2)
		o.image.bytes = size;
	if (create_file(path, format, &o, &e))
		return cli_fail(NULL, &e);
	return EXIT_CODE_OK;
}

/* --- resize ---------------------------------------------------------- */

static bool new_size(const struct cli *cli, uint64_t old, uint64_t *bytes)
{
	const char *text = cli->args[2];
	uint64_t n;

	if (!cli_disk_size("SIZE", text + (*text == '+' || *text == '-'), &n))
		return false;
	*bytes = *text == '+' ? old + n : *text == '-' ? old - n : n;
	if ((*text == '-' && n >= old) || *bytes > INT64_MAX ||
	    (*text == '+' && n > INT64_MAX - old)) {
		cli_error(NULL, "SIZE: %s of %llu bytes", text,
			  (unsigned long long)old);
		return false;
	}
	if (*bytes >= old || cli_has(cli, CLI_SHRINK))
		return true;
	cli_error(
		NULL,
		"%s: %llu bytes is less than the present %llu: what is behind "
		"is lost; say --shrink",
		cli->args[1], (unsigned long long)*bytes,
		(unsigned long long)old);
	return false;
}

int cli_disk_resize(const struct cli *cli)
{
	struct err e = ERR_NONE;
	struct ioq *q = NULL;
	struct disk *d;
	uint64_t bytes;
	int r = open_disk(cli, cli->args[1], false, false, &d);

	if (r)
		return r;
	if (!new_size(cli, disk_get_info(d)->bytes, &bytes)) {
		disk_close(d);
		return EXIT_CODE_USAGE;
	}
	r = ioq_open(&q, IOQ_AUTO, 16, NULL, &e);
	if (!r) {
		disk_attach(d, q);
		r = disk_resize(d, q, bytes, &e);
	}
	disk_close(d);
	ioq_close(q);
	return r ? cli_fail(NULL, &e) : EXIT_CODE_OK;
}

/* --- which ----------------------------------------------------------- */

static const struct operation *find(const char *word)
{
	const char *names[COUNT];
	size_t i;

	for (i = 0; i < COUNT; i++) {
		names[i] = operations[i].name;
		if (!strcmp(names[i], word))
			return &operations[i];
	}
	cli_no_word("disk", word, names, COUNT);
	return NULL;
}

int cli_disk_command(struct cli *cli)
{
	const struct operation *o = find(cli->args[0]);

	if (!o)
		return EXIT_CODE_USAGE;
	if (cli->nargs - 1 < o->min || cli->nargs - 1 > o->max) {
		cli_error(NULL, "usage: amber disk %s [OPTIONS] %s", o->name,
			  o->usage);
		return EXIT_CODE_USAGE;
	}
	return o->run(cli);
}
