/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts for bash, zsh and fish, made from the rows. Main
 * thread. Invariant: help texts are quoted for the shell that reads them.
 */
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_help.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_words.h"
#include "control/cli/gen.h"

#define VM_NAMES "amber list --quiet 2>/dev/null"

/* Walks the visible commands. */
static const struct cli_command *visible(size_t *at)
{
	const struct cli_command *rows;
	size_t count;

	rows = cli_commands(&count);
	while (*at < count && rows[*at].hidden)
		(*at)++;
	return *at < count ? &rows[(*at)++] : NULL;
}

/* The words of a closed list, separated by blanks. */
static void put_words(struct buf *out, enum cli_word kind)
{
	const char *word;
	size_t i;

	for (i = 0; (word = cli_word_at(kind, i)) != NULL; i++)
		buf_printf(out, "%s%s", i ? " " : "", word);
}

static void put_names(struct buf *out, const struct cli_command *c,
		      const char *separator)
{
	buf_puts(out, c->name);
	if (c->alias)
		buf_printf(out, "%s%s", separator, c->alias);
}

/* --- bash ---------------------------------------------------------------- */

/* The shell command that fills COMPREPLY with words of that kind. */
static void bash_reply(struct buf *out, enum cli_word kind)
{
	switch (kind) {
	case CLI_WORD_NONE:
		buf_puts(out, ":");
		break;
	case CLI_WORD_FILE:
		buf_puts(out, "compopt -o filenames; "
			      "COMPREPLY=($(compgen -f -- \"$cur\"))");
		break;
	case CLI_WORD_VM:
		buf_puts(out, "COMPREPLY=($(compgen -W \"$(" VM_NAMES
			      ")\" -- \"$cur\"))");
		break;
	default:
		buf_puts(out, "COMPREPLY=($(compgen -W '");
		put_words(out, kind);
		buf_puts(out, "' -- \"$cur\"))");
	}
}

static void bash_command(struct buf *out, const struct cli_command *c)
{
	struct cli_option_view v;
	size_t i;

	buf_puts(out, "\t");
	put_names(out, c, "|");
	buf_puts(out, ")\n\t\tcase $prev in\n");
	for (i = 0; cli_option_at(c, i, &v); i++) {
		if (!v.value)
			continue;
		buf_puts(out, "\t\t");
		if (v.letter)
			buf_printf(out, "-%c|", v.letter);
		buf_printf(out, "--%s) ", v.name);
		bash_reply(out, v.word);
		buf_puts(out, "; return ;;\n");
	}
	buf_puts(out, "\t\tesac\n\t\tif [[ $cur == -* ]]; then\n"
		      "\t\t\tCOMPREPLY=($(compgen -W '");
	for (i = 0; cli_option_at(c, i, &v); i++)
		buf_printf(out, "%s--%s", i ? " " : "", v.name);
	buf_puts(out, "' -- \"$cur\"))\n\t\telse\n\t\t\t");
	bash_reply(out, c->word);
	buf_puts(out, "\n\t\tfi ;;\n");
}

static void bash(struct buf *out)
{
	const struct cli_command *c;
	size_t at = 0;

	buf_puts(out, "# bash completion for amber\n_amber() {\n"
		      "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
		      "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		      "\tCOMPREPLY=()\n"
		      "\tif ((COMP_CWORD == 1)); then\n\t\t");
	bash_reply(out, CLI_WORD_COMMAND);
	buf_puts(out, "\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n");
	while ((c = visible(&at)) != NULL)
		bash_command(out, c);
	buf_puts(out, "\tesac\n}\ncomplete -F _amber amber\n");
}

/* --- zsh ----------------------------------------------------------------- */

/* Inside '...': quotes are doubled up, characters of _arguments escaped. */
static void zsh_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else if (strchr("[]:", *text))
			buf_printf(out, "\\%c", *text);
		else
			buf_put(out, text, 1);
	}
}

static void zsh_action(struct buf *out, enum cli_word kind)
{
	switch (kind) {
	case CLI_WORD_NONE:
		break;
	case CLI_WORD_FILE:
		buf_puts(out, "_files");
		break;
	case CLI_WORD_VM:
		buf_puts(out, "_amber_vms");
		break;
	default:
		buf_puts(out, "(");
		put_words(out, kind);
		buf_puts(out, ")");
	}
}

static void zsh_option(struct buf *out, const char *dashes, const char *name,
		       const struct cli_option_view *v)
{
	buf_printf(out, " \\\n\t\t\t'*%s%s[", dashes, name);
	zsh_text(out, v->help);
	buf_puts(out, "]");
	if (v->value) {
		buf_puts(out, ":");
		zsh_text(out, v->value);
		buf_puts(out, ":");
		zsh_action(out, v->word);
	}
	buf_puts(out, "'");
}

