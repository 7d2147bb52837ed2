/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line `amber` as data: one row per command and per option;
 * parsing, help, man pages and completion are made from the rows. One
 * thread enters (batch workers get a const view). Invariant: a handler only
 * runs with arguments that its row allows.
 */
#ifndef AMBER_CONTROL_CLI_H
#define AMBER_CONTROL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "control/config_table.h"
#include "control/exit_codes.h"
#include "control/home.h"

/* Standard output's reader is gone: as a shell reports SIGPIPE. */
#define CLI_EXIT_PIPE 141

#define CLI_OPTIONS_MAX \
	48 /* per command, with CLI_END; the configuration's aside */
#define CLI_EXAMPLES_MAX 5
#define CLI_JOBS_MAX	 64
#define CLI_JOBS_DEFAULT 8

enum cli_opt {
	CLI_END, /* closes a list of options */
	CLI_HELP,
	CLI_JSON,
	CLI_ALL,
	CLI_LABEL,
	CLI_JOBS,
	CLI_STOP_ON_ERROR,
	CLI_REASON,
	CLI_CONFIG_FILE,
	CLI_DETACH,
	CLI_PAUSED,
	CLI_COLD,
	CLI_ONCE,
	CLI_RUN_TIMEOUT,
	CLI_EXPECT,
	CLI_RM,
	CLI_RUNG_TIMEOUT,
	CLI_FORCE_RUNG,
	CLI_EMERGENCY,
	CLI_VERIFIED,
	CLI_FORCE,
	CLI_FOR,
	CLI_WAIT_TIMEOUT,
	CLI_FOLLOW,
	CLI_BOOT,
	CLI_CRASH,
	CLI_LINES,
	CLI_SINCE,
	CLI_READONLY,
	CLI_NO_HISTORY,
	CLI_QUIET,
	CLI_STATE,
	CLI_INTERVAL,
	CLI_ROUNDS,
	CLI_AGENT_TIMEOUT,
	CLI_FORMAT,
	CLI_OUT_FORMAT,
	CLI_SET,
	CLI_BACKING,
	CLI_BACKING_FORMAT,
	CLI_ALLOW_BACKING,
	CLI_CHAIN,
	CLI_REPAIR,
	CLI_YES,
	CLI_SHRINK,
	CLI_UNSAFE,
	CLI_BASE,
	CLI_COMPRESS,
	CLI_NO_SYNC,
	CLI_SNAPSHOT,
	CLI_DEPTH,
	CLI_BLOCK,
	CLI_SECONDS,
	CLI_STEP,
	CLI_COUNT,
	CLI_WRITE,
	CLI_RANDOM,
	CLI_DIRECT,
	CLI_KIND,
	CLI_PURPOSE,
	CLI_SNAPSHOT_LABEL,
	CLI_PIN,
	CLI_NO_SAFETY,
	CLI_FORCE_OLD,
	CLI_TREE,
	CLI_INCREMENTAL,
	CLI_QUIESCE,
	CLI_FROM,
	CLI_ONLY,
	CLI_RUNS,
	CLI_CHILDREN,
	CLI_NO_MERGE,
	CLI_SORT,
	CLI_KEEP_LAST, /* in the order of enum prune_rule */
	CLI_KEEP_HOURLY,
	CLI_KEEP_DAILY,
	CLI_KEEP_WEEKLY,
	CLI_KEEP_MONTHLY,
	CLI_KEEP_YEARLY,
	CLI_KEEP_WITHIN,
	CLI_MAX_BYTES,
	CLI_DRY_RUN,
	CLI_IMPORT_NAME,
	CLI_AS,
	CLI_SET_KEY,
	CLI_PEEK,
	CLI_TRY,
	CLI_TRY_EXPECT,
	CLI_TRY_PROBE,
	CLI_EXPIRES,
	CLI_MAX_PAUSE,
	CLI_EXPIRED,
	CLI_OPTION_COUNT
};

