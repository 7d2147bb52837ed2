/* SPDX-License-Identifier: Apache-2.0 */
/* Options of amber-vmm; one thread, no state but the result. */
#include "control/vmm_options.h"

#include <stdio.h>
#include <string.h>

#include "control/config_table.h"
#include "control/nearest.h"
#include "control/text.h"

#define WORDS_MAX 64

enum option_id {
	OPT_DIR,
	OPT_SOCKET,
	OPT_CONFIG,
	OPT_NOTIFY_FD,
	OPT_START,
	OPT_NO_START,
	OPT_FROM,
	OPT_ONLY,
	OPT_PAUSED,
	OPT_ONCE,
	OPT_TIMEOUT,
	OPT_EXPECT,
	OPT_CONSOLE,
	OPT_RM,
	OPT_HELP,
	OPT_VERSION,
	OPT_COUNT
};

static const struct vmm_option rows[OPT_COUNT] = {
	[OPT_DIR] = { "dir", "DIR", "directory of the VM, with config.json" },
	[OPT_SOCKET] = { "socket", "PATH", "control socket to make" },
	[OPT_CONFIG] = { "config", "FILE", "configuration, without --dir" },
	[OPT_NOTIFY_FD] = { "notify-fd", "N",
			    "write one line there when the start ended: "
			    "running, paused, or error: TEXT" },
	[OPT_START] = { "start", NULL, "start the VM (the default)" },
	[OPT_NO_START] = { "no-start", NULL, "wait for a start command" },
	[OPT_FROM] = { "from", "SNAPSHOT",
		       "start as it was in that snapshot, by name or ID" },
	[OPT_ONLY] = { "only", "disk|disk:ID|ram",
		       "what of it comes back (default: all there is)" },
	[OPT_PAUSED] = { "paused", NULL,
			 "leave it paused before its first instruction" },
	[OPT_ONCE] = { "once", NULL,
		       "a single run: every ending of the guest ends it; the "
		       "exit status tells which" },
	[OPT_TIMEOUT] = { "timeout", "SECONDS",
			  "end the run after that time, with status 124" },
	[OPT_EXPECT] = { "expect", "REGEX",
			 "end the run with status 0 when the console shows "
			 "this" },
	[OPT_CONSOLE] = { "console", "stdio|none",
			  "guest's console on standard output and input" },
	[OPT_RM] = { "rm", NULL, "remove the directory at the end" },
	[OPT_HELP] = { "help", NULL, "show this text" },
	[OPT_VERSION] = { "version", NULL, "show the version" },
};

const struct vmm_option *vmm_options_rows(size_t *count)
{
	*count = OPT_COUNT;
	return rows;
}

static int set_number(const char *name, const char *text, uint64_t max,
		      uint64_t *out, struct err *e)
{
	if (text_to_number(text, max, out))
		return 0;
	return err_set(e, -EINVAL, "--%s: '%.32s' is no number in 0..%llu",
		       name, text, (unsigned long long)max);
}

static int set_console(struct vmm_options *o, const char *text, struct err *e)
{
	o->stdio = strcmp(text, "stdio") == 0;
	if (o->stdio || strcmp(text, "none") == 0)
		return 0;
	return err_set(e, -EINVAL, "--console: '%.32s' is not stdio or none",
		       text);
}

static int set_option(struct vmm_options *o, enum option_id id,
		      const char *value, struct err *e)
{
	uint64_t number = 0;
	int r = 0;

	switch (id) {
	case OPT_DIR:
		o->dir = value;
		break;
	case OPT_SOCKET:
		o->socket = value;
		break;
	case OPT_CONFIG:
		o->config = value;
		break;
	case OPT_EXPECT:
		o->expect = value;
		if (!*value || strlen(value) > VM_REGEX_MAX)
			r = err_set(e, -EINVAL,
				    "--expect takes 1..%d characters",
				    VM_REGEX_MAX);
		break;
	case OPT_NOTIFY_FD:
		r = set_number(rows[id].name, value, INT32_MAX, &number, e);
		o->notify_fd = r ? -1 : (int)number;
		break;
	case OPT_TIMEOUT:
		r = set_number(rows[id].name, value, VM_SECONDS_MAX, &number,
			       e);
		o->timeout_s = (uint32_t)number;
		break;
	case OPT_CONSOLE:
		r = set_console(o, value, e);
		break;
	case OPT_START:
		o->no_start = false;
		break;
	case OPT_FROM:
		o->from = value;
		break;
	case OPT_ONLY:
		r = restore_part_parse(value, &o->part, &o->part_disk, e);
		if (r)
			err_prefix(e, "--only");
		break;
	case OPT_NO_START:
		o->no_start = true;
		break;
	case OPT_PAUSED:
		o->paused = true;
		break;
	case OPT_ONCE:
		o->once = true;
		break;
	case OPT_RM:
		o->remove = true;
		break;
	case OPT_HELP:
		o->help = true;
		break;
	case OPT_VERSION:
		o->version = true;
		break;
	case OPT_COUNT:
		break;
	}
	return r;
}

