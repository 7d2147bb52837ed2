/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv against the rows of the table. Pure but for memory. Invariant: what
 * is in cli->given and cli->args is allowed by the command's row.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/config_value.h"
#include "control/nearest.h"
#include "control/text.h"
#include "vmm/matcher.h"

#define CANDIDATES_MAX 64

struct parse {
	struct cli *cli;
	char **argv;
	int argc, at;
	struct err *e;
};

bool cli_takes(const struct cli_command *command, enum cli_opt id)
{
	const enum cli_opt *o = command->options;

	while (*o != CLI_END && *o != id)
		o++;
	return *o == id;
}

static const char *command_name(const struct cli *cli)
{
	return cli->command ? cli->command->name : "amber";
}

static const struct cli_option *find_long(const struct cli_command *command,
					  const char *name)
{
	int id;

	for (id = CLI_END + 1; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = cli_option((enum cli_opt)id);

		if (cli_takes(command, o->id) && strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_command *command,
					    char letter)
{
	const enum cli_opt *id;

	for (id = command->options; *id != CLI_END; id++)
		if (cli_option(*id)->letter == letter)
			return cli_option(*id);
	return NULL;
}

static const char *nearest_option(const struct cli_command *command,
				  const char *wrong)
{
	const char *names[CANDIDATES_MAX];
	const struct config_row *rows;
	const enum cli_opt *id;
	size_t n = 0, count, i;

	for (id = command->options; *id != CLI_END; id++)
		names[n++] = cli_option(*id)->name;
	rows = config_rows(&count);
	for (i = 0; command->config && i < count && n < CANDIDATES_MAX; i++)
		if (rows[i].option)
			names[n++] = rows[i].option;
	return nearest(wrong, names, n);
}

static int unknown_option(const struct parse *p, const char *name)
{
	const struct cli_command *command = p->cli->command;
	const char *near = nearest_option(command, name);

	if (near)
		return err_set(p->e, -EINVAL,
			       "%s: no option --%.64s (did you mean --%s?)",
			       command->name, name, near);
	return err_set(p->e, -EINVAL,
		       "%s: no option --%.64s (see: amber help %s)",
		       command->name, name, command->name);
}

static bool given_already(const struct cli *cli, enum cli_opt id,
			  const struct config_row *row)
{
	size_t i;

	for (i = 0; i < cli->givens; i++)
		if (cli->given[i].id == id && cli->given[i].row == row)
			return true;
	return false;
}

static int add(struct parse *p, const struct cli_option *o,
	       const struct config_row *row, const char *value)
{
	enum cli_opt id = o ? o->id : CLI_END;
	bool repeats = o ? o->repeats || !o->value : row->repeats;
	struct cli *cli = p->cli;

	if (!repeats && given_already(cli, id, row))
		return err_set(p->e, -EINVAL, "%s: --%s is given twice",
			       command_name(cli), o ? o->name : row->option);
	cli->given[cli->givens++] =
		(struct cli_given){ .id = id, .row = row, .value = value };
	return 0;
}

/* "--name", "--name=value", "--name value". */
static int parse_long(struct parse *p, const char *word)
{
	const struct cli_command *command = p->cli->command;
	const struct config_row *row = NULL;
	const struct cli_option *o;
	const char *value = strchr(word, '=');
	char name[64];
	bool takes;

	snprintf(name, sizeof(name), "%.*s",
		 value ? (int)(value - word) : (int)strlen(word), word);
	value = value ? value + 1 : NULL;
	o = find_long(command, name);
	if (!o && command->config)
		row = config_find_option(name);
	if (!o && !row)
		return unknown_option(p, name);
	takes = row || o->value;
	if (!takes && value)
		return err_set(p->e, -EINVAL, "%s: --%s takes no value",
			       command->name, name);
	if (takes && !value) {
		if (p->at >= p->argc)
			return err_set(p->e, -EINVAL,
				       "%s: --%s needs a value (%s)",
				       command->name, name,
				       row ? row->argument : o->value);
		value = p->argv[p->at++];
	}
	return add(p, o, row, value);
}

/* "-f", "-fj4", "-j 4". */
static int parse_letters(struct parse *p, const char *word)
{
	const struct cli_command *command = p->cli->command;
	int r = 0;

	while (*word && !r) {
		const struct cli_option *o = find_letter(command, *word++);

		if (!o)
			return err_set(p->e, -EINVAL,
				       "%s: no option -%c (see: amber help %s)",
				       command->name, word[-1], command->name);
		if (!o->value) {
			r = add(p, o, NULL, NULL);
			continue;
		}
		if (!*word && p->at >= p->argc)
			return err_set(p->e, -EINVAL,
				       "%s: -%c needs a value (%s)",
				       command->name, o->letter, o->value);
		return add(p, o, NULL, *word ? word : p->argv[p->at++]);
	}
	return r;
}

static int find_command(struct parse *p, const char *word)
{
	const char *near;

	p->cli->command = cli_find(word);
	if (p->cli->command)
		return 0;
	if (word[0] == '-')
		return err_set(p->e, -EINVAL,
			       "no option %.64s before the command (see: "
			       "amber help)",
			       word);
	near = cli_nearest(word);
	if (near)
		return err_set(p->e, -EINVAL,
			       "no command \"%.64s\" (did you mean %s?)", word,
			       near);
	return err_set(p->e, -EINVAL, "no command \"%.64s\" (see: amber help)",
		       word);
}

static int check_names(const struct cli *cli, struct err *e)
{
	struct err why = ERR_NONE;
	size_t i, k;

	for (i = 0; i < cli->nargs; i++) {
		if (config_name_check(cli->args[i], &why))
			return err_set(e, -EINVAL, "%s: %s", cli->command->name,
				       why.text);
		for (k = 0; k < i; k++)
			if (strcmp(cli->args[i], cli->args[k]) == 0)
				return err_set(
					e, -EINVAL, "%s: %s is named twice",
					cli->command->name, cli->args[i]);
	}
	return 0;
}

static int check_vms(const struct cli *cli, struct err *e)
{
	const struct cli_command *c = cli->command;
	bool selects = cli_has(cli, CLI_ALL) || cli_has(cli, CLI_LABEL);

	if (c->vms == CLI_VMS_ONE && cli->nargs != 1)
		return err_set(e, -EINVAL,
			       "%s: takes the name of one VM, not %zu (see: "
			       "amber list)",
			       c->name, cli->nargs);
	if (selects && cli->nargs)
		return err_set(e, -EINVAL,
			       "%s: names, or --all and --label; not both",
			       c->name);
	if (c->vms == CLI_VMS_MANY && !selects && !cli->nargs)
		return err_set(e, -EINVAL,
			       "%s: which VM? (a name, --all or --label; see: "
			       "amber list)",
			       c->name);
	return check_names(cli, e);
}

static int check_args(const struct cli *cli, struct err *e)
{
	const struct cli_command *c = cli->command;

	if (c->vms != CLI_VMS_NONE)
		return check_vms(cli, e);
	if (cli->nargs < c->min_args)
		return err_set(e, -EINVAL,
			       "%s: something is missing (usage: amber %s %s)",
			       c->name, c->name, c->usage);
	if (cli->nargs > c->max_args)
		return err_set(e, -EINVAL,
			       "%s: \"%.64s\" is too much (usage: amber %s %s)",
			       c->name, cli->args[c->max_args], c->name,
			       c->usage);
	return 0;
}

static int parse_words(struct parse *p)
{
	bool options = true;
	int r = 0;

	while (!r && p->at < p->argc) {
		const char *word = p->argv[p->at++];

		if (!options || word[0] != '-' || !word[1] ||
		    isdigit((unsigned char)word[1])) /* "-1M" is a size */
			p->cli->args[p->cli->nargs++] = word;
		else if (strcmp(word, "--") == 0)
			options = false;
		else if (word[1] == '-')
			r = parse_long(p, word + 2);
		else
			r = parse_letters(p, word + 1);
	}
	return r;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct err *e)
{
	struct parse p = {
		.cli = cli, .argv = argv, .argc = argc, .at = 1, .e = e
	};
	size_t letters = 0;
	int i, r;

	memset(cli, 0, sizeof(*cli));
	if (argc < 2)
		return 0;
	/* Letters may be joined: as many options as there are letters. */
	for (i = 1; i < argc; i++)
		letters += argv[i][0] == '-' ? strlen(argv[i]) : 0;
	cli->given = calloc(letters + 1, sizeof(*cli->given));
	cli->args = calloc((size_t)argc, sizeof(*cli->args));
	if (!cli->given || !cli->args)
		return err_set(e, -ENOMEM, "out of memory");
	r = find_command(&p, argv[p.at++]);
	if (!r)
		r = parse_words(&p);
	if (r || cli_has(cli, CLI_HELP))
		return r;
	return check_args(cli, e);
}

void cli_fini(struct cli *cli)
{
	free(cli->given);
	free(cli->args);
	memset(cli, 0, sizeof(*cli));
}

bool cli_has(const struct cli *cli, enum cli_opt id)
{
	return id != CLI_END && given_already(cli, id, NULL);
}

const char *cli_value(const struct cli *cli, enum cli_opt id)
{
	size_t i;

	for (i = 0; i < cli->givens; i++)
		if (cli->given[i].id == id && !cli->given[i].row)
			return cli->given[i].value;
	return NULL;
}

int cli_number(const struct cli *cli, enum cli_opt id, uint64_t min,
	       uint64_t max, uint64_t *out, struct err *e)
{
	const char *text = cli_value(cli, id);
	uint64_t v;

	if (!text)
		return 0;
	if (!text_to_number(text, max, &v) || v < min)
		return err_set(e, -EINVAL,
			       "%s: --%s %.64s: a number from %llu to %llu is "
			       "wanted",
			       cli->command->name, cli_option(id)->name, text,
			       (unsigned long long)min,
			       (unsigned long long)max);
	*out = v;
	return 0;
}

int cli_regex(const struct cli *cli, enum cli_opt id, struct err *e)
{
	const char *text = cli_value(cli, id);
	struct matcher *m;
	int r;

	if (!text)
		return 0;
	if (!*text || strlen(text) > VM_REGEX_MAX)
		return err_set(e, -EINVAL, "%s: --%s takes 1 to %d characters",
			       cli->command->name, cli_option(id)->name,
			       VM_REGEX_MAX);
	r = matcher_create(&m, text, e);
	if (r)
		return err_prefix(e, "%s: --%s", cli->command->name,
				  cli_option(id)->name);
	matcher_destroy(m);
	return 0;
}

int cli_seconds(const struct cli *cli, enum cli_opt id, uint32_t *ms,
		struct err *e)
{
	const char *text = cli_value(cli, id);
	uint64_t whole = 0, part = 0;
	char digits[16];
	size_t len;

	*ms = 0;
	if (!text)
		return 0;
	len = strcspn(text, ".");
	snprintf(digits, sizeof(digits), "%.*s", (int)len, text);
	if (len >= sizeof(digits) ||
	    !text_to_number(digits, VM_SECONDS_MAX, &whole))
		goto wrong;
	if (text[len] == '.') {
		/* Up to three places, filled up with noughts. */
		snprintf(digits, sizeof(digits), "%-3s", text + len + 1);
		for (len = 0; digits[len]; len++)
			if (digits[len] == ' ')
				digits[len] = '0';
		if (len != 3 || !text_to_number(digits, 999, &part))
			goto wrong;
	}
	*ms = (uint32_t)(whole * 1000 + part);
	if (*ms)
		return 0;
wrong:
	return err_set(e, -EINVAL,
		       "%s: --%s %.64s: seconds from 0.001 to %d are wanted",
		       cli->command->name, cli_option(id)->name, text,
		       VM_SECONDS_MAX);
}
