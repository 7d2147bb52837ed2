/* SPDX-License-Identifier: Apache-2.0 */
/* Directories, locks, state.json and files, in a directory of the test. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "control/home.h"
#include "control/record.h"
#include "tests/unit/suite.h"

static char place[64];
static struct home home;
static struct err e;

static void begin(void)
{
	snprintf(place, sizeof(place), "/tmp/amber-test-home-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	setenv("AMBER_HOME", place, 1);
	unsetenv("AMBER_RUN");
	unsetenv("XDG_RUNTIME_DIR");
	ck_assert_int_eq(home_find(&home, &e), 0);
}

static void end(void)
{
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, &e), 0);
}

START_TEST(the_environment_chooses_the_directories)
{
	char path[HOME_SOCKET_BYTES], dir[PATH_MAX];

	setenv("AMBER_HOME", "/a/b", 1);
	setenv("AMBER_RUN", "/r", 1);
	ck_assert_int_eq(home_find(&home, &e), 0);
	ck_assert_int_eq(home_vm_path(&home, "x", dir, sizeof(dir), &e), 0);
	ck_assert_str_eq(dir, "/a/b/vms/x");
	ck_assert_int_eq(home_socket_path(&home, "x", path, &e), 0);
	ck_assert_str_eq(path, "/r/x/api.sock");
	setenv("AMBER_HOME", "relative", 1);
	ck_assert_int_eq(home_find(&home, &e), -EINVAL);
}
END_TEST

START_TEST(a_socket_path_of_108_characters_is_refused)
{
	char path[HOME_SOCKET_BYTES], run[128];
	size_t len = HOME_SOCKET_BYTES - 1 - strlen("/vm/" HOME_SOCKET);

	memset(run, 'r', sizeof(run));
	run[0] = '/';
	run[len] = 0;
	setenv("AMBER_HOME", "/a", 1);
	setenv("AMBER_RUN", run, 1);
	ck_assert_int_eq(home_find(&home, &e), 0);
	ck_assert_int_eq(home_socket_path(&home, "vm", path, &e), 0);
	ck_assert_uint_eq(strlen(path), HOME_SOCKET_BYTES - 1);
	ck_assert_int_eq(home_socket_path(&home, "vm1", path, &e),
			 -ENAMETOOLONG);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
	struct home_names names;
	int dir;

	begin();
	ck_assert_int_eq(home_list(&home, &names, &e), 0);
	ck_assert_uint_eq(names.count, 0);
	ck_assert_int_eq(home_open_vm(&home, "b", &e), -ENOENT);
	ck_assert_str_eq(e.text, "there is no VM named b");
	dir = home_create_vm(&home, "b", &e);
	ck_assert_int_ge(dir, 0);
	close(dir);
	ck_assert_int_eq(home_create_vm(&home, "b", &e), -EEXIST);
	ck_assert_str_eq(e.text, "a VM named b exists already");
	dir = home_create_vm(&home, "a", &e);
	close(dir);
	ck_assert_int_eq(home_list(&home, &names, &e), 0);
	ck_assert_uint_eq(names.count, 2);
	ck_assert_str_eq(names.name[0], "a");
	ck_assert_str_eq(names.name[1], "b");
	home_names_fini(&names);
	ck_assert_int_eq(home_remove_vm(&home, "a", &e), 0);
	ck_assert_int_eq(home_open_vm(&home, "a", &e), -ENOENT);
	end();
}
END_TEST

START_TEST(a_vm_directory_that_is_a_symbolic_link_is_not_opened)
{
	char path[PATH_MAX];

	begin();
	close(home_create_vm(&home, "real", &e));
	ck_assert_int_eq(home_vm_path(&home, "link", path, sizeof(path), &e),
			 0);
	ck_assert_int_eq(symlink("real", path), 0);
	ck_assert_int_lt(home_open_vm(&home, "link", &e), 0);
	end();
}
END_TEST

START_TEST(the_lock_proves_life_and_nothing_else_does)
{
	int dir, lock, again;
	pid_t pid;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	ck_assert_int_eq(vmdir_locked(dir, &pid), 0);
	lock = vmdir_lock(dir, "vm", &e);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(vmdir_locked(dir, &pid), 1);
	ck_assert_int_eq(pid, getpid());
	again = vmdir_lock(dir, "vm", &e);
	ck_assert_int_eq(again, -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "vm is in use by process "));
	close(lock);
	ck_assert_int_eq(vmdir_locked(dir, &pid), 0);
	lock = vmdir_lock(dir, "vm", &e);
	ck_assert_int_ge(lock, 0);
	close(lock);
	close(dir);
	end();
}
END_TEST

START_TEST(the_lock_ends_with_its_process)
{
	int dir, to_parent[2], status;
	pid_t child, pid;
	char byte;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	ck_assert_int_eq(pipe(to_parent), 0);
	child = fork();
	if (!child) {
		byte = vmdir_lock(dir, "vm", NULL) >= 0;
		if (write(to_parent[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 1);
	ck_assert_int_eq(vmdir_locked(dir, &pid), 1);
	ck_assert_int_eq(pid, child);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	ck_assert_int_eq(vmdir_locked(dir, &pid), 0);
	close(dir);
	end();
}
END_TEST

static void put_state(int dir, const char *text)
{
	ck_assert_int_eq(file_commit(dir, VMDIR_STATE, text, strlen(text),
				     FILE_DURABLE, &e),
			 0);
}

START_TEST(a_running_state_without_a_living_vmm_is_a_stopped_vm)
{
	struct record r = { .state = VM_RUNNING, .boots = 3, .pid = 7 }, back;
	struct buf json;
	int dir;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	ck_assert_int_eq(record_load_offline(&back, dir, &e), 0);
	ck_assert_int_eq(back.state, VM_DEFINED);
	snprintf(r.cause, sizeof(r.cause), "command");
	buf_init(&json, 4096);
	ck_assert_int_eq(record_to_json(&r, &json), 0);
	put_state(dir, buf_text(&json));
	ck_assert_int_eq(record_load(&back, dir, &e), 0);
	ck_assert_int_eq(back.state, VM_RUNNING);
	ck_assert_str_eq(back.cause, "command");
	ck_assert_uint_eq(back.boots, 3);
	ck_assert_int_eq(record_load_offline(&back, dir, &e), 0);
	ck_assert_int_eq(back.state, VM_STOPPED);
	ck_assert_str_eq(back.cause, RECORD_VMM_DIED);
	put_state(dir, "{\"state\": \"dancing\"}");
	ck_assert_int_lt(record_load_offline(&back, dir, &e), 0);
	put_state(dir, "");
	ck_assert_int_lt(record_load_offline(&back, dir, &e), 0);
	buf_fini(&json);
	close(dir);
	end();
}
END_TEST

START_TEST(a_failed_commit_leaves_the_old_file_and_no_temporary)
{
	struct home_names names;
	struct buf text;
	int dir;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	put_state(dir, "old");
	/* A directory can't be replaced by a file. */
	ck_assert_int_eq(file_commit(dir, VMDIR_LOGS, "x", 1, FILE_ATOMIC, &e),
			 -EISDIR);
	ck_assert_int_eq(file_commit(dir, "no/where", "x", 1, FILE_ATOMIC, &e),
			 -ENOENT);
	buf_init(&text, 16);
	ck_assert_int_eq(file_read(dir, VMDIR_STATE, 16, &text, &e), 0);
	ck_assert_str_eq(buf_text(&text), "old");
	buf_fini(&text);
	/* What is left must be removable: state.json and logs only. */
	ck_assert_int_eq(unlinkat(dir, VMDIR_STATE, 0), 0);
	ck_assert_int_eq(unlinkat(dir, VMDIR_LOGS, AT_REMOVEDIR), 0);
	close(dir);
	ck_assert_int_eq(home_list(&home, &names, &e), 0);
	ck_assert_uint_eq(names.count, 1);
	home_names_fini(&names);
	end();
}
END_TEST

