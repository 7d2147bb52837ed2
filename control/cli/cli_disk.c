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
	struct disk_config config = { .path = path,
				      .read_only = read_only,
				      .is_alone = is_alone,
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

static uint32_t log2_of(uint64_t n)
{
	return n && !(n & (n - 1)) ? (uint32_t)__builtin_ctzll(n) : 99;
}

/* One KEY=VALUE of -o. */
static int set_option(struct qcow2_options *o, const char *key,
		      const char *value, struct err *e)
{
	uint64_t n = 0;
	int r = 0;

	if (!strcmp(key, "compat")) {
		o->version = !strcmp(value, "0.10") ? 2 : 3;
		if (o->version == 3 && strcmp(value, "1.1"))
			return err_set(e, -EINVAL,
				       "compat=%.16s is neither 0.10 nor 1.1",
				       value);
	} else if (!strcmp(key, "cluster_size")) {
		r = config_parse_number(key, value, true, &n, e);
		o->cluster_bits = log2_of(n);
	} else if (!strcmp(key, "refcount_bits")) {
		r = config_parse_number(key, value, false, &n, e);
		o->refcount_order = log2_of(n);
	} else if (!strcmp(key, "extended_l2")) {
		r = config_parse_switch(key, value, &o->is_extended, e);
	} else if (!strcmp(key, "lazy_refcounts")) {
		r = config_parse_switch(key, value, &o->is_lazy, e);
	} else if (!strcmp(key, "compression_type")) {
		o->compression = !strcmp(value, "zstd");
		if (!o->compression && strcmp(value, "zlib"))
			r = err_set(e, -EINVAL,
				    "compression_type=%.16s is neither zlib "
				    "nor zstd",
				    value);
	} else {
		r = err_set(e, -EINVAL,
			    "-o %.32s: compat, cluster_size, refcount_bits, "
			    "extended_l2, lazy_refcounts or compression_type",
			    key);
	}
	return r;
}

static int set_options(struct qcow2_options *o, const char *list, struct err *e)
{
	char copy[256], *rest = copy, *word, *value;
	int r = 0;

	if (strlen(list) >= sizeof(copy))
		return err_set(e, -EINVAL, "-o has more than %zu characters",
			       sizeof(copy) - 1);
	memcpy(copy, list, strlen(list) + 1);
	while (!r && (word = strsep(&rest, ","))) {
		value = strchr(word, '=');
		if (!value)
			return err_set(e, -EINVAL, "-o %.32s is no KEY=VALUE",
				       word);
		*value++ = '\0';
		r = set_option(o, word, value, e);
	}
	return r;
}

int cli_disk_backing(const struct cli *cli, const char **file,
		     const char **format)
{
	*file = cli_value(cli, CLI_BACKING);
	*format = cli_value(cli, CLI_BACKING_FORMAT);
	if (!*file == !*format)
		return 0;
	cli_error(NULL, "-b FILE and -F FORMAT belong together");
	return EXIT_CODE_USAGE;
}

int cli_disk_options(const struct cli *cli, struct qcow2_options *out)
{
	struct err e = ERR_NONE;
	size_t i;

	*out = qcow2_defaults;
	for (i = 0; i < cli->givens; i++)
		if (cli->given[i].id == CLI_SET &&
		    set_options(out, cli->given[i].value, &e))
			return cli_fail_usage(&e);
	return cli_disk_backing(cli, &out->backing, &out->backing_format);
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

static int create_file(const char *path, enum disk_format format,
		       const struct qcow2_options *o, struct err *e)
{
	struct new_file f;
	int r = new_file_open(&f, path, e);

	if (r)
		return r;
	if (format == DISK_QCOW2)
		r = qcow2_create(f.fd, o, &file_ops_real, e);
	else if (ftruncate(f.fd, (off_t)o->bytes) < 0)
		r = err_sys(e, -errno, "%s", path);
	if (!r)
		r = new_file_publish(&f, e);
	new_file_close(&f);
	return r;
}

int cli_disk_create(const struct cli *cli)
{
	const char *path = cli->args[1];
	enum disk_format format;
	struct qcow2_options o;
	struct err e = ERR_NONE;
	uint64_t size = 0;
	int r = cli_disk_format(cli, CLI_FORMAT, &format);

	if (!r)
		r = cli_disk_options(cli, &o);
	if (r)
		return r;
	if (!format)
		format = DISK_QCOW2;
	if (o.backing &&
	    (disk_format_parse(o.backing_format) < 1 || format != DISK_QCOW2)) {
		cli_error(NULL, "-b: a qcow2 image over a raw or qcow2 one");
		return EXIT_CODE_USAGE;
	}
	if (cli->nargs < 3 && !o.backing) {
		cli_error(NULL, "disk create: SIZE is missing");
		return EXIT_CODE_USAGE;
	}
	if (cli->nargs > 2 && !cli_disk_size("SIZE", cli->args[2], &size))
		return EXIT_CODE_USAGE;
	if (o.backing) /* it must be there, also when SIZE is given */
		r = size_of_backing(path, &o);
	if (r)
		return r;
	if (cli->nargs > 2)
		o.bytes = size;
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
