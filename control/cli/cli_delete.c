/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber delete`. Worker threads, one VM each. Invariant: a directory is
 * only removed by who holds its lock.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_life.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_status.h"
#include "control/cli/cli_vm.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "snapshot/remove.h"

#define STATUS_MS 2000
#define STOP_MS	  10000 /* for the VM to be stopped */
#define END_MS	  5000	/* for the process, after its VM was stopped */

/* Has the VM a machine, or can't its process say? */
static bool is_running(struct cli_vm *vm)
{
	json_t *s = cli_status(vm, STATUS_MS);
	const char *state = cli_status_text(s, "state");
	int known = vm_state_parse(state);
	bool idle = known == VM_DEFINED || known == VM_STOPPED ||
		    known == VM_SUSPENDED;

	json_decref(s);
	return vm->alive && !idle;
}

static int stop(const struct cli *cli, struct cli_vm *vm)
{
	struct cli_result ignored = { .name = vm->name };
	int code;

	buf_init(&ignored.out, CLI_RESULT_BYTES);
	code = cli_life_post(cli, vm, VM_CMD_STOP, STOP_MS, &ignored);
	buf_fini(&ignored.out);
	json_decref(ignored.json);
	return code;
}

/*
 * Makes the process end and give the lock back: by its own will, by a
 * signal (a policy may keep it alive beyond the stop), and with --force by
 * the signal that nobody survives.
 */
static int end_process(const struct cli *cli, struct cli_vm *vm, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGTERM, SIGKILL };
	bool force = cli_has(cli, CLI_FORCE);
	size_t i;
	int r = 0;

	if (is_running(vm)) {
		if (!force)
			return err_set(e, -EBUSY,
				       "is running (amber shutdown %s, or "
				       "amber delete --force %s)",
				       vm->name, vm->name);
		stop(cli, vm);
	}
	for (i = 0; i < 2u + force; i++) {
		r = cli_vm_signal(vm, signals[i]);
		if (r == -EPERM)
			break;
		if (cli_vm_await_end(vm, END_MS) == 0)
			return 0;
	}
	return err_set(e, -EBUSY, "its process (pid %d) doesn't end%s",
		       (int)vm->pid, r == -EPERM ? ": it is not yours" : "");
}

/* Also those of ports and of the vsock device; what is no socket stays. */
static void remove_sockets(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(st.st_mode))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

/* The run directory and what a killed process left there. */
static void remove_run_dir(const struct cli_vm *vm)
{
	char path[HOME_SOCKET_BYTES];
	int len = snprintf(path, sizeof(path), "%s", vm->socket);

	while (len > 0 && path[len] != '/')
		len--;
	path[len > 0 ? len : 0] = 0;
	remove_sockets(path);
	rmdir(path);
}

/*
 * Layers lie beside the disks, which are not ours to remove: those go that no
 * disk stands on. Where that can't be done they stay: no reason to keep the VM.
 */
static void remove_snapshots_of(struct cli_vm *vm)
{
	struct tidy_done done = { .removed = 0 };
	struct err why = ERR_NONE;
	struct vm_config config;

	config_init(&config);
	if (!config_load(&config, vm->dir, &why) &&
	    remove_every_snapshot(vm->dir, &config, &done, &why))
		cli_note(vm->name, "layers of its snapshots stay: %s",
			 why.text);
	vm_config_fini(&config);
}

static int remove_vm(const struct cli *cli, struct cli_vm *vm, struct err *e)
{
	int lock = vmdir_lock(vm->dir, vm->name, e);
	int r;

	if (lock < 0)
		return lock;
	remove_run_dir(vm);
	remove_snapshots_of(vm);
	r = home_remove_vm(&cli->home, vm->name, e);
	close(lock);
	return r;
}

static int delete (const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct cli_vm vm;
	int code;

	(void)ctx;
	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (!code && vm.alive)
		code = end_process(cli, &vm, &r->e);
	if (!code)
		code = remove_vm(cli, &vm, &r->e);
	cli_vm_close(&vm);
	if (code)
		return code;
	if (cli_has(cli, CLI_JSON))
		r->json =
			json_pack("{s:s, s:b}", "name", r->name, "deleted", 1);
	else
		buf_printf(&r->out, "%s: deleted\n", r->name);
	return 0;
}

int cli_delete_command(struct cli *cli)
{
	struct err e = ERR_NONE;

	if (cli_life_check(cli, &e))
		return cli_fail_usage(&e);
	return cli_batch_command(cli, false, delete, NULL);
}
