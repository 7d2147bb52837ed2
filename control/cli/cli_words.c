/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words, most of them other tables' names; any thread. */
#include "control/cli/cli_words.h"

#include <string.h>

#include "vmm/lifecycle.h"

static const char *const goals[CLI_GOAL_COUNT] = {
	[CLI_GOAL_READY] = "ready",	[CLI_GOAL_RUNNING] = "running",
	[CLI_GOAL_PAUSED] = "paused",	[CLI_GOAL_STOPPED] = "stopped",
	[CLI_GOAL_CRASHED] = "crashed",
};

static const char *const sorts[CLI_SORT_COUNT] = {
	[CLI_SORT_AGE] = "age",
	[CLI_SORT_SIZE] = "size",
	[CLI_SORT_NAME] = "name",
	[CLI_SORT_KIND] = "kind",
};

static const char *const shells[] = { "bash", "zsh", "fish" };

const char *cli_goal_text(enum cli_goal goal)
{
	return goals[goal];
}

int cli_sort_parse(const char *text)
{
	int i;

	for (i = 0; i < CLI_SORT_COUNT; i++)
		if (!strcmp(sorts[i], text))
			return i;
	return -1;
}

/* The n-th visible command. */
static const char *command_at(size_t n)
{
	const struct cli_command *rows;
	size_t count, i;

	rows = cli_commands(&count);
	for (i = 0; i < count; i++)
		if (!rows[i].hidden && !n--)
			return rows[i].name;
	return NULL;
}

const char *cli_word_at(enum cli_word kind, size_t n)
{
	switch (kind) {
	case CLI_WORD_GOAL:
		return n < CLI_GOAL_COUNT ? goals[n] : NULL;
	case CLI_WORD_STATE:
		return n < VM_STATE_COUNT ? vm_state_text((enum vm_state)n)
					  : NULL;
	case CLI_WORD_POLICY: /* "default" can't be asked for */
		return n < VM_POLICY_COUNT - 1
			       ? vm_policy_text((enum vm_policy)(n + 1))
			       : NULL;
	case CLI_WORD_SHELL:
		return n < sizeof(shells) / sizeof(shells[0]) ? shells[n]
							      : NULL;
	case CLI_WORD_SORT:
		return n < CLI_SORT_COUNT ? sorts[n] : NULL;
	case CLI_WORD_COMMAND:
		return command_at(n);
	default:
		return NULL;
	}
}
