/* SPDX-License-Identifier: Apache-2.0 */
/* Help pages and the version; main thread; constant input. */
#include "control/cli/cli_help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"
#include "control/version.h"

#define PAGE_BYTES (64u << 10)
#define LEFT_WIDTH 28 /* of an option's column */
#define TEXT_WIDTH 80

const char *cli_group_text(enum cli_group group)
{
	static const char *const texts[CLI_GROUP_COUNT] = {
		[CLI_GROUP_MAKE] = "Make and delete VMs",
		[CLI_GROUP_LIFE] = "Steer their life",
		[CLI_GROUP_WATCH] = "Watch them",
		[CLI_GROUP_CONSOLE] = "See and use the console",
		[CLI_GROUP_OTHER] = "Amber itself",
	};

	return texts[group];
}

static enum cli_word config_word(const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_PATH:
	case CONFIG_KERNELS:
		return CLI_WORD_FILE;
	case CONFIG_POLICY:
		return CLI_WORD_POLICY;
	default:
		return CLI_WORD_NONE;
	}
}

static void set_help(struct cli_option_view *view, const char *help)
{
	snprintf(view->help, sizeof(view->help), "%s", help);
	if (view->help[0] >= 'a' && view->help[0] <= 'z')
		view->help[0] = (char)(view->help[0] - 'a' + 'A');
}

static bool config_option_at(size_t n, struct cli_option_view *view)
{
	const struct config_row *rows;
	size_t count, i;

	rows = config_rows(&count);
	for (i = 0; i < count; i++) {
		if (!rows[i].option || n--)
			continue;
		*view = (struct cli_option_view){
			.name = rows[i].option,
			.value = rows[i].argument,
			.unset = rows[i].unset,
			.word = config_word(&rows[i]),
		};
		set_help(view, rows[i].help);
		return true;
	}
	return false;
}

bool cli_option_at(const struct cli_command *command, size_t n,
		   struct cli_option_view *view)
{
	const struct cli_option *o;
	size_t own = 0;

	while (command->options[own] != CLI_END)
		own++;
	if (n >= own)
		return command->config && config_option_at(n - own, view);
	o = cli_option(command->options[n]);
	*view = (struct cli_option_view){
		.letter = o->letter,
		.name = o->name,
		.value = o->value,
		.unset = "",
		.word = o->word,
	};
	set_help(view, o->help);
	return true;
}

/* Appends text, wrapped, the first line at column `at`. */
static void put_wrapped(struct buf *out, const char *text, unsigned int at,
			unsigned int indent)
{
	unsigned int column = at;

	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column > indent && column + len + 1 > TEXT_WIDTH) {
			buf_printf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			buf_puts(out, " ");
			column++;
		}
		buf_put(out, text, len);
		column += (unsigned int)len;
		text += len;
		if (text[0] == '\n' && text[1] == '\n') {
			buf_printf(out, "\n\n%*s", (int)indent, "");
			column = indent;
		}
		text += strspn(text, " \n");
	}
	buf_puts(out, "\n");
}

static void put_left(struct buf *out, const char *left, const char *text)
{
	unsigned int width = (unsigned int)strlen(left) + 2;

	buf_printf(out, "  %s", left);
	if (width + 2 > LEFT_WIDTH) {
		buf_puts(out, "\n");
		width = 0;
	}
	buf_printf(out, "%*s", (int)(LEFT_WIDTH - width), "");
	put_wrapped(out, text, LEFT_WIDTH, LEFT_WIDTH);
}

static void put_option(struct buf *out, const struct cli_option_view *v)
{
	char left[80], text[384], letter[8] = "    ";

	if (v->letter)
		snprintf(letter, sizeof(letter), "-%c, ", v->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, v->name,
		 v->value ? " " : "", v->value ? v->value : "");
	if (*v->unset)
		snprintf(text, sizeof(text), "%s (default: %s)", v->help,
			 v->unset);
	else
		snprintf(text, sizeof(text), "%s", v->help);
	put_left(out, left, text);
}

static void page(const struct cli_command *c, struct buf *out)
{
	struct cli_option_view view;
	size_t i;

	buf_printf(out, "%s\n\nUsage: amber %s [OPTIONS]%s%s\n", c->summary,
		   c->name, *c->usage ? " " : "", c->usage);
	if (c->alias)
		buf_printf(out, "Also:  amber %s\n", c->alias);
	buf_puts(out, "\n");
	put_wrapped(out, c->about, 0, 0);
	buf_puts(out, "\nOptions:\n");
	for (i = 0; cli_option_at(c, i, &view); i++)
		put_option(out, &view);
	if (c->examples[0])
		buf_puts(out, "\nExamples:\n");
	for (i = 0; i < CLI_EXAMPLES_MAX && c->examples[i]; i++)
		buf_printf(out, "  %s\n", c->examples[i]);
}

void cli_help_page(const struct cli_command *command)
{
	struct buf out;

	buf_init(&out, PAGE_BYTES);
	page(command, &out);
	cli_print(&out);
	buf_fini(&out);
}

static void put_commands(struct buf *out, enum cli_group group)
{
	const struct cli_command *rows;
	size_t count, i;

	buf_printf(out, "\n%s:\n", cli_group_text(group));
	rows = cli_commands(&count);
	for (i = 0; i < count; i++) {
		if (rows[i].hidden || rows[i].group != group)
			continue;
		buf_printf(out, "  %-13s %s\n", rows[i].name, rows[i].summary);
	}
}

void cli_help_overview(bool is_error)
{
	struct buf out;
	int group;

	buf_init(&out, PAGE_BYTES);
	buf_puts(&out, "amber runs virtual machines and steers their life.\n"
		       "\n"
		       "Usage: amber COMMAND [OPTIONS] [NAME...]\n"
		       "\n"
		       "  amber run KERNEL    boots KERNEL and attaches its "
		       "console; Ctrl-] detaches\n"
		       "  amber list          shows the VMs\n");
	for (group = 0; group < CLI_GROUP_COUNT; group++)
		put_commands(&out, (enum cli_group)group);
	buf_puts(&out, "\n`amber help COMMAND` explains a command. VMs live "
		       "in $AMBER_HOME, their sockets in\n$AMBER_RUN.\n");
	if (is_error)
		fputs(buf_text(&out), stderr);
	else
		cli_print(&out);
	buf_fini(&out);
}

int cli_help_command(struct cli *cli)
{
	const struct cli_command *command;
	const char *near;

	if (!cli->nargs) {
		cli_help_overview(false);
		return EXIT_CODE_OK;
	}
	command = cli_find(cli->args[0]);
	if (command) {
		cli_help_page(command);
		return EXIT_CODE_OK;
	}
	near = cli_nearest(cli->args[0]);
	if (near)
		cli_error(NULL, "help: no command \"%.64s\" (did you mean %s?)",
			  cli->args[0], near);
	else
		cli_error(NULL, "help: no command \"%.64s\" (see: amber help)",
			  cli->args[0]);
	return EXIT_CODE_USAGE;
}

int cli_version_command(struct cli *cli)
{
	if (cli_has(cli, CLI_JSON))
		cli_print_json(json_pack("{s:s, s:s, s:s}", "name", "amber",
					 "version", AMBER_VERSION, "api",
					 AMBER_API_VERSION));
	else
		printf("amber %s (API %s)\n", AMBER_VERSION, AMBER_API_VERSION);
	return EXIT_CODE_OK;
}
