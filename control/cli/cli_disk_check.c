/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber disk check`, `compare` and `convert`: whole images. Main thread.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli_disk.h"
#include "control/cli/cli_out.h"
#include "disk/convert.h"
#include "disk/lock.h"
#include "disk/qcow2_check.h"

#define EXIT_LEAKS  3 /* as qemu-img's */
#define CACHE_BYTES (32u << 20)

/* --- check ----------------------------------------------------------- */

static void found(void *ctx, enum qcow2_finding kind, const char *text)
{
	const struct cli *cli = ctx;

	if (!cli_has(cli, CLI_JSON))
		printf("%s %s\n",
		       kind == QCOW2_LEAK ? "Leaked:" : "ERROR:", text);
}

static void print_json(const char *path, const struct qcow2_check *c)
{
	json_t *name = json_string(path);

	cli_print_json(json_pack(
		"{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}",
		"filename", name ? name : json_string("(not UTF-8)"), "format",
		"qcow2", "corruptions", (json_int_t)c->corruptions, "leaks",
		(json_int_t)c->leaks, "corruptions-fixed",
		(json_int_t)c->fixed_corruptions, "leaks-fixed",
		(json_int_t)c->fixed_leaks, "total-clusters",
		(json_int_t)c->clusters, "allocated-clusters",
		(json_int_t)c->allocated, "fragmented-clusters",
		(json_int_t)c->fragmented, "compressed-clusters",
		(json_int_t)c->packed, "image-end-offset", (json_int_t)c->end,
		"check-errors", 0));
}

static double percent(uint64_t part, uint64_t of)
{
	return of ? 100.0 * (double)part / (double)of : 0;
}

static void print_findings(const struct qcow2_check *c)
{
	uint64_t left = c->corruptions - c->fixed_corruptions;
	uint64_t leaks = c->leaks - c->fixed_leaks;

	if (c->fixed_corruptions || c->fixed_leaks)
		printf("Repaired: %" PRIu64 " errors and %" PRIu64 " leaks\n",
		       c->fixed_corruptions, c->fixed_leaks);
	if (!left && !leaks)
		printf("No errors were found on the image.\n");
	if (left)
		printf("%" PRIu64 " errors: data may be corrupted, and is with "
		       "the next write.\n",
		       left);
	if (leaks)
		printf("%" PRIu64 " leaked clusters: wasted space on disk, no "
		       "harm to data.\n",
		       leaks);
	printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, %.2f%% fragmented, "
	       "%.2f%% compressed clusters\nImage end offset: %" PRIu64 "\n",
	       c->allocated, c->clusters, percent(c->allocated, c->clusters),
	       percent(c->fragmented, c->allocated),
	       percent(c->packed, c->allocated), c->end);
}

/* Leaks are repaired when asked for, errors after a question. */
static bool says_yes(const struct cli *cli, const struct qcow2_check *c)
{
	char answer[8] = "";

	if (cli_has(cli, CLI_YES))
		return true;
	if (!isatty(STDIN_FILENO)) {
		cli_error(NULL, "%s: --repair of errors asks: say --yes",
			  cli->args[1]);
		return false;
	}
	fprintf(stderr, "Repair %" PRIu64 " errors of %s? [y/N] ",
		c->corruptions, cli->args[1]);
	return fgets(answer, sizeof(answer), stdin) && *answer == 'y';
}

static int check_once(const struct cli *cli, int fd, struct qcow2_check *c,
		      struct err *e)
{
	struct qcow2 q;
	int r = qcow2_open(&q, fd, cli->args[1], &file_ops_real,
			   c->repair == QCOW2_LOOK ? QCOW2_READ : QCOW2_REPAIR,
			   CACHE_BYTES, e);

	if (r)
		return r;
	cli_disk_progress_begin("check");
	c->progress = cli_disk_progress;
	r = qcow2_check(&q, c, e);
	cli_disk_progress_end();
	qcow2_fini(&q);
	return r;
}

/*
 * What one pass repairs can be what another one found wrong, too: the second
 * one says what is left.
 */
static int repair(const struct cli *cli, int fd, struct qcow2_check *c,
		  struct err *e)
{
	struct qcow2_check first = *c, again;
	int r;

	c->found = NULL;
	c->corruptions = c->leaks = 0;
	r = check_once(cli, fd, c, e);
	if (r || c->corruptions == c->fixed_corruptions)
		return r;
	again = (struct qcow2_check){ .repair = first.repair };
	r = check_once(cli, fd, &again, e);
	if (r)
		return r;
	c->fixed_corruptions = c->corruptions;
	c->corruptions += again.corruptions - again.fixed_corruptions;
	return 0;
}

static int check(const struct cli *cli, int fd, struct qcow2_check *c,
		 struct err *e)
{
	int r = check_once(cli, fd, c, e);

	if (r || !cli_has(cli, CLI_REPAIR) ||
	    (!c->corruptions && !c->leaks && !c->is_marked))
		return r;
	if (c->corruptions && !says_yes(cli, c))
		return 0;
	*c = (struct qcow2_check){ .repair = c->corruptions
						     ? QCOW2_REPAIR_ALL
						     : QCOW2_REPAIR_LEAKS,
				   .ctx = c->ctx };
	return repair(cli, fd, c, e);
}

static int open_image(const struct cli *cli, struct err *e)
{
	bool writes = cli_has(cli, CLI_REPAIR);
	struct stat st;
	int fd, r;

	fd = open(cli->args[1],
		  (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, -errno, "%s", cli->args[1]);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (!r && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		r = err_set(e, -EINVAL, "%s is no image", cli->args[1]);
	if (!r && writes)
		r = disk_check_protection(fd, cli->args[1], e);
	if (!r)
		r = image_lock(fd, writes, cli->args[1], e);
	if (!r)
		return fd;
	close(fd);
	return r;
}

int cli_disk_check(const struct cli *cli)
{
	struct qcow2_check c = { .found = found,
				 .ctx = (void *)(uintptr_t)cli };
	struct err e = ERR_NONE;
	enum disk_format format;
	int fd, r;

	if (cli_disk_format(cli, CLI_FORMAT, &format))
		return EXIT_CODE_USAGE;
	if (format == DISK_RAW) {
		cli_error(NULL, "a raw image has nothing to check");
		return EXIT_CODE_USAGE;
	}
	fd = open_image(cli, &e);
	if (fd < 0)
		return cli_fail(NULL, &e);
	r = check(cli, fd, &c, &e);
	close(fd);
	if (r) {
		cli_error(NULL, "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	if (cli_has(cli, CLI_JSON))
		print_json(cli->args[1], &c);
	else
		print_findings(&c);
	if (c.corruptions != c.fixed_corruptions)
		return EXIT_CODE_FAILED;
	return c.leaks != c.fixed_leaks ? EXIT_LEAKS : EXIT_CODE_OK;
}

/* --- compare --------------------------------------------------------- */

static int compare(const struct cli *cli, struct disk *a, struct disk *b)
{
	struct err e = ERR_NONE;
	uint64_t at = 0;
	int r;

	cli_disk_progress_begin("compare");
	r = disk_compare(a, b, &at, cli_disk_progress, NULL, &e);
	cli_disk_progress_end();
	if (r < 0) {
		cli_error(NULL, "%s", e.text);
		return EXIT_CODE_FAILED;
	}
	if (cli_has(cli, CLI_JSON))
		cli_print_json(r ? json_pack("{s:b, s:I}", "identical", 0,
					     "offset", (json_int_t)at)
				 : json_pack("{s:b}", "identical", 1));
	else if (r)
		printf("Content mismatch at offset %" PRIu64 ".\n", at);
	else
		printf("Images are identical.\n");
	return r ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

int cli_disk_compare(const struct cli *cli)
{
	struct disk *a, *b;
	int r = cli_disk_open(cli, cli->args[1], false, &a);

	if (r)
		return r;
	r = cli_disk_open(cli, cli->args[2], false, &b);
	if (!r) {
		r = compare(cli, a, b);
		disk_close(b);
	}
	disk_close(a);
	return r;
}

/* --- convert --------------------------------------------------------- */

int cli_disk_convert(const struct cli *cli)
{
	struct convert c = { .progress = cli_disk_progress };
	struct cli_disk_options o;
	struct err e = ERR_NONE;
	struct disk *from;
	int r = cli_disk_format(cli, CLI_OUT_FORMAT, &c.format);

	if (!r)
		r = cli_disk_options(cli, &o);
	if (r)
		return r;
	if (!c.format)
		c.format = DISK_QCOW2;
	c.options = o.image;
	c.compresses = cli_has(cli, CLI_COMPRESS);
	c.files = cli_has(cli, CLI_NO_SYNC) ? &file_ops_unsynced : NULL;
	if (o.image.backing || o.prealloc ||
	    (c.compresses && c.format != DISK_QCOW2)) {
		cli_error(NULL, "convert: %s",
			  o.image.backing ? "it makes an image of its own: no "
					    "-b"
			  : o.prealloc	  ? "it allocates what is data: no "
					    "preallocation"
					  : "-c is for qcow2 images");
		return EXIT_CODE_USAGE;
	}
	r = cli_disk_open(cli, cli->args[1], false, &from);
	if (r)
		return r;
	cli_disk_progress_begin("convert");
	r = disk_convert(from, cli->args[2], &c, &e);
	cli_disk_progress_end();
	disk_close(from);
	return r ? cli_fail(NULL, &e) : EXIT_CODE_OK;
}
