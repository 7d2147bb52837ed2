/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help made from the rows. Main thread; prints on standard output (the
 * overview as an error: on standard error).
 */
#ifndef AMBER_CONTROL_CLI_HELP_H
#define AMBER_CONTROL_CLI_HELP_H

#include <stdbool.h>

#include "base/buf.h"
#include "control/cli/cli.h"

void cli_help_overview(bool is_error);
void cli_help_page(const struct cli_command *command);

/* "The life of a VM": the heading of a group of commands. */
const char *cli_group_text(enum cli_group group);

/* One option for help, man and docs, of either table. */
struct cli_option_view {
	char letter;	   /* 0: none */
	const char *name;  /* without "--" */
	const char *value; /* NULL: a switch */
	const char *unset; /* its default in words, or "" */
	enum cli_word word;
	char help[256]; /* first letter in upper case */
};

/*
 * The n-th option of a command: its own, then those of the configuration.
 * Returns false behind the last.
 */
bool cli_option_at(const struct cli_command *command, size_t n,
		   struct cli_option_view *view);

#endif
