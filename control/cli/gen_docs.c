/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/commands.md: every command with its options, in Markdown. Main
 * thread. Invariant: a cell's text never ends its table row.
 */
#include <stdio.h>

#include "control/cli/cli.h"
#include "control/cli/cli_help.h"
#include "control/cli/gen.h"

static void put_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_puts(out, "\\|");
		else
			buf_put(out, text, 1);
	}
}

static void put_option(struct buf *out, const struct cli_option_view *v)
{
	buf_puts(out, "| `");
	if (v->letter)
		buf_printf(out, "-%c`, `", v->letter);
	buf_printf(out, "--%s", v->name);
	if (v->value) {
		buf_puts(out, " ");
		put_cell(out, v->value);
	}
	buf_puts(out, "` | ");
	put_cell(out, v->help);
	if (*v->unset) {
		buf_puts(out, " (default: ");
		put_cell(out, v->unset);
		buf_puts(out, ")");
	}
	buf_puts(out, " |\n");
}

static void put_command(struct buf *out, const struct cli_command *c)
{
	struct cli_option_view v;
	size_t i;

	buf_printf(out, "\n### amber %s\n\n%s.\n\n    amber %s [OPTIONS] %s\n",
		   c->name, c->summary, c->name, c->usage);
	if (c->alias)
		buf_printf(out, "    amber %s ...\n", c->alias);
	buf_printf(out, "\n%s\n\n| option | meaning |\n| --- | --- |\n",
		   c->about);
	for (i = 0; cli_option_at(c, i, &v); i++)
		put_option(out, &v);
	buf_puts(out, "\n");
	for (i = 0; i < CLI_EXAMPLES_MAX && c->examples[i]; i++)
		buf_printf(out, "    %s\n", c->examples[i]);
}

static void put_overview(struct buf *out)
{
	const struct cli_command *rows;
	size_t count, i;

	buf_puts(out, "| command | what it does | role |\n"
		      "| --- | --- | --- |\n");
	rows = cli_commands(&count);
	for (i = 0; i < count; i++)
		if (!rows[i].hidden)
			buf_printf(out, "| [%s](#amber-%s) | %s | %s |\n",
				   rows[i].name, rows[i].name, rows[i].summary,
				   rows[i].role ? rows[i].role : "");
}

static void put_statuses(struct buf *out)
{
	const struct gen_status *s;
	unsigned int i;

	buf_puts(out, "\n## Exit statuses\n\n| status | meaning |\n"
		      "| --- | --- |\n");
	for (i = 0; (s = gen_status_at(i)) != NULL; i++)
		buf_printf(out, "| %s | %s |\n", s->number, s->meaning);
}

int gen_docs(int dir, struct err *e)
{
	const struct cli_command *rows;
	struct buf page;
	size_t count, i;
	int group, r;

	buf_init(&page, GEN_BYTES);
	buf_puts(&page,
		 "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
		 "<!-- Made by `make docs` from control/cli/cli_table.c; do "
		 "not edit. -->\n# Commands\n\n");
	put_overview(&page);
	put_statuses(&page);
	rows = cli_commands(&count);
	for (group = 0; group < CLI_GROUP_COUNT; group++) {
		buf_printf(&page, "\n## %s\n",
			   cli_group_text((enum cli_group)group));
		for (i = 0; i < count; i++)
			if (!rows[i].hidden &&
			    rows[i].group == (enum cli_group)group)
				put_command(&page, &rows[i]);
	}
	r = gen_write(dir, "commands.md", &page, e);
	buf_fini(&page);
	return r;
}
