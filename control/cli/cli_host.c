/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber host`: the report about this machine. Main thread. Invariant: the
 * status is 0 exactly when a VM can run here.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/host_probe.h"
#include "control/cli/term_table.h"

#define REPORT_BYTES (256u << 10)

struct report {
	struct kvm_probe kvm;
	struct host_probe host;
};

static bool can_run(const struct report *r)
{
	return r->kvm.usable && r->host.usable;
}

static void pack_rows(json_t *array, const char *group,
		      const struct probe_row *row, unsigned int rows)
{
	for (; rows; rows--, row++)
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s, s:s}", "group", group,
					 "name", row->name, "status",
					 probe_status_text(row->status), "text",
					 row->text));
}

static void print_json(const struct report *r)
{
	json_t *checks = json_array();

	pack_rows(checks, "kvm", r->kvm.row, r->kvm.rows);
	pack_rows(checks, "host", r->host.row, r->host.rows);
	cli_print_json(json_pack("{s:b, s:b, s:o}", "usable", can_run(r),
				 "runs_linux", r->kvm.runs_linux, "checks",
				 checks));
}

static enum term_colour status_colour(enum probe_status status)
{
	static const enum term_colour colour[] = {
		[PROBE_OK] = TERM_GREEN,
		[PROBE_DEGRADED] = TERM_YELLOW,
		[PROBE_MISSING] = TERM_RED,
	};

	return colour[status];
}

static void add_rows(struct term_table *t, const struct probe_row *row,
		     unsigned int rows)
{
	for (; rows; rows--, row++) {
		term_table_add(t, TERM_PLAIN, "%s", row->name);
		term_table_add(t, status_colour(row->status), "%s",
			       probe_status_text(row->status));
		term_table_add(t, TERM_PLAIN, "%s", row->text);
	}
}

static const char *verdict(const struct report *r)
{
	if (!can_run(r))
		return "No VM can run here: see what is missing.";
	if (!r->kvm.runs_linux)
		return "VMs can run here: tiny kernels. A stock Linux kernel "
		       "can't boot.";
	return "VMs can run here, stock Linux kernels among them.";
}

static void print_text(const struct report *r)
{
	bool colour = term_has_colour(STDOUT_FILENO);
	struct term_table t;
	unsigned int rows;
	struct buf out;

	term_table_init(&t, "CHECK STATUS MEANING", colour);
	if (isatty(STDOUT_FILENO))
		term_size(STDOUT_FILENO, &t.width, &rows);
	add_rows(&t, r->kvm.row, r->kvm.rows);
	add_rows(&t, r->host.row, r->host.rows);
	buf_init(&out, REPORT_BYTES);
	if (term_table_print(&t, &out))
		cli_error(NULL, "out of memory");
	buf_printf(&out, "\n%s%s%s\n", term_code(TERM_BOLD, colour), verdict(r),
		   term_code(TERM_PLAIN, colour));
	cli_print(&out);
	buf_fini(&out);
	term_table_fini(&t);
}

int cli_host_command(struct cli *cli)
{
	struct err e = ERR_NONE;
	struct report r;

	kvm_probe(&r.kvm);
	host_probe(&r.host, home_find(&cli->home, &e) ? NULL : &cli->home);
	if (cli_has(cli, CLI_JSON))
		print_json(&r);
	else
		print_text(&r);
	return can_run(&r) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
