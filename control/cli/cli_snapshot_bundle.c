/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot export|import`. The work is done here, whether the VM runs
 * or not; that an imported set is one of the VM's is said by who holds its
 * lock. Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/name.h"
#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "disk/convert.h"
#include "disk/paths.h"
#include "snapshot/export.h"
#include "snapshot/import.h"

/* The n-th argument; NULL: standard input or output. */
static const char *file_arg(const struct cli *cli, size_t n)
{
	bool is_file = cli->nargs > n && strcmp(cli->args[n], "-") != 0;

	return is_file ? cli->args[n] : NULL;
}

/* --- export ---------------------------------------------------------- */

int cli_snapshot_export_check(const struct cli *cli, struct err *e)
{
	if (file_arg(cli, 3) || !isatty(STDOUT_FILENO))
		return 0;
	return err_set(e, -EINVAL,
		       "snapshot export: standard output is a terminal: name a "
		       "FILE");
}

/* Where images are until they are written out. */
static char *scratch_for(const char *file)
{
	const char *dir = getenv("TMPDIR");

	if (file)
		return path_parent(file);
	return strdup(dir && *dir ? dir : "/var/tmp");
}

static int export_to(struct snapshot_export *x, const char *file, struct err *e)
{
	struct new_file f;
	int r;

	if (!file) {
		x->out = STDOUT_FILENO;
		return snapshot_export(x, e);
	}
	r = new_file_open(&f, file, e);
	if (r)
		return r;
	x->out = f.fd;
	r = snapshot_export(x, e);
	if (!r)
		r = new_file_publish(&f, &file_ops_real, e);
	new_file_close(&f);
	return r;
}

/* Standard output has the stream: nothing else may be there. */
static void tell_exported(const struct cli *cli, const struct cli_vm *vm,
			  const struct snapshot_export *x, const char *file)
{
	char bytes[TERM_HUMAN_BYTES], text[256];

	snprintf(text, sizeof(text), "snapshot %s exported to %.128s (%s)",
		 x->what, file ? file : "-", term_bytes(x->written, bytes));
	if (!file)
		cli_note(vm->name, "%s", text);
	else
		cli_snapshot_print(cli, vm,
				   json_pack("{s:s, s:s, s:I}", "text", text,
					     "file", file, "bytes",
					     (json_int_t)x->written));
}

int cli_snapshot_export(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	const char *file = file_arg(cli, 3);
	struct snapshot_export x = { .dir = vm->dir, .what = cli->args[2] };
	char *scratch = scratch_for(file);
	struct vm_config c;
	int r;

	(void)status;
	config_init(&c);
	r = scratch ? config_load(&c, vm->dir, e)
		    : err_set(e, -ENOMEM, "out of memory");
	x.config = &c;
	x.scratch = scratch;
	if (!r)
		r = export_to(&x, file, e);
	if (!r)
		tell_exported(cli, vm, &x, file);
	vm_config_fini(&c);
	free(scratch);
	return r;
}

/* --- import ---------------------------------------------------------- */

int cli_snapshot_import_check(const struct cli *cli, struct err *e)
{
	const char *name = cli_value(cli, CLI_IMPORT_NAME);

	if (name && name_check(name, SNAPSHOT_NAME_MAX, e))
		return err_prefix(e, "snapshot import: --name");
	if (file_arg(cli, 2) || !isatty(STDIN_FILENO))
		return 0;
	return err_set(e, -EINVAL,
		       "snapshot import: standard input is a terminal: name a "
		       "FILE");
}

static int read_all(void *ctx, void *to, size_t n)
{
	int fd = *(const int *)ctx;
	uint8_t *at = to;
	ssize_t done;

	while (n) {
		done = read(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENODATA;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

static void tell_adopted(const struct cli *cli, const struct cli_vm *vm,
			 const struct snapshot_meta *m)
{
	char text[256];

	snprintf(text, sizeof(text), "snapshot %s (%s) of %s imported", m->name,
		 m->id, m->created);
	cli_snapshot_print(cli, vm,
			   json_pack("{s:b, s:s, s:o}", "changed", 1, "text",
				     text, "snapshot", snapshot_meta_json(m)));
}

static int adopt_offline(const struct cli *cli, struct cli_vm *vm,
			 const char *id, struct err *e)
{
	int lock = cli_snapshot_lock(vm, e), r;
	struct snapshot_meta m;

	if (lock < 0)
		return lock;
	r = snapshot_adopt(vm->dir, id, &m, e);
	if (!r)
		tell_adopted(cli, vm, &m);
	snapshot_meta_fini(&m);
	close(lock);
	return r;
}

/* By then the VM may have been started, or may have ended. */
static int adopt(const struct cli *cli, struct cli_vm *vm, const char *id,
		 struct err *e)
{
	cli_vm_look(vm);
	if (!vm->alive)
		return adopt_offline(cli, vm, id, e);
	return cli_snapshot_post(cli, vm, "/v1/vm/snapshot/adopt",
				 json_pack("{s:s}", "snapshot", id), e);
}

static int import_from(const struct cli *cli, struct cli_vm *vm, int fd,
		       const struct vm_config *c, struct err *e)
{
	const struct tar_source source = { .read = read_all, .ctx = &fd };
	const struct import_order order = {
		.dir = vm->dir,
		.config = c,
		.name = cli_value(cli, CLI_IMPORT_NAME),
	};
	struct snapshot_import *import;
	int r = snapshot_import(&import, &order, &source, e);

	if (r)
		return r;
	r = adopt(cli, vm, snapshot_imported(import)->id, e);
	snapshot_import_end(import, !r);
	return r;
}

int cli_snapshot_import(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e)
{
	const char *file = file_arg(cli, 2);
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, r;
	struct vm_config c;

	(void)status;
	if (fd < 0)
		return err_sys(e, -errno, "%s", file);
	config_init(&c);
	r = config_load(&c, vm->dir, e);
	if (!r)
		r = import_from(cli, vm, fd, &c, e);
	vm_config_fini(&c);
	if (file)
		close(fd);
	return r;
}
