/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts amber-vmm for a VM: in the background, as the foreground's child
 * with its console on pipes, or in place of this process. Any thread, one
 * at a time per struct. Invariant: a VMM is in a session of its own, so
 * that Ctrl-C and a closed terminal reach it only through amber.
 */
#ifndef AMBER_CONTROL_CLI_SPAWN_H
#define AMBER_CONTROL_CLI_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "control/home.h"

#define CLI_VMM_LOG	  VMDIR_LOGS "/vmm.log" /* its standard error */
#define CLI_VMM_LOG_BYTES (1u << 20)		/* emptied beyond that */

struct cli_spawn {
	/* what is wanted */
	const struct home *home; /* borrowed */
	const char *name;	 /* borrowed */
	bool no_start, paused, once, remove;
	bool console;		 /* on the pipes below */
	uint32_t timeout_s;	 /* 0: none */
	const char *expect;	 /* borrowed; NULL: none */
	const char *from, *only; /* borrowed: a snapshot, its part; or NULL */

	/* what came of it */
	pid_t pid;	/* the child; 0: none */
	int notify;	/* owned: one line when the start has ended */
	int to_guest;	/* owned, non-blocking; -1 without console */
	int from_guest; /* owned; -1 without console */
	int log;	/* owned: vmm.log, readable */
	off_t log_from; /* where this child's part begins */
};

/*
 * Where the program amber-vmm is: $AMBER_VMM, beside amber, else along
 * PATH. Returns false when nothing that can be executed is there.
 */
bool cli_spawn_find(char *path, size_t size);

/*
 * Executes amber-vmm in place of this process, the console on standard
 * input and output. Only returns on failure.
 */
int cli_spawn_exec(const struct cli_spawn *s, struct err *e);

/* Starts it. cli_spawn_fini() in each case. */
int cli_spawn_start(struct cli_spawn *s, struct err *e);
/*
 * Waits for the line on notify. Returns 0 (it runs, is paused, or waits for
 * its start command); or -EREMOTEIO with what it said: it ends then and was
 * reaped.
 */
int cli_spawn_started(struct cli_spawn *s, struct err *e);
/* Waits for its end; signals that term_signals() tells are passed on. */
int cli_spawn_reap(struct cli_spawn *s);
/* Copies what it said on its standard error to ours. */
void cli_spawn_relay(const struct cli_spawn *s);
/* Closes descriptors; the process lives on. */
void cli_spawn_fini(struct cli_spawn *s);

#endif
