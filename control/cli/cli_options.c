/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option rows of `amber`; the configuration's own options are rows of
 * config_table.c. Constant data; any thread. Invariant: one row per id.
 */
#include "control/cli/cli.h"

#define SWITCH(opt, short_name, long_name, text) \
	[opt] = { .id = opt,                     \
		  .letter = short_name,          \
		  .name = long_name,             \
		  .help = text }
#define VALUE(opt, short_name, long_name, takes, kind, text) \
	[opt] = { .id = opt,                                 \
		  .letter = short_name,                      \
		  .name = long_name,                         \
		  .value = takes,                            \
		  .word = kind,                              \
		  .help = text }

/* clang-format off */
static const struct cli_option rows[CLI_OPTION_COUNT] = {
	SWITCH(CLI_HELP, 'h', "help", "Print the command's help"),
	SWITCH(CLI_JSON, 0, "json", "Print JSON instead of text"),
	SWITCH(CLI_ALL, 'a', "all", "All VMs that the command can apply to"),
	[CLI_LABEL] = {
		.id = CLI_LABEL, .letter = 'l', .name = "label",
		.value = "KEY[=VALUE]", .repeats = true,
		.help = "VMs that carry this label; all of them, if repeated",
	},
	VALUE(CLI_JOBS, 'j', "jobs", "N", CLI_WORD_NONE,
	      "Work on up to N VMs at once (default: 8)"),
	SWITCH(CLI_STOP_ON_ERROR, 0, "stop-on-error",
	       "Begin no further VM after the first failure"),
	VALUE(CLI_REASON, 'r', "reason", "TEXT", CLI_WORD_NONE,
	      "Why; goes into the journal"),
	VALUE(CLI_CONFIG_FILE, 0, "config", "FILE", CLI_WORD_FILE,
	      "Start from a config.json; other options override it"),
	SWITCH(CLI_DETACH, 'd', "detach",
	       "Leave it running in the background; print its name"),
	SWITCH(CLI_PAUSED, 0, "paused",
	       "Leave it paused at its first instruction"),
	SWITCH(CLI_COLD, 0, "cold",
	       "Drop what was suspended and boot afresh"),
	SWITCH(CLI_ONCE, 0, "once",
	       "One run without a terminal: console on stdout, status of the "
	       "guest"),
	VALUE(CLI_RUN_TIMEOUT, 0, "timeout", "SECONDS", CLI_WORD_NONE,
	      "End the run after this time with status 124"),
	VALUE(CLI_EXPECT, 0, "expect", "REGEX", CLI_WORD_NONE,
	      "End the run with status 0 when the console shows this"),
	SWITCH(CLI_RM, 0, "rm", "Delete the VM when it has ended"),
	VALUE(CLI_RUNG_TIMEOUT, 0, "timeout", "SECONDS", CLI_WORD_NONE,
	      "Deadline of each rung of the ladder (default: as configured)"),
	SWITCH(CLI_FORCE_RUNG, 'f', "force",
	       "Force it when the guest doesn't listen"),
	SWITCH(CLI_VERIFIED, 0, "verified",
	       "somebody has looked at the storage of a disk in doubt"),
	SWITCH(CLI_EMERGENCY, 0, "emergency",
	       "Stop the vCPUs now, without waiting for I/O in flight"),
	SWITCH(CLI_FORCE, 'f', "force", "Stop it first if it runs"),
	VALUE(CLI_FOR, 0, "for", "GOAL", CLI_WORD_GOAL,
	      "ready, running, paused, stopped or crashed (default: ready)"),
	VALUE(CLI_WAIT_TIMEOUT, 't', "timeout", "SECONDS", CLI_WORD_NONE,
	      "Give up after this time with status 124"),
	SWITCH(CLI_FOLLOW, 'f', "follow", "Go on as output arrives"),
	SWITCH(CLI_BOOT, 0, "boot", "The boot log: what was loaded, and when"),
	SWITCH(CLI_CRASH, 0, "crash", "The last crash report"),
	VALUE(CLI_LINES, 'n', "lines", "N", CLI_WORD_NONE,
	      "Only the last N lines"),
	VALUE(CLI_SINCE, 0, "since", "SEQ", CLI_WORD_NONE,
	      "Only what came after this sequence number"),
	SWITCH(CLI_READONLY, 0, "read-only", "Watch; send no input"),
	SWITCH(CLI_NO_HISTORY, 0, "no-history",
	       "Only new output, not what is already there"),
	SWITCH(CLI_QUIET, 'q', "quiet", "Only the names, one per line"),
	VALUE(CLI_STATE, 's', "state", "STATE", CLI_WORD_STATE,
	      "Only VMs in this state"),
	VALUE(CLI_INTERVAL, 'i', "interval", "SECONDS", CLI_WORD_NONE,
	      "Time between refreshes (default: 2)"),
	VALUE(CLI_ROUNDS, 'n', "rounds", "N", CLI_WORD_NONE,
	      "Refresh N times, then end"),
	VALUE(CLI_AGENT_TIMEOUT, 't', "timeout", "SECONDS", CLI_WORD_NONE,
	      "Give up after this time with status 124 (default: 5, exec 30, "
	      "fsfreeze and fsthaw 60)"),
	VALUE(CLI_FORMAT, 'f', "format", "raw|qcow2", CLI_WORD_NONE,
	      "Format of FILE (default: qcow2 for NAME.qcow2, else raw)"),
	VALUE(CLI_OUT_FORMAT, 'O', "output-format", "raw|qcow2", CLI_WORD_NONE,
	      "Format of the new image (default: qcow2)"),
	[CLI_SET] = {
		.id = CLI_SET, .letter = 'o', .name = "option",
		.value = "KEY=VALUE,...", .repeats = true,
		.help = "compat, cluster_size, refcount_bits, extended_l2, "
			"lazy_refcounts, compression_type",
	},
	VALUE(CLI_BACKING, 'b', "backing", "FILE", CLI_WORD_FILE,
	      "What the new image shows until it is written; relative to it"),
	VALUE(CLI_BACKING_FORMAT, 'F', "backing-format", "raw|qcow2",
	      CLI_WORD_NONE, "Format of the backing file"),
	VALUE(CLI_ALLOW_BACKING, 0, "allow-backing", "DIR", CLI_WORD_FILE,
	      "Where backing files may be (default: beside the image)"),
	SWITCH(CLI_CHAIN, 0, "chain", "The backing files as well"),
	SWITCH(CLI_REPAIR, 0, "repair",
	       "Give leaked space back; errors after a question"),
	SWITCH(CLI_YES, 'y', "yes", "Answer yes"),
	SWITCH(CLI_SHRINK, 0, "shrink", "Lose what is behind the new end"),
	SWITCH(CLI_UNSAFE, 'u', "unsafe",
	       "Only change the name; the content is the caller's business"),
	SWITCH(CLI_COMPRESS, 'c', "compress", "Compress what is written"),
	VALUE(CLI_SNAPSHOT, 0, "snapshot", "NAME", CLI_WORD_NONE,
	      "What the internal snapshot of that name or id shows"),
	VALUE(CLI_BASE, 0, "base", "FILE", CLI_WORD_FILE,
	      "Of the backing files the one that stays behind it"),
	VALUE(CLI_DEPTH, 'd', "depth", "N", CLI_WORD_NONE,
	      "Requests in flight (default: 32)"),
	VALUE(CLI_BLOCK, 's', "block", "SIZE", CLI_WORD_NONE,
	      "Bytes of a request (default: 4K)"),
	VALUE(CLI_SECONDS, 't', "seconds", "SECONDS", CLI_WORD_NONE,
	      "How long (default: 2)"),
	VALUE(CLI_STEP, 0, "step", "SIZE", CLI_WORD_NONE,
	      "From the start of a request to the next's (default: its bytes)"),
	VALUE(CLI_COUNT, 0, "count", "N", CLI_WORD_NONE,
	      "End after N requests"),
	SWITCH(CLI_WRITE, 'w', "write", "Write, over what is there"),
	SWITCH(CLI_RANDOM, 'r', "random", "At random places"),
	VALUE(CLI_KIND, 'k', "kind", "full|disk|memory", CLI_WORD_NONE,
	      "What is kept (default: full, disks and memory)"),
	VALUE(CLI_PURPOSE, 0, "purpose", "TEXT", CLI_WORD_NONE,
	      "What it is for (default: manual); prune: only what is for it"),
	[CLI_SNAPSHOT_LABEL] = {
		.id = CLI_SNAPSHOT_LABEL, .letter = 'l', .name = "label",
		.value = "KEY=VALUE", .repeats = true,
		.help = "A label of the new snapshot; prune: only what carries "
			"it",
	},
	SWITCH(CLI_PIN, 0, "pin", "It is not to be deleted"),
	SWITCH(CLI_NO_SAFETY, 0, "no-safety",
	       "Take no snapshot of what is there before it is given up"),
	SWITCH(CLI_FORCE_OLD, 'f', "force",
	       "Although it is pinned, or disks have changed since"),
	SWITCH(CLI_INCREMENTAL, 'i', "incremental",
	       "Only the memory that the current snapshot has not"),
	VALUE(CLI_FROM, 0, "from", "SNAPSHOT", CLI_WORD_NONE,
	      "As it was in that snapshot; with --cold its disks only"),
	VALUE(CLI_RUNS, 'n', "count", "N", CLI_WORD_NONE,
	      "Rewind N times, and wait for the guest's end each time"),
	VALUE(CLI_ONLY, 0, "only", "disk|disk:ID|ram|config", CLI_WORD_NONE,
	      "What of it comes back (default: all there is)"),
	SWITCH(CLI_QUIESCE, 'q', "quiesce",
	       "With file systems frozen by the guest's agent"),
	SWITCH(CLI_CHILDREN, 0, "children",
	       "Delete all that came from it as well"),
	SWITCH(CLI_NO_MERGE, 0, "no-merge",
	       "Leave merging layers of a stopped VM to its next start"),
	VALUE(CLI_SORT, 0, "sort", "age|size|name|kind", CLI_WORD_SORT,
	      "Order of a list (default: age, the oldest first)"),
	VALUE(CLI_KEEP_LAST, 0, "keep-last", "N", CLI_WORD_NONE,
	      "Keep the last N (or: unlimited)"),
	VALUE(CLI_KEEP_HOURLY, 0, "keep-hourly", "N", CLI_WORD_NONE,
	      "Keep the newest of each of the last N hours that have one"),
	VALUE(CLI_KEEP_DAILY, 0, "keep-daily", "N", CLI_WORD_NONE,
	      "The same for days, of UTC"),
	VALUE(CLI_KEEP_WEEKLY, 0, "keep-weekly", "N", CLI_WORD_NONE,
	      "The same for weeks, from Monday on"),
	VALUE(CLI_KEEP_MONTHLY, 0, "keep-monthly", "N", CLI_WORD_NONE,
	      "The same for months"),
	VALUE(CLI_KEEP_YEARLY, 0, "keep-yearly", "N", CLI_WORD_NONE,
	      "The same for years"),
	VALUE(CLI_KEEP_WITHIN, 0, "keep-within", "DURATION", CLI_WORD_NONE,
	      "Keep what is not that much older than the newest: 1y5m7d2h"),
	VALUE(CLI_MAX_BYTES, 0, "max-bytes", "SIZE", CLI_WORD_NONE,
	      "Then remove the oldest until the rest takes up no more"),
	SWITCH(CLI_DRY_RUN, 0, "dry-run", "Only say what would be done"),
	VALUE(CLI_IMPORT_NAME, 0, "name", "SNAPSHOT", CLI_WORD_NONE,
	      "Import it by this name (default: the one it had)"),
	SWITCH(CLI_TREE, 0, "tree", "Which one came from which"),
	SWITCH(CLI_DIRECT, 0, "direct", "Without the page cache (O_DIRECT)"),
};
/* clang-format on */

const struct cli_option *cli_option(enum cli_opt id)
{
	return &rows[id];
}