START_TEST(only_regular_files_within_the_limit_are_read)
{
	struct buf text;
	int dir;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	put_state(dir, "12345678");
	buf_init(&text, 64);
	ck_assert_int_eq(file_read(dir, VMDIR_STATE, 8, &text, &e), 0);
	ck_assert_int_eq(file_read(dir, VMDIR_STATE, 7, &text, &e), -EFBIG);
	ck_assert_int_eq(file_read(dir, "none", 7, &text, &e), -ENOENT);
	ck_assert_int_eq(file_read(dir, VMDIR_LOGS, 7, &text, &e), -EINVAL);
	ck_assert_int_eq(mkfifoat(dir, "fifo", 0600), 0);
	ck_assert_int_eq(file_read(dir, "fifo", 7, &text, &e), -EINVAL);
	ck_assert_int_eq(symlinkat(VMDIR_STATE, dir, "link"), 0);
	ck_assert_int_eq(file_read(dir, "link", 8, &text, &e), -ELOOP);
	buf_fini(&text);
	close(dir);
	end();
}
END_TEST

START_TEST(removal_does_not_follow_links)
{
	char outside[128], path[256];
	int fd;

	begin();
	snprintf(outside, sizeof(outside), "%s/outside", place);
	fd = open(outside, O_CREAT | O_WRONLY, 0600);
	close(fd);
	close(home_create_vm(&home, "vm", &e));
	snprintf(path, sizeof(path), "%s/vms/vm/logs/up", place);
	ck_assert_int_eq(symlink("../../..", path), 0);
	snprintf(path, sizeof(path), "%s/vms/vm/a", place);
	ck_assert_int_eq(symlink(outside, path), 0);
	ck_assert_int_eq(home_remove_vm(&home, "vm", &e), 0);
	ck_assert_int_eq(access(outside, F_OK), 0);
	ck_assert_int_eq(home_remove_vm(&home, "vm", &e), 0);
	end();
}
END_TEST

START_TEST(emptied_around_the_lock_a_vm_still_lives)
{
	int dir, lock;

	begin();
	dir = home_create_vm(&home, "vm", &e);
	lock = vmdir_lock(dir, "vm", &e);
	ck_assert_int_eq(mkdirat(dir, "full", 0700), 0);
	close(openat(dir, "full/file", O_WRONLY | O_CREAT, 0600));
	ck_assert_int_eq(file_empty_dir(dir, VMDIR_LOCK, &e), 0);
	ck_assert_int_eq(vmdir_locked(dir, NULL), 1);
	ck_assert_int_lt(faccessat(dir, "full", F_OK, 0), 0);
	ck_assert_int_eq(unlinkat(dir, VMDIR_LOCK, 0), 0);
	ck_assert_int_eq(home_remove_vm(&home, "vm", &e), 0);
	close(lock);
	close(dir);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_environment_chooses_the_directories,
		a_socket_path_of_108_characters_is_refused,
		a_name_is_taken_once,
		a_vm_directory_that_is_a_symbolic_link_is_not_opened,
		the_lock_proves_life_and_nothing_else_does,
		the_lock_ends_with_its_process,
		a_running_state_without_a_living_vmm_is_a_stopped_vm,
		a_failed_commit_leaves_the_old_file_and_no_temporary,
		only_regular_files_within_the_limit_are_read,
		removal_does_not_follow_links,
		emptied_around_the_lock_a_vm_still_lives,
	};

	return SUITE_RUN("home", tests);
}
