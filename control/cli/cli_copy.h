/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes between the standard streams and a guest's console. Main
 * thread. Invariant: what was read from the guest is written, or the result
 * says that it could not be; at most one buffer waits in each direction.
 */
#ifndef AMBER_CONTROL_CLI_COPY_H
#define AMBER_CONTROL_CLI_COPY_H

#include <stdbool.h>

#include "base/err.h"

#define CLI_ESCAPE 0x1d /* Ctrl-] */

struct cli_copy {
	int from_guest; /* borrowed; its end ends the copying */
	int to_guest;	/* borrowed, non-blocking; -1: no input */
	bool keys;	/* standard input is a raw terminal: Ctrl-] detaches */
	/*
	 * SIGINT, SIGTERM or SIGHUP came: return true to end the copying.
	 * May be NULL: then they end it.
	 */
	bool (*on_signal)(void *ctx, int number);
	void *ctx;
};

enum cli_copy_end {
	CLI_COPY_OVER,	   /* the guest's side was closed */
	CLI_COPY_DETACHED, /* Ctrl-] */
	CLI_COPY_SIGNAL,   /* a signal ended it */
	CLI_COPY_FAILED	   /* standard output can't be written */
};

/* Is there a terminal on both sides that is ours to use? */
bool cli_copy_wants_keys(void);

enum cli_copy_end cli_copy_run(const struct cli_copy *c);

/* Reads the rest of fd and drops it: so that its writer can end. */
void cli_copy_drop(int fd);

#endif
