/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From options to a VM's directory. Main thread. Invariant: the directory
 * has its config.json, or is gone again.
 */
#include "control/cli/cli_make.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "control/config_json.h"
#include "control/limits.h"

#define NAME_STEM_MAX 40   /* characters, before "-17" */
#define NAME_TRIES    4096 /* rivals that take the same number */

static int read_file(const char *path, struct vm_config *c, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	r = file_read(AT_FDCWD, path, LIMIT_JSON_CONFIG_BYTES, &text, e);
	if (!r)
		r = config_from_json(c, buf_text(&text), text.len, path, e);
	buf_fini(&text);
	return r;
}

static void drop_kernels(struct vm_config *c)
{
	while (c->kernels) {
		free(c->kernel[--c->kernels]);
		c->kernel[c->kernels] = NULL; /* the next one frees it */
	}
}

static int set_options(const struct cli *cli, struct vm_config *c,
		       struct err *e)
{
	const struct config_row *kernel = config_find_key("kernel");
	bool has_kernel = cli->nargs > 0;
	size_t i;
	int r = 0;

	for (i = 0; i < cli->givens; i++) {
		const struct config_row *row = cli->given[i].row;

		has_kernel = has_kernel || row == kernel;
		/* Another VM than the file's is not to have its identity. */
		if (row && row->type == CONFIG_NAME)
			c->uuid[0] = 0;
	}
	if (has_kernel)
		drop_kernels(c);
	if (cli->nargs)
		r = config_set(c, kernel, cli->args[0], e);
	for (i = 0; i < cli->givens && !r; i++)
		if (cli->given[i].row)
			r = config_set(c, cli->given[i].row,
				       cli->given[i].value, e);
	return r;
}

/* At least one kernel of the list, and the initrd, can be opened. */
static int check_files(const struct vm_config *c, struct err *e)
{
	unsigned int i;
	int code = 0;

	for (i = 0; i < c->kernels; i++) {
		if (access(c->kernel[i], R_OK) == 0)
			break;
		code = code ? code : -errno;
	}
	if (i == c->kernels)
		return err_sys(e, code, "kernel %s", c->kernel[0]);
	if (c->initrd && access(c->initrd, R_OK) < 0)
		return err_sys(e, -errno, "initrd %s", c->initrd);
	return 0;
}

int cli_make_config(const struct cli *cli, struct vm_config *c, struct err *e)
{
	const char *file = cli_value(cli, CLI_CONFIG_FILE);
	int r = 0;

	if (file)
		r = read_file(file, c, e);
	if (!r)
		r = set_options(cli, c, e);
	if (!r)
		r = config_check(c, e);
	if (!r)
		r = check_files(c, e);
	if (!r && !*c->uuid)
		r = config_make_uuid(c->uuid, e);
	return r;
}

void cli_name_from_path(const char *path, char *name, size_t max)
{
	const char *base = strrchr(path, '/');
	const char *dot;
	size_t len, i, n = 0;

	base = base ? base + 1 : path;
	dot = strrchr(base, '.');
	len = dot && dot > base && !strchr(dot, '-') ? (size_t)(dot - base)
						     : strlen(base);
	for (i = 0; i < len && n < max; i++) {
		char ch = base[i];
		bool letter = (ch >= 'a' && ch <= 'z') ||
			      (ch >= 'A' && ch <= 'Z') ||
			      (ch >= '0' && ch <= '9');

		if (letter || (n && (ch == '-' || ch == '_' || ch == '.')))
			name[n++] = ch;
	}
	name[n] = 0;
	if (!n)
		snprintf(name, max + 1, "vm");
}

unsigned long cli_make_number(const struct cli *cli, const char *stem)
{
	struct home_names names;
	size_t len = strlen(stem), i;
	unsigned long next = 1;

	if (home_list(&cli->home, &names, NULL) < 0)
		return next;
	for (i = 0; i < names.count; i++) {
		const char *name = names.name[i];
		char *end;
		unsigned long n;

		if (strncmp(name, stem, len) != 0 || name[len] != '-')
			continue;
		n = strtoul(name + len + 1, &end, 10);
		if (!*end && n >= next && n < 1000000000)
			next = n + 1;
	}
	home_names_fini(&names);
	return next;
}

/* Returns the directory's descriptor. */
static int make_named_after_kernel(const struct cli *cli, struct vm_config *c,
				   struct err *e)
{
	char stem[NAME_STEM_MAX + 1];
	unsigned long n;
	int dir, tries;

	cli_name_from_path(c->kernel[0], stem, NAME_STEM_MAX);
	n = cli_make_number(cli, stem);
	for (tries = 0; tries < NAME_TRIES; tries++, n++) {
		snprintf(c->name, sizeof(c->name), "%s-%lu", stem, n);
		dir = home_create_vm(&cli->home, c->name, e);
		if (dir != -EEXIST)
			return dir;
	}
	return -EEXIST;
}

int cli_make_vm(const struct cli *cli, struct vm_config *c, struct err *e)
{
	int dir, r;

	dir = *c->name ? home_create_vm(&cli->home, c->name, e)
		       : make_named_after_kernel(cli, c, e);
	if (dir == -EEXIST) {
		char what[ERR_TEXT_BYTES];

		snprintf(what, sizeof(what), "%s", e->text);
		return err_set(e, dir, "%s (amber start %s, or another --name)",
			       what, c->name);
	}
	if (dir < 0)
		return dir;
	r = config_save(c, dir, e);
	close(dir);
	if (r)
		cli_unmake_vm(cli, c->name);
	return r;
}

void cli_unmake_vm(const struct cli *cli, const char *name)
{
	int dir = home_open_vm(&cli->home, name, NULL), lock;

	if (dir < 0)
		return;
	/* On a full disk the lock is to be had, but not written to. */
	lock = vmdir_lock(dir, name, NULL);
	if (lock != -EBUSY)
		home_remove_vm(&cli->home, name, NULL);
	if (lock >= 0)
		close(lock);
	close(dir);
}