static void zsh_command(struct buf *out, const struct cli_command *c)
{
	struct cli_option_view v;
	size_t i;

	buf_puts(out, "\t\t");
	put_names(out, c, "|");
	buf_puts(out, ")\n\t\t\t_arguments -s");
	for (i = 0; cli_option_at(c, i, &v); i++) {
		char letter[2] = { v.letter, 0 };

		zsh_option(out, "--", v.name, &v);
		if (v.letter)
			zsh_option(out, "-", letter, &v);
	}
	if (c->word != CLI_WORD_NONE) {
		buf_puts(out, " \\\n\t\t\t'*: :");
		zsh_action(out, c->word);
		buf_puts(out, "'");
	}
	buf_puts(out, " ;;\n");
}

static void zsh(struct buf *out)
{
	const struct cli_command *c;
	size_t at = 0;

	buf_puts(out, "#compdef amber\n_amber_vms() {\n\tlocal -a names\n"
		      "\tnames=(${(f)\"$(" VM_NAMES ")\"})\n"
		      "\tcompadd -a names\n}\n_amber() {\n"
		      "\tlocal -a commands\n\tcommands=(\n");
	while ((c = visible(&at)) != NULL) {
		buf_printf(out, "\t\t'%s:", c->name);
		zsh_text(out, c->summary);
		buf_puts(out, "'\n");
	}
	buf_puts(out, "\t)\n\tif ((CURRENT == 2)); then\n"
		      "\t\t_describe command commands\n\t\treturn\n\tfi\n"
		      "\tlocal command=$words[2]\n\tshift words\n"
		      "\t((CURRENT--))\n\tcase $command in\n");
	at = 0;
	while ((c = visible(&at)) != NULL)
		zsh_command(out, c);
	buf_puts(out, "\tesac\n}\ncompdef _amber amber\n");
}

/* --- fish ---------------------------------------------------------------- */

static void fish_text(struct buf *out, const char *text)
{
	buf_puts(out, "'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_puts(out, "\\");
		buf_put(out, text, 1);
	}
	buf_puts(out, "'");
}

static void fish_action(struct buf *out, enum cli_word kind)
{
	switch (kind) {
	case CLI_WORD_NONE:
		break;
	case CLI_WORD_FILE:
		buf_puts(out, " -F");
		break;
	case CLI_WORD_VM:
		buf_puts(out, " -a '(" VM_NAMES ")'");
		break;
	default:
		buf_puts(out, " -a '");
		put_words(out, kind);
		buf_puts(out, "'");
	}
}

static void fish_line(struct buf *out, const struct cli_command *c)
{
	buf_puts(out, "complete -c amber -n '__fish_seen_subcommand_from ");
	put_names(out, c, " ");
	buf_puts(out, "'");
}

static void fish_command(struct buf *out, const struct cli_command *c)
{
	struct cli_option_view v;
	size_t i;

	buf_printf(out, "complete -c amber -n __fish_use_subcommand -a %s -d ",
		   c->name);
	fish_text(out, c->summary);
	buf_puts(out, "\n");
	for (i = 0; cli_option_at(c, i, &v); i++) {
		fish_line(out, c);
		if (v.letter)
			buf_printf(out, " -s %c", v.letter);
		buf_printf(out, " -l %s -d ", v.name);
		fish_text(out, v.help);
		if (v.value) {
			buf_puts(out, " -r");
			fish_action(out, v.word);
		}
		buf_puts(out, "\n");
	}
	if (c->word != CLI_WORD_NONE) {
		fish_line(out, c);
		fish_action(out, c->word);
		buf_puts(out, "\n");
	}
}

static void fish(struct buf *out)
{
	const struct cli_command *c;
	size_t at = 0;

	buf_puts(out, "# fish completion for amber\ncomplete -c amber -f\n");
	while ((c = visible(&at)) != NULL)
		fish_command(out, c);
}

int cli_completion_command(struct cli *cli)
{
	static void (*const make[])(struct buf * out) = { bash, zsh, fish };
	const char *shell;
	struct buf out;
	size_t i;

	for (i = 0; (shell = cli_word_at(CLI_WORD_SHELL, i)) != NULL; i++)
		if (strcmp(shell, cli->args[0]) == 0)
			break;
	if (!shell) {
		cli_error(NULL,
			  "completion: %.64s: bash, zsh or fish is wanted",
			  cli->args[0]);
		return EXIT_CODE_USAGE;
	}
	buf_init(&out, GEN_BYTES);
	make[i](&out);
	cli_print(&out);
	buf_fini(&out);
	return EXIT_CODE_OK;
}
