/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber info` and `amber config`. Worker threads collect, the main thread
 * prints. Invariant: everything is read without a lock; what a running VM's
 * process doesn't tell is left out.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_record.h"
#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"
#include "control/limits.h"

#define INFO_MS	      2000
#define INFO_RECORDS  10 /* in JSON */
#define SHOWN_RECORDS 5	 /* in text */

/* dir/logs/name or dir/name as text, NULL when it isn't there. */
static json_t *file_text(int dir, const char *folder, const char *name,
			 size_t limit)
{
	json_t *text = NULL;
	struct buf b;
	int at = dir;

	if (folder)
		at = file_open_dir(dir, folder, NULL);
	if (at < 0)
		return json_null();
	buf_init(&b, limit);
	if (file_read(at, name, limit, &b, NULL) == 0)
		text = json_stringn(buf_text(&b), b.len);
	buf_fini(&b);
	if (folder)
		close(at);
	return text ? text : json_null();
}

static json_t *config_of(int dir)
{
	json_t *text =
		file_text(dir, NULL, VMDIR_CONFIG, LIMIT_JSON_CONFIG_BYTES);
	json_t *config = NULL;

	if (json_is_string(text))
		config = json_loads(json_string_value(text), 0, NULL);
	json_decref(text);
	return config ? config : json_null();
}

/* The status object with everything else that is known. */
static json_t *collect(const struct cli *cli, struct cli_vm *vm)
{
	json_t *s = cli_status(vm, INFO_MS), *stats = NULL, *records = NULL;
	char path[PATH_MAX];

	if (vm->alive)
		cli_vm_get(vm, "/v1/vm/stats", INFO_MS, &stats, NULL);
	if (cli_record_load(vm->dir, 0, INFO_RECORDS, &records, NULL))
		records = json_array();
	if (home_vm_path(&cli->home, vm->name, path, sizeof(path), NULL) == 0)
		json_object_set_new(s, "directory", json_string(path));
	json_object_set_new(s, "socket",
			    vm->alive ? json_string(vm->socket) : json_null());
	json_object_set_new(s, "config", config_of(vm->dir));
	json_object_set_new(s, "stats", stats ? stats : json_null());
	json_object_set_new(s, "boot",
			    file_text(vm->dir, VMDIR_LOGS, VMDIR_BOOT_LOG,
				      LIMIT_REPORT_BYTES));
	json_object_set_new(s, "journal", records);
	return s;
}

static void field(struct buf *out, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void field(struct buf *out, const char *name, const char *fmt, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, LIMIT_REPORT_BYTES);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (text.len) {
		buf_printf(out, "  %-16s ", name);
		term_put_safe(out, buf_text(&text), false);
		buf_puts(out, "\n");
	}
	buf_fini(&text);
}

static void put_state(struct buf *out, const json_t *s, bool colour)
{
	const char *state = cli_status_text(s, "state");
	const char *since = cli_status_text(s, "since");

	buf_printf(out, "%s%s%s\n", term_code(TERM_BOLD, colour),
		   cli_status_text(s, "name"), term_code(TERM_PLAIN, colour));
	buf_printf(out, "  %-16s %s%s%s", "state",
		   term_code(term_state_colour(state), colour), state,
		   term_code(TERM_PLAIN, colour));
	if (*since)
		buf_printf(out, " since %s", since);
	if (*cli_status_text(s, "cause")) {
		buf_puts(out, ", ");
		cli_status_why(s, out);
	}
	buf_puts(out, "\n");
	field(out, "reason", "%s", cli_status_text(s, "reason"));
	field(out, "text", "%s", cli_status_text(s, "text"));
	field(out, "error", "%s", cli_status_text(s, "error"));
}

static void put_life(struct buf *out, const json_t *s)
{
	const json_t *milestone = json_object_get(s, "milestone");
	char text[TERM_HUMAN_BYTES];

	if (!json_is_true(json_object_get(s, "alive")))
		return;
	field(out, "uptime", "%s", cli_status_uptime(s, text));
	if (json_is_integer(milestone))
		field(out, "ready", "%s (milestone %d)",
		      json_is_true(json_object_get(s, "ready")) ? "yes" : "no",
		      (int)json_integer_value(milestone));
	else
		field(out, "ready", "%s",
		      json_is_true(json_object_get(s, "ready")) ? "yes" : "no");
	field(out, "boots", "%llu, %llu restarts in a row",
	      (unsigned long long)cli_status_number(s, "boots"),
	      (unsigned long long)cli_status_number(s, "restarts"));
	field(out, "process", "%llu, %s",
	      (unsigned long long)cli_status_number(s, "pid"),
	      cli_status_text(s, "socket"));
}

static void put_machine(struct buf *out, const json_t *s)
{
	const json_t *stats = json_object_get(s, "stats");
	const json_t *console = json_object_get(stats, "console");
	char size[TERM_HUMAN_BYTES], resident[TERM_HUMAN_BYTES];

	field(out, "cpus", "%llu",
	      (unsigned long long)cli_status_number(s, "cpus"));
	term_bytes(cli_status_number(s, "memory_bytes"), size);
	if (!json_is_object(stats)) {
		field(out, "memory", "%s", size);
		return;
	}
	field(out, "memory", "%s, %s of it resident", size,
	      term_bytes(cli_status_number(stats, "resident_bytes"), resident));
	field(out, "console", "%llu bytes out, %llu in, %llu dropped",
	      (unsigned long long)cli_status_number(console, "out_bytes"),
	      (unsigned long long)cli_status_number(console, "in_bytes"),
	      (unsigned long long)cli_status_number(console, "dropped_bytes"));
}

/* A value of config.json for people: lists without brackets and quotes. */
static void put_value(struct buf *out, json_t *value)
{
	json_t *element;
	const char *key;
	char *text;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach(value, i, element)
		{
			buf_puts(out, i ? ", " : "");
			put_value(out, element);
		}
	} else if (json_is_object(value)) {
		i = 0;
		json_object_foreach(value, key, element)
		{
			buf_printf(out, "%s%s=", i++ ? ", " : "", key);
			put_value(out, element);
		}
	} else if (json_is_string(value)) {
		buf_puts(out, json_string_value(value));
	} else {
		text = json_dumps(value, JSON_ENCODE_ANY);
		buf_puts(out, text ? text : "?");
		free(text);
	}
}

/* The keys of config.json that were not shown yet. */
static void put_config(struct buf *out, const json_t *s)
{
	static const char *const shown[] = { "name", "cpus", "memory" };
	json_t *value;
	json_t *config = json_object_get(s, "config");
	const char *key;
	size_t i;

	json_object_foreach(config, key, value)
	{
		struct buf text;

		for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			if (strcmp(key, shown[i]) == 0)
				break;
		if (i < sizeof(shown) / sizeof(shown[0]))
			continue;
		buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
		put_value(&text, value);
		field(out, key, "%s", buf_text(&text));
		buf_fini(&text);
	}
	field(out, "directory", "%s", cli_status_text(s, "directory"));
}

static void put_boot(struct buf *out, const json_t *s)
{
	const char *boot = cli_status_text(s, "boot");

	if (!*boot)
		return;
	buf_puts(out, "  last boot\n");
	while (*boot) {
		size_t len = strcspn(boot, "\n");
		char line[256];

		snprintf(line, sizeof(line), "%.*s", (int)len, boot);
		buf_puts(out, "    ");
		term_put_safe(out, line, false);
		buf_puts(out, "\n");
		boot += len + (boot[len] == '\n');
	}
}

static void put_journal(struct buf *out, const json_t *s, bool colour)
{
	const json_t *records = json_object_get(s, "journal");
	size_t n = json_array_size(records), i;

	if (n)
		buf_puts(out, "  last records\n");
	for (i = n > SHOWN_RECORDS ? n - SHOWN_RECORDS : 0; i < n; i++) {
		buf_puts(out, "    ");
		cli_record_line(json_array_get(records, i), colour, out);
	}
}

static int info(const struct cli *cli, void *ctx, struct cli_result *r)
{
	bool colour = *(const bool *)ctx;
	struct cli_vm vm;
	json_t *s;
	int code;

	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (code) {
		cli_vm_close(&vm);
		return code;
	}
	s = collect(cli, &vm);
	cli_vm_close(&vm);
	if (cli_has(cli, CLI_JSON)) {
		r->json = s;
		return 0;
	}
	put_state(&r->out, s, colour);
	put_life(&r->out, s);
	put_machine(&r->out, s);
	put_config(&r->out, s);
	put_boot(&r->out, s);
	put_journal(&r->out, s, colour);
	json_decref(s);
	return 0;
}

int cli_info_command(struct cli *cli)
{
	bool colour = term_has_colour(STDOUT_FILENO);

	return cli_batch_command(cli, false, info, &colour);
}

int cli_config_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	struct cli_vm vm;
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	r = cli_vm_open(&vm, &cli->home, cli->args[0], &e);
	if (!r)
		r = file_read(vm.dir, VMDIR_CONFIG, LIMIT_JSON_CONFIG_BYTES,
			      &text, &e);
	if (!r)
		cli_print(&text);
	buf_fini(&text);
	cli_vm_close(&vm);
	if (r)
		cli_error(cli->args[0], "%s", e.text);
	return r ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
