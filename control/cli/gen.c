/* SPDX-License-Identifier: Apache-2.0 */
/* `amber gen KIND DIR`, for the build. Main thread. */
#include "control/cli/gen.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"

static const struct {
	const char *name;
	int (*make)(int dir, struct err *e);
} kinds[] = {
	{ "man", gen_man },
	{ "docs", gen_docs },
};

static const struct gen_status statuses[] = {
	{ "0", "it was done; of a run: the guest powered off, ended with 0 "
	       "through the debug-exit port, or showed what was expected" },
	{ "1", "it could not be done; one line on standard error says why" },
	{ "2", "wrong options, names or values; nothing was changed" },
	{ "N", "of a run: the guest wrote N to the debug-exit port (0xf4); of "
	       "agent exec: the command's own" },
	{ "120", "of a run: the guest ended and --expect was not seen" },
	{ "121", "of a run: the guest rebooted, and the policy is exit" },
	{ "122", "of a run: the guest reported a panic" },
	{ "123", "of a run: the guest crashed; the report is on standard "
		 "error" },
	{ "124", "the time of --timeout was up" },
	{ "128+N", "of a run, and of the command of agent exec: signal N ended "
		   "it" },
	{ "141", "the reader of standard output went away" },
};

const struct gen_status *gen_status_at(unsigned int n)
{
	return n < sizeof(statuses) / sizeof(statuses[0]) ? &statuses[n] : NULL;
}

int gen_write(int dir, const char *name, struct buf *document, struct err *e)
{
	int r;

	if (document->error)
		return err_sys(e, document->error, "%s", name);
	r = file_commit(dir, name, document->data, document->len, FILE_ATOMIC,
			e);
	if (!r && fchmodat(dir, name, 0644, 0) < 0)
		r = err_sys(e, -errno, "%s", name);
	buf_reset(document);
	return r;
}

int cli_gen_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	size_t i;
	int dir, r;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, cli->args[0]) == 0)
			break;
	if (i == sizeof(kinds) / sizeof(kinds[0])) {
		cli_error(NULL, "gen: %s: man or docs is wanted", cli->args[0]);
		return EXIT_CODE_USAGE;
	}
	dir = file_open_dir(AT_FDCWD, cli->args[1], &e);
	if (dir < 0)
		return cli_fail("gen", &e);
	r = kinds[i].make(dir, &e);
	close(dir);
	return r ? cli_fail("gen", &e) : EXIT_CODE_OK;
}
