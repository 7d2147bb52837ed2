/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber stats`. Worker threads, one VM each; results are theirs until
 * handed over. Every counter that the VM's process tells is printed.
 */
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"

#define STATS_MS 3000

/* "4.0 KiB" behind a figure of bytes, "1.2 ms" behind one of time. */
static void put_human(struct buf *out, const char *key, uint64_t n)
{
	size_t len = strlen(key);
	char text[TERM_HUMAN_BYTES];

	if (len > 6 && strcmp(key + len - 6, "_bytes") == 0 && n >= 1024)
		buf_printf(out, "  (%s)", term_bytes(n, text));
	else if (len > 3 && strcmp(key + len - 3, "_ns") == 0)
		buf_printf(out, "  (%s)", term_duration_us(n / 1000, text));
	else if (len > 3 && strcmp(key + len - 3, "_ms") == 0)
		buf_printf(out, "  (%s)", term_duration_us(n * 1000, text));
}

static void put_members(struct buf *out, json_t *object, const char *prefix)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", prefix,
			 *prefix ? "." : "", key);
		if (json_is_object(value)) {
			put_members(out, value, name);
			continue;
		}
		buf_printf(out, "  %-24s %llu", name,
			   (unsigned long long)cli_status_number(object, key));
		put_human(out, key, cli_status_number(object, key));
		buf_puts(out, "\n");
	}
}

static int stats(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct cli_vm vm;
	json_t *s = NULL;
	int code;

	(void)ctx;
	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (!code)
		code = cli_vm_get(&vm, "/v1/vm/stats", STATS_MS, &s, &r->e);
	cli_vm_close(&vm);
	if (code)
		return code;
	if (cli_has(cli, CLI_JSON)) {
		r->json = json_pack("{s:s}", "name", r->name);
		json_object_update(r->json, s);
	} else {
		buf_printf(&r->out, "%s\n", r->name);
		put_members(&r->out, s, "");
	}
	json_decref(s);
	return 0;
}

int cli_stats_command(struct cli *cli)
{
	return cli_batch_command(cli, true, stats, NULL);
}
