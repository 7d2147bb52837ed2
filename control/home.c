/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories, names and locks of VMs; any thread, no shared state. INV-1:
 * whoever holds an open-file-description write lock on a VM's lock file is
 * the only one that may write in its directory.
 */
#include "control/home.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "control/config_value.h"
#include "control/text.h"

#define BEGUN	    ".new-" /* no name of a VM begins so */
#define BEGUN_AGE_S 60

static int join(char *out, size_t size, const char *a, const char *b,
		struct err *e)
{
	int n = snprintf(out, size, "%s%s", a, b);

	if (n < 0 || (size_t)n >= size)
		return err_set(e, -ENAMETOOLONG,
			       "%s%s: the path is longer than %zu", a, b,
			       size - 1);
	return 0;
}

/* A directory from the environment; 0 with *out == 0 when it isn't set. */
static int from_env(const char *name, const char *suffix, char *out,
		    struct err *e)
{
	const char *value = getenv(name);

	*out = 0;
	if (!value || !*value)
		return 0;
	if (*value != '/')
		return err_set(e, -EINVAL, "%s: '%.64s' is not absolute", name,
			       value);
	return join(out, PATH_MAX, value, suffix, e);
}

static int find_base(struct home *h, struct err *e)
{
	int r = from_env("AMBER_HOME", "", h->base, e);

	if (r || *h->base)
		return r;
	if (geteuid() == 0)
		return join(h->base, sizeof(h->base), "/var/lib/amber", "", e);
	r = from_env("XDG_DATA_HOME", "/amber", h->base, e);
	if (r || *h->base)
		return r;
	r = from_env("HOME", "/.local/share/amber", h->base, e);
	if (r || *h->base)
		return r;
	return err_set(e, -EINVAL,
		       "no home for VMs: set AMBER_HOME to a directory");
}

int home_find(struct home *h, struct err *e)
{
	int r = find_base(h, e);

	if (r)
		return r;
	r = from_env("AMBER_RUN", "", h->run, e);
	if (r || *h->run)
		return r;
	if (geteuid() == 0)
		return join(h->run, sizeof(h->run), "/run/amber", "", e);
	r = from_env("XDG_RUNTIME_DIR", "/amber", h->run, e);
	if (r || *h->run)
		return r;
	return join(h->run, sizeof(h->run), h->base, "/run", e);
}

int home_vm_path(const struct home *h, const char *name, char *path,
		 size_t size, struct err *e)
{
	char tail[VM_NAME_MAX + 8];

	snprintf(tail, sizeof(tail), "/vms/%.*s", VM_NAME_MAX, name);
	return join(path, size, h->base, tail, e);
}

int home_socket_path(const struct home *h, const char *name,
		     char path[HOME_SOCKET_BYTES], struct err *e)
{
	int n = snprintf(path, HOME_SOCKET_BYTES, "%s/%s/%s", h->run, name,
			 HOME_SOCKET);

	if (n < 0 || n >= HOME_SOCKET_BYTES)
		return err_set(e, -ENAMETOOLONG,
			       "%s/%s/%s: a socket's path has at most %d "
			       "characters: set AMBER_RUN to a shorter "
			       "directory",
			       h->run, name, HOME_SOCKET,
			       HOME_SOCKET_BYTES - 1);
	return 0;
}

/* Opens <base>/vms, making it when make is set. */
static int open_vms(const struct home *h, bool make, struct err *e)
{
	char path[PATH_MAX];
	int r = join(path, sizeof(path), h->base, "/vms", e);

	if (!r && make)
		r = file_make_dirs(path, 0700, e);
	return r ? r : file_open_dir(AT_FDCWD, path, e);
}

static int taken(const char *name, struct err *e)
{
	return err_set(e, -EEXIST, "a VM named %s exists already", name);
}

/* With its logs/. Returns its descriptor. */
static int make_vm(const struct home *h, int vms, const char *name,
		   struct err *e)
{
	int dir, r;

	if (mkdirat(vms, name, 0700) < 0)
		return errno == EEXIST
			       ? taken(name, e)
			       : err_sys(e, -errno, "%s/vms/%s", h->base, name);
	dir = file_open_dir(vms, name, e);
	if (dir >= 0 && mkdirat(dir, VMDIR_LOGS, 0700) < 0) {
		r = err_sys(e, -errno, "%s/vms/%s/%s", h->base, name,
			    VMDIR_LOGS);
		close(dir);
		dir = r;
	}
	if (dir < 0)
		unlinkat(vms, name, AT_REMOVEDIR);
	return dir;
}

int home_create_vm(const struct home *h, const char *name, struct err *e)
{
	int vms = open_vms(h, true, e), dir;

	if (vms < 0)
		return vms;
	dir = make_vm(h, vms, name, e);
	close(vms);
	return dir;
}

/* --- in several steps ------------------------------------------------- */

/* Its maker has the lock, once it is a moment old. */
static bool is_left_over(int vms, const char *name)
{
	struct stat st;
	int dir, held;

	if (strncmp(name, BEGUN, strlen(BEGUN)) ||
	    fstatat(vms, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode) || time(NULL) - st.st_mtime < BEGUN_AGE_S)
		return false;
	dir = file_open_dir(vms, name, NULL);
	if (dir < 0)
		return false;
	held = vmdir_locked(dir, NULL);
	close(dir);
	return !held;
}