static int find_own(const char *name)
{
	int i;

	for (i = 0; i < OPT_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return i;
	return -1;
}

static int unknown(const char *name, struct err *e)
{
	const struct config_row *config;
	const char *words[WORDS_MAX], *near;
	size_t count, n = 0, i;

	config = config_rows(&count);
	for (i = 0; i < OPT_COUNT; i++)
		words[n++] = rows[i].name;
	for (i = 0; i < count && n < WORDS_MAX; i++)
		if (config[i].option)
			words[n++] = config[i].option;
	near = nearest(name, words, n);
	return err_set(e, -EINVAL, "unknown option --%.48s%s%s%s", name,
		       near ? "; did you mean --" : "", near ? near : "",
		       near ? "?" : "");
}

/* One word of argv split into a name and, behind '=', a value. */
struct word {
	char name[48];
	const char *value; /* NULL: none */
};

static int split(const char *arg, struct word *w, struct err *e)
{
	size_t len = strcspn(arg, "=");

	if (strncmp(arg, "--", 2) != 0 || len < 3)
		return err_set(e, -EINVAL, "'%.48s' is no option", arg);
	w->value = arg[len] ? arg + len + 1 : NULL;
	snprintf(w->name, sizeof(w->name), "%.*s", (int)(len - 2), arg + 2);
	return 0;
}

/* Returns the argv entries used (1 or 2), or a negative errno. */
static int take(struct vmm_options *o, struct vm_config *c, char **argv,
		struct err *e)
{
	const struct config_row *row = NULL;
	struct word w;
	int id, used = 1, r;
	bool takes;

	r = split(argv[0], &w, e);
	if (r)
		return r;
	id = find_own(w.name);
	if (id < 0)
		row = config_find_option(w.name);
	if (id < 0 && !row)
		return unknown(w.name, e);
	takes = row || rows[id].argument;
	if (w.value && !takes)
		return err_set(e, -EINVAL, "--%s takes no value", w.name);
	if (takes && !w.value) {
		w.value = argv[1];
		used = 2;
	}
	if (takes && !w.value)
		return err_set(e, -EINVAL, "--%s takes a value: %s", w.name,
			       row ? row->argument : rows[id].argument);
	if (row) {
		o->has_config_option = true;
		r = config_set(c, row, w.value, e);
	} else {
		r = set_option(o, (enum option_id)id, w.value, e);
	}
	return r ? r : used;
}

static int check_together(const struct vmm_options *o, struct err *e)
{
	if (o->help || o->version)
		return 0;
	if (o->dir && (o->config || o->has_config_option))
		return err_set(e, -EINVAL,
			       "--dir has its own config.json: no --config or "
			       "--kernel and the like beside it");
	if (o->remove && !o->dir)
		return err_set(e, -EINVAL, "--rm needs --dir");
	if (o->from && (o->no_start || !o->dir))
		return err_set(e, -EINVAL,
			       "--from takes a --dir, and no --no-start");
	if (o->no_start && (o->once || o->paused))
		return err_set(e, -EINVAL,
			       "--no-start and --once or --paused contradict "
			       "each other");
	return 0;
}

int vmm_options_parse(struct vmm_options *o, struct vm_config *c, int argc,
		      char **argv, struct err *e)
{
	int i = 1, used;

	*o = (struct vmm_options){ .notify_fd = -1 };
	while (i < argc) {
		used = take(o, c, argv + i, e);
		if (used < 0)
			return used;
		i += used;
	}
	return check_together(o, e);
}

static void usage_line(struct buf *out, const char *name, const char *argument,
		       const char *help)
{
	char left[40];

	snprintf(left, sizeof(left), "--%s%s%s", name, argument ? " " : "",
		 argument ? argument : "");
	buf_printf(out, "  %-28s %s\n", left, help);
}

int vmm_options_usage(struct buf *out)
{
	const struct config_row *config;
	size_t count, i;

	buf_puts(out, "usage: amber-vmm --dir DIR --socket PATH [OPTION...]\n"
		      "       amber-vmm --kernel FILE [OPTION...]\n"
		      "Runs one virtual machine; `amber` is the program for "
		      "people.\n\nOptions:\n");
	for (i = 0; i < OPT_COUNT; i++)
		usage_line(out, rows[i].name, rows[i].argument, rows[i].help);
	buf_puts(out, "\nThe VM's configuration, without --dir:\n");
	config = config_rows(&count);
	for (i = 0; i < count; i++)
		if (config[i].option)
			usage_line(out, config[i].option, config[i].argument,
				   config[i].help);
	return out->error;
}
