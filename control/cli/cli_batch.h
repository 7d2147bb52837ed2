/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same work on several VMs, a few at a time. The main thread selects
 * and prints; worker threads run the work, each VM on one of them.
 * Invariant: results are printed in the order of selection, one VM's
 * failure hides no other's result.
 */
#ifndef AMBER_CONTROL_CLI_BATCH_H
#define AMBER_CONTROL_CLI_BATCH_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "control/cli/cli.h"

#define CLI_RESULT_BYTES (4u << 20)

/* What came out for one VM. */
struct cli_result {
	const char *name; /* borrowed from the selection */
	int status;	  /* exit status: 0 good */
	bool done;	  /* false: never begun */
	struct err e;	  /* when status isn't 0 */
	struct buf out;	  /* owned: text for people */
	json_t *json;	  /* owned: the object for --json, or NULL */
};

/*
 * The work: fills r->out or r->json and returns 0, or sets r->e and returns
 * its code (status becomes EXIT_CODE_FAILED unless it was set). Runs on a
 * worker thread; cli is read only.
 */
typedef int (*cli_work)(const struct cli *cli, void *ctx, struct cli_result *r);

/*
 * The VMs that the line names, or all that --all and --label select. With
 * only_alive the latter leaves out those without a process.
 */
int cli_select(const struct cli *cli, bool only_alive, struct home_names *out,
	       struct err *e);

struct cli_batch {
	struct home_names names;    /* owned */
	struct cli_result *results; /* owned: one per name */
	unsigned int jobs;
	bool stop_on_error;
};

/*
 * Prepares results for names (which it takes over). jobs as the line says.
 * Errors: -EINVAL (--jobs), -ENOMEM. cli_batch_fini() in each case.
 */
int cli_batch_init(struct cli_batch *b, const struct cli *cli,
		   struct home_names *names, struct err *e);
void cli_batch_fini(struct cli_batch *b);
/* Runs the work on all; each result is handed over in order, if wanted. */
void cli_batch_run(struct cli_batch *b, const struct cli *cli, cli_work work,
		   void *ctx,
		   void (*each)(const struct cli *cli, struct cli_result *r));
/* 0, or what went wrong: the common status, or 1 when they differ. */
int cli_batch_status(const struct cli_batch *b);

/* Selects, runs, prints as text or JSON lines; the exit status. */
int cli_batch_command(const struct cli *cli, bool only_alive, cli_work work,
		      void *ctx);

#endif
