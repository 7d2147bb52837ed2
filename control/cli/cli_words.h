/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed lists of words that options and arguments take: goals of
 * `amber wait`, states, policies, shells, orders. Constant data; any thread.
 */
#ifndef AMBER_CONTROL_CLI_WORDS_H
#define AMBER_CONTROL_CLI_WORDS_H

#include <stddef.h>

#include "control/cli/cli.h"

/* What `amber wait --for` can wait for. */
enum cli_goal {
	CLI_GOAL_READY,
	CLI_GOAL_RUNNING,
	CLI_GOAL_PAUSED,
	CLI_GOAL_STOPPED,
	CLI_GOAL_CRASHED,
	CLI_GOAL_COUNT
};

const char *cli_goal_text(enum cli_goal goal);

/* What `amber snapshot list --sort` sorts by. */
enum cli_sort {
	CLI_SORT_AGE,  /* the oldest first */
	CLI_SORT_SIZE, /* the largest first */
	CLI_SORT_NAME,
	CLI_SORT_KIND,
	CLI_SORT_COUNT
};

/* -1: no such order. */
int cli_sort_parse(const char *text);

/*
 * The n-th word of a kind's list, NULL behind the last; NULL at once for
 * kinds without a list (files, VMs).
 */
const char *cli_word_at(enum cli_word kind, size_t n);

#endif
