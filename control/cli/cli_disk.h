/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber disk`: images of disks, without a VM. Shared by the files
 * cli_disk*.c. Main thread.
 */
#ifndef AMBER_CONTROL_CLI_DISK_H
#define AMBER_CONTROL_CLI_DISK_H

#include "control/cli/cli.h"
#include "disk/disk_tool.h"
#include "disk/qcow2_create.h"

/*
 * Opens the operation's FILE to be read, as the options say; is_alone:
 * without its backing files. The error is printed.
 */
int cli_disk_open(const struct cli *cli, const char *path, bool is_alone,
		  struct disk **out);
/* The format that an option names; UNKNOWN when it was not given. */
int cli_disk_format(const struct cli *cli, enum cli_opt id,
		    enum disk_format *out);
/* -b and -F: both, or neither (NULL); the error is printed. */
int cli_disk_backing(const struct cli *cli, const char **file,
		     const char **format);
/* Options of a new image (-o, -b, -F). */
struct cli_disk_options {
	struct qcow2_options image;
	enum qcow2_prealloc prealloc;
};

int cli_disk_options(const struct cli *cli, struct cli_disk_options *out);
/* "1G" as bytes; the error is printed. */
bool cli_disk_size(const char *what, const char *text, uint64_t *bytes);

/*
 * A bar on standard error, if that is a terminal, and Ctrl-C: as a progress
 * function of disk/; other than 0: somebody wants to stop.
 */
int cli_disk_progress(void *ctx, unsigned int permille);
void cli_disk_progress_begin(const char *what);
void cli_disk_progress_end(void);

/* The operations; each the exit status. */
int cli_disk_create(const struct cli *cli);
int cli_disk_info(const struct cli *cli);
int cli_disk_check(const struct cli *cli);
int cli_disk_map(const struct cli *cli);
int cli_disk_compare(const struct cli *cli);
int cli_disk_convert(const struct cli *cli);
int cli_disk_resize(const struct cli *cli);
int cli_disk_commit(const struct cli *cli);
int cli_disk_stream(const struct cli *cli);
int cli_disk_rebase(const struct cli *cli);
int cli_disk_apply(const struct cli *cli);
int cli_disk_bench(const struct cli *cli);

#endif