static void sweep_begun(int vms)
{
	int fd = openat(vms, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d && fd >= 0)
		close(fd);
	while (d && (entry = readdir(d)) != NULL)
		if (is_left_over(vms, entry->d_name))
			file_remove_tree(vms, entry->d_name, NULL);
	if (d)
		closedir(d);
}

int home_begin_vm(const struct home *h, char begun[HOME_BEGUN_BYTES],
		  struct err *e)
{
	int vms = open_vms(h, true, e), dir;
	uint32_t random;

	if (vms < 0)
		return vms;
	sweep_begun(vms);
	do {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
			dir = err_sys(e, -errno, "getrandom");
			break;
		}
		snprintf(begun, HOME_BEGUN_BYTES, BEGUN "%08x", random);
		dir = make_vm(h, vms, begun, e);
	} while (dir == -EEXIST);
	close(vms);
	return dir;
}

int home_publish_vm(const struct home *h, const char *begun, const char *name,
		    struct err *e)
{
	int vms = open_vms(h, false, e), r = 0;

	if (vms < 0)
		return vms;
	if (renameat2(vms, begun, vms, name, RENAME_NOREPLACE) < 0)
		r = errno == EEXIST
			    ? taken(name, e)
			    : err_sys(e, -errno, "%s/vms/%s", h->base, name);
	else if (fsync(vms) < 0)
		r = err_sys(e, -errno, "%s/vms", h->base);
	close(vms);
	return r;
}

int home_open_vm(const struct home *h, const char *name, struct err *e)
{
	int vms = open_vms(h, false, e), dir;

	if (vms == -ENOENT)
		return err_set(e, -ENOENT, "there is no VM named %s", name);
	if (vms < 0)
		return vms;
	dir = file_open_dir(vms, name, e);
	if (dir == -ENOENT)
		err_set(e, dir, "there is no VM named %s", name);
	close(vms);
	return dir;
}

int home_remove_vm(const struct home *h, const char *name, struct err *e)
{
	int vms = open_vms(h, false, e), r;

	if (vms < 0)
		return vms == -ENOENT ? 0 : vms;
	r = file_remove_tree(vms, name, e);
	close(vms);
	return r;
}

static int add_name(struct home_names *names, size_t *room, const char *name)
{
	char(*more)[VM_NAME_MAX + 1];

	if (names->count == *room) {
		*room = *room ? *room * 2 : 16;
		more = realloc(names->name, *room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		names->name = more;
	}
	text_copy(names->name[names->count++], VM_NAME_MAX + 1, name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int home_list(const struct home *h, struct home_names *out, struct err *e)
{
	struct dirent *entry;
	size_t room = 0;
	int fd, r = 0;
	DIR *d;

	*out = (struct home_names){ 0 };
	fd = open_vms(h, false, e);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	d = fdopendir(fd);
	if (!d) {
		r = err_sys(e, -errno, "%s/vms", h->base);
		close(fd);
		return r;
	}
	while (!r && (entry = readdir(d)) != NULL)
		if (config_name_check(entry->d_name, NULL) == 0)
			r = add_name(out, &room, entry->d_name);
	closedir(d);
	if (r) {
		home_names_fini(out);
		return err_sys(e, r, "%s/vms", h->base);
	}
	if (out->count)
		qsort(out->name, out->count, sizeof(*out->name), by_name);
	return 0;
}

void home_names_fini(struct home_names *names)
{
	free(names->name);
	*names = (struct home_names){ 0 };
}

static int open_lock(int dir, int flags)
{
	int fd = openat(dir, VMDIR_LOCK, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd >= 0 ? fd : -errno;
}

static pid_t read_pid(int fd)
{
	char text[24] = "";
	uint64_t pid;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[strcspn(text, " \n")] = 0;
	return text_to_number(text, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

/* Is the locked file still the one that the directory names? */
static bool is_current(int dir, int fd)
{
	struct stat named, locked;

	return fstatat(dir, VMDIR_LOCK, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &locked) == 0 && named.st_dev == locked.st_dev &&
	       named.st_ino == locked.st_ino;
}

int vmdir_lock(int dir, const char *what, struct err *e)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char pid[16];
	int fd, r, n;

	fd = open_lock(dir, O_RDWR | O_CREAT);
	if (fd < 0)
		return err_sys(e, fd, "%s: can't open its lock", what);
	if (fcntl(fd, F_OFD_SETLK, &all) < 0) {
		r = -errno;
		if (r == -EAGAIN || r == -EACCES)
			r = err_set(e, -EBUSY, "%s is in use by process %ld",
				    what, (long)read_pid(fd));
		else
			err_sys(e, r, "%s: can't lock it", what);
		goto fail;
	}
	if (!is_current(dir, fd)) {
		r = err_set(e, -EBUSY, "%s was removed meanwhile", what);
		goto fail;
	}
	/* For people and errors only: the lock itself says who is alive. Always
	 * as wide: to shorten a file takes the file system longer. */
	n = snprintf(pid, sizeof(pid), "%-10ld\n", (long)getpid());
	if (pwrite(fd, pid, (size_t)n, 0) != n) {
		r = err_sys(e, -errno, "%s: can't write to its lock", what);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return r;
}

int vmdir_locked(int dir, pid_t *pid)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(dir, O_RDONLY), r = 0;

	if (pid)
		*pid = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fcntl(fd, F_OFD_GETLK, &all) < 0)
		r = -errno;
	else if (all.l_type != F_UNLCK)
		r = 1;
	if (r == 1 && pid)
		*pid = read_pid(fd);
	close(fd);
	return r;
}
