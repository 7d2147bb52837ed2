/* SPDX-License-Identifier: Apache-2.0 */
/* `amber disk commit`, `stream`, `rebase`, `apply`. Main thread. */
#include "control/cli/cli_disk.h"
#include "control/cli/cli_out.h"
#include "disk/layers.h"

enum what { COMMIT, STREAM, REBASE, APPLY };

static int run(const struct cli *cli, enum what what, struct layer_job *job,
	       struct err *e)
{
	switch (what) {
	case COMMIT:
		return layers_commit(job, e);
	case STREAM:
		return layers_stream(job, cli_value(cli, CLI_BASE), e);
	case APPLY:
		return layers_apply(job, cli->args[2], e);
	default:
		return layers_rebase(job, cli_value(cli, CLI_BACKING),
				     cli_value(cli, CLI_BACKING_FORMAT),
				     cli_has(cli, CLI_UNSAFE), e);
	}
}

static int layers(const struct cli *cli, enum what what)
{
	const char *const allowed[] = { cli_value(cli, CLI_ALLOW_BACKING),
					NULL };
	struct disk_config config = { .path = cli->args[1],
				      .allow_backing =
					      *allowed ? allowed : NULL };
	struct layer_job job = { .config = &config,
				 .progress = cli_disk_progress };
	struct err e = ERR_NONE;
	int r;

	if (cli_disk_format(cli, CLI_FORMAT, &config.format))
		return EXIT_CODE_USAGE;
	cli_disk_progress_begin(cli->args[0]);
	r = run(cli, what, &job, &e);
	cli_disk_progress_end();
	if (!r)
		return EXIT_CODE_OK;
	cli_error(NULL, "%s", e.text);
	return EXIT_CODE_FAILED;
}

int cli_disk_commit(const struct cli *cli)
{
	return layers(cli, COMMIT);
}

int cli_disk_stream(const struct cli *cli)
{
	return layers(cli, STREAM);
}

int cli_disk_rebase(const struct cli *cli)
{
	const char *file, *format;
	int r = cli_disk_backing(cli, &file, &format);

	return r ? r : layers(cli, REBASE);
}

int cli_disk_apply(const struct cli *cli)
{
	return layers(cli, APPLY);
}