/* What a value or an argument is, for completion. */
enum cli_word {
	CLI_WORD_NONE,
	CLI_WORD_FILE,
	CLI_WORD_VM,
	CLI_WORD_STATE,
	CLI_WORD_GOAL, /* what `wait --for` takes */
	CLI_WORD_POLICY,
	CLI_WORD_COMMAND,
	CLI_WORD_SHELL,
	CLI_WORD_SORT /* of `snapshot list --sort` */
};

struct cli_option {
	enum cli_opt id;
	char letter;	   /* 0: none */
	const char *name;  /* without "--" */
	const char *value; /* what it takes, in capitals; NULL: a switch */
	bool repeats;
	enum cli_word word;
	const char *help; /* one line, no full stop */
};

/* Which VMs a command works on. */
enum cli_vms {
	CLI_VMS_NONE, /* none: its arguments are something else */
	CLI_VMS_ONE,  /* exactly one NAME */
	CLI_VMS_MANY, /* NAME..., --all or --label */
	CLI_VMS_ANY,  /* like MANY, and all of them by default */
};

enum cli_group {
	CLI_GROUP_MAKE,
	CLI_GROUP_LIFE,
	CLI_GROUP_WATCH,
	CLI_GROUP_CONSOLE,
	CLI_GROUP_OTHER,
	CLI_GROUP_COUNT
};

struct cli;

struct cli_command {
	const char *name;
	const char *alias; /* or NULL */
	enum cli_group group;
	const char *summary; /* one line, no full stop */
	const char *usage;   /* arguments, behind "amber NAME [OPTIONS]" */
	const char *about;   /* paragraphs, separated by empty lines */
	const char *role;    /* needed on the socket, or NULL */
	enum cli_vms vms;
	unsigned int min_args, max_args; /* for CLI_VMS_NONE */
	enum cli_word word;		 /* what the arguments are */
	bool config; /* takes the options of the configuration too */
	bool hidden;
	enum cli_opt options[CLI_OPTIONS_MAX];
	const char *examples[CLI_EXAMPLES_MAX];
	/* Returns the exit status. */
	int (*run)(struct cli *cli);
};

/* One option as it was given. */
struct cli_given {
	enum cli_opt id;	      /* CLI_END: of the configuration */
	const struct config_row *row; /* then, else NULL */
	const char *value;	      /* borrowed from argv; NULL: a switch */
};

/* A parsed command line. */
struct cli {
	const struct cli_command *command; /* NULL: none was given */
	struct cli_given *given;	   /* owned, in the order given */
	size_t givens;
	const char **args; /* owned array of texts borrowed from argv */
	size_t nargs;
	struct home home; /* filled before the handler runs */
};

const struct cli_command *cli_commands(size_t *count);
/* By name or alias; NULL when there is none. */
const struct cli_command *cli_find(const char *name);
/* The nearest visible command, or NULL. */
const char *cli_nearest(const char *wrong);
/* The row of an option; id is a valid one. */
const struct cli_option *cli_option(enum cli_opt id);
bool cli_takes(const struct cli_command *command, enum cli_opt id);

/*
 * Parses argv (argv[0] is the program). Returns 0 or -EINVAL with one line
 * that names the word, and the nearest right one. cli_fini() in each case.
 */
int cli_parse(struct cli *cli, int argc, char **argv, struct err *e);
void cli_fini(struct cli *cli);

/* Was the option given? */
bool cli_has(const struct cli *cli, enum cli_opt id);
/* Its value, NULL when it was not given. */
const char *cli_value(const struct cli *cli, enum cli_opt id);
/*
 * Its value as a number in min..max into *out; *out stays when the option
 * wasn't given. Errors: -EINVAL naming option, value and range.
 */
int cli_number(const struct cli *cli, enum cli_opt id, uint64_t min,
	       uint64_t max, uint64_t *out, struct err *e);
/* Seconds, fractions allowed ("0.5"), into *ms; 0 when not given. */
int cli_seconds(const struct cli *cli, enum cli_opt id, uint32_t *ms,
		struct err *e);
/* Can it be a regular expression for the console? 0 when not given. */
int cli_regex(const struct cli *cli, enum cli_opt id, struct err *e);

/* Runs one command line; the exit status. Nothing is printed after it. */
int cli_run(int argc, char **argv);

#endif
