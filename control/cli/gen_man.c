/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Man pages in man(7): one for amber, one per command, one for amber-vmm.
 * Main thread. Invariant: text from the tables is escaped, so that no
 * character of it is taken for a request.
 */
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_help.h"
#include "control/cli/gen.h"
#include "control/version.h"
#include "control/vmm_options.h"

#define PAGE_NAME_BYTES 64

/* Text inside a line; paragraphs become .PP. */
static void put_text(struct buf *out, const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (text[0] == '\n' && text[1] == '\n') {
			buf_puts(out, "\n.PP\n");
			text++;
			line_start = true;
			continue;
		}
		if (line_start && (*text == '.' || *text == '\''))
			buf_puts(out, "\\&");
		if (*text == '\\')
			buf_puts(out, "\\e");
		else if (*text == '-')
			buf_puts(out, "\\-");
		else if (*text == '`')
			buf_puts(out, "\\(ga");
		else
			buf_put(out, text, 1);
		line_start = *text == '\n';
	}
}

static void put_line(struct buf *out, const char *text)
{
	put_text(out, text);
	buf_puts(out, "\n");
}

static void put_title(struct buf *out, const char *name)
{
	buf_printf(out,
		   ".\\\" SPDX-License-Identifier: Apache-2.0\n"
		   ".\\\" Made from amber's tables; do not edit.\n"
		   ".TH \"%s\" 1 \"\" \"amber %s\" \"amber\"\n.SH NAME\n",
		   name, AMBER_VERSION);
}

static void put_option(struct buf *out, char letter, const char *name,
		       const char *value, const char *help, const char *unset)
{
	buf_puts(out, ".TP\n");
	if (letter)
		buf_printf(out, "\\fB\\-%c\\fR, ", letter);
	buf_puts(out, "\\fB\\-\\-");
	put_text(out, name);
	buf_puts(out, "\\fR");
	if (value) {
		buf_puts(out, " \\fI");
		put_text(out, value);
		buf_puts(out, "\\fR");
	}
	buf_puts(out, "\n");
	put_text(out, help);
	if (*unset) {
		buf_puts(out, " (default: ");
		put_text(out, unset);
		buf_puts(out, ")");
	}
	buf_puts(out, ".\n");
}

static void put_statuses(struct buf *out)
{
	const struct gen_status *s;
	unsigned int i;

	buf_puts(out, ".SH EXIT STATUS\n");
	for (i = 0; (s = gen_status_at(i)) != NULL; i++) {
		buf_printf(out, ".TP\n.B %s\n", s->number);
		put_line(out, s->meaning);
	}
}

static void put_see_also(struct buf *out, const char *const *pages, size_t n)
{
	size_t i;

	buf_puts(out, ".SH SEE ALSO\n");
	for (i = 0; i < n; i++) {
		buf_puts(out, ".BR ");
		put_text(out, pages[i]);
		buf_printf(out, " (1)%s\n", i + 1 < n ? "," : "");
	}
}

static void command_page(const struct cli_command *c, struct buf *out)
{
	static const char *const see[] = { "amber", "amber-vmm" };
	struct cli_option_view v;
	char name[PAGE_NAME_BYTES];
	size_t i;

	snprintf(name, sizeof(name), "amber-%s", c->name);
	put_title(out, name);
	put_text(out, name);
	buf_puts(out, " \\- ");
	put_line(out, c->summary);
	buf_printf(out, ".SH SYNOPSIS\n.B amber %s\n[OPTIONS] ", c->name);
	put_line(out, c->usage);
	if (c->alias)
		buf_printf(out, ".br\n.B amber %s\nis the same command.\n",
			   c->alias);
	buf_puts(out, ".SH DESCRIPTION\n");
	put_line(out, c->about);
	if (c->role) {
		buf_puts(out, ".PP\nOn a running VM it needs the role ");
		put_text(out, c->role);
		buf_puts(out, " or a higher one.\n");
	}
	buf_puts(out, ".SH OPTIONS\n");
	for (i = 0; cli_option_at(c, i, &v); i++)
		put_option(out, v.letter, v.name, v.value, v.help, v.unset);
	put_statuses(out);
	if (c->examples[0])
		buf_puts(out, ".SH EXAMPLES\n.nf\n");
	for (i = 0; i < CLI_EXAMPLES_MAX && c->examples[i]; i++)
		put_line(out, c->examples[i]);
	if (c->examples[0])
		buf_puts(out, ".fi\n");
	put_see_also(out, see, sizeof(see) / sizeof(see[0]));
}

static void put_commands(struct buf *out)
{
	const struct cli_command *rows;
	size_t count, i;
	int group;

	rows = cli_commands(&count);
	buf_puts(out, ".SH COMMANDS\n");
	for (group = 0; group < CLI_GROUP_COUNT; group++) {
		buf_puts(out, ".SS ");
		put_line(out, cli_group_text((enum cli_group)group));
		for (i = 0; i < count; i++) {
			if (rows[i].hidden ||
			    rows[i].group != (enum cli_group)group)
				continue;
			buf_printf(out, ".TP\n.BR amber\\-%s (1)\n",
				   rows[i].name);
			put_line(out, rows[i].summary);
		}
	}
}

static const struct {
	const char *name, *meaning;
} places[] = {
	{ "AMBER_HOME",
	  "where VMs live, in vms/NAME. Default: /var/lib/amber as root, else "
	  "$XDG_DATA_HOME/amber, else ~/.local/share/amber" },
	{ "AMBER_RUN",
	  "where control sockets are, in NAME/api.sock. Default: /run/amber "
	  "as root, else $XDG_RUNTIME_DIR/amber, else run in AMBER_HOME" },
	{ "AMBER_VMM",
	  "the program amber-vmm. Default: beside amber, else along PATH" },
	{ "NO_COLOR", "set and not empty: no colours on terminals" },
};

static void overview_page(struct buf *out)
{
	static const char *const see[] = { "amber-run", "amber-vmm" };
	size_t i;

	put_title(out, "amber");
	put_line(out, "amber - runs virtual machines and steers their life");
	buf_puts(out, ".SH SYNOPSIS\n.B amber\n.I COMMAND\n[OPTIONS] "
		      "[NAME...]\n.SH DESCRIPTION\n");
	put_line(
		out,
		"A VM is a directory, and one process of amber-vmm(1) while it "
		"runs; there is no daemon. amber makes the directory, starts "
		"the process and talks to its control socket.\n\nSeveral "
		"names, --all or --label select VMs; -j N of them are worked "
		"on at once. --json prints results for programs. --reason "
		"goes into the journal.");
	put_commands(out);
	buf_puts(out, ".SH ENVIRONMENT\n");
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		buf_printf(out, ".TP\n.B %s\n", places[i].name);
		put_line(out, places[i].meaning);
	}
	put_statuses(out);
	put_see_also(out, see, sizeof(see) / sizeof(see[0]));
}

static void vmm_page(struct buf *out)
{
	static const char *const see[] = { "amber", "amber-run" };
	const struct config_row *config;
	const struct vmm_option *rows;
	size_t count, i;

	put_title(out, "amber-vmm");
	put_line(out, "amber-vmm - run one virtual machine");
	buf_puts(out, ".SH SYNOPSIS\n.B amber\\-vmm\n[OPTIONS]\n"
		      ".SH DESCRIPTION\n");
	put_line(out,
		 "The process of one VM: it drives /dev/kvm, emulates the "
		 "devices and serves the control socket, HTTP/1.1 with JSON. "
		 "amber(1) starts it; it can be used alone as well. SIGTERM "
		 "and SIGINT shut the guest down gracefully, a second one "
		 "or SIGQUIT stops it.");
	buf_puts(out, ".SH OPTIONS\n");
	rows = vmm_options_rows(&count);
	for (i = 0; i < count; i++)
		put_option(out, 0, rows[i].name, rows[i].argument, rows[i].help,
			   "");
	buf_puts(out, ".SH OPTIONS OF THE VM\n");
	config = config_rows(&count);
	for (i = 0; i < count; i++)
		if (config[i].option)
			put_option(out, 0, config[i].option, config[i].argument,
				   config[i].help, config[i].unset);
	put_statuses(out);
	put_see_also(out, see, sizeof(see) / sizeof(see[0]));
}

int gen_man(int dir, struct err *e)
{
	const struct cli_command *rows;
	char name[PAGE_NAME_BYTES];
	struct buf page;
	size_t count, i;
	int r;

	buf_init(&page, GEN_BYTES);
	overview_page(&page);
	r = gen_write(dir, "amber.1", &page, e);
	if (!r) {
		vmm_page(&page);
		r = gen_write(dir, "amber-vmm.1", &page, e);
	}
	rows = cli_commands(&count);
	for (i = 0; !r && i < count; i++) {
		if (rows[i].hidden)
			continue;
		snprintf(name, sizeof(name), "amber-%s.1", rows[i].name);
		command_page(&rows[i], &page);
		r = gen_write(dir, name, &page, e);
	}
	buf_fini(&page);
	return r;
}
