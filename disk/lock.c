/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's lock bytes. No state. INV-1: own bytes are locked before others'
 * are looked at, so that of two openers at least one sees the other.
 */
#include "disk/lock.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USED_BASE     100
#define UNSHARED_BASE 200

/* Permissions: the bytes' places. */
#define READ_BIT   0
#define WRITE_BIT  1
#define RESIZE_BIT 3
#define BITS	   4

#define READER	 (1u << READ_BIT)
#define WRITER	 (READER | 1u << WRITE_BIT | 1u << RESIZE_BIT)
#define UNSHARED (1u << WRITE_BIT | 1u << RESIZE_BIT)

static int lock_byte(int fd, off_t at)
{
	struct flock fl = { .l_type = F_RDLCK,
			    .l_whence = SEEK_SET,
			    .l_start = at,
			    .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/* Does somebody else hold it? */
static bool is_held(int fd, off_t at)
{
	struct flock fl = { .l_type = F_WRLCK,
			    .l_whence = SEEK_SET,
			    .l_start = at,
			    .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static int lock_own(int fd, unsigned int used)
{
	int bit, r = 0;

	for (bit = 0; bit < BITS && !r; bit++) {
		if (used >> bit & 1)
			r = lock_byte(fd, USED_BASE + bit);
		if (!r && UNSHARED >> bit & 1)
			r = lock_byte(fd, UNSHARED_BASE + bit);
	}
	return r;
}

static bool conflicts(int fd, unsigned int used)
{
	int bit;

	for (bit = 0; bit < BITS; bit++) {
		if (used >> bit & 1 && is_held(fd, UNSHARED_BASE + bit))
			return true;
		if (UNSHARED >> bit & 1 && is_held(fd, USED_BASE + bit))
			return true;
	}
	return false;
}

static void unlock_all(int fd)
{
	struct flock fl = { .l_type = F_UNLCK,
			    .l_whence = SEEK_SET,
			    .l_start = USED_BASE,
			    .l_len = UNSHARED_BASE + BITS - USED_BASE };

	fcntl(fd, F_OFD_SETLK, &fl);
}

/* --- who has it ------------------------------------------------------ */

/* Has that process the file open (another descriptor than ours)? */
static bool has_open(const char *pid, const struct stat *file, int own_fd)
{
	char path[64];
	struct dirent *entry;
	struct stat st;
	bool found = false;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	fd = dirfd(dir);
	while (!found && (entry = readdir(dir)) != NULL) {
		if (atol(pid) == getpid() && atoi(entry->d_name) == own_fd)
			continue;
		found = fstatat(fd, entry->d_name, &st, 0) == 0 &&
			st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	}
	closedir(dir);
	return found;
}

static void read_name(const char *pid, char *name, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	snprintf(name, size, "?");
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = 0;
	fclose(f);
}

/* OFD locks don't tell whose they are: looks who has the file open. */
static int busy(int fd, const char *path, struct err *e)
{
	struct dirent *entry;
	struct stat file;
	char name[24];
	DIR *proc;
	int r = 0;

	proc = fstat(fd, &file) == 0 ? opendir("/proc") : NULL;
	while (proc && !r && (entry = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !has_open(entry->d_name, &file, fd))
			continue;
		read_name(entry->d_name, name, sizeof(name));
		r = err_set(e, -EBUSY, "%s: in use by process %s (%s)", path,
			    entry->d_name, name);
	}
	if (proc)
		closedir(proc);
	return r ? r
		 : err_set(e, -EBUSY, "%s: in use by another process", path);
}

int disk_lock(int fd, const char *path, bool read_only, struct err *e)
{
	unsigned int used = read_only ? READER : WRITER;
	int r = lock_own(fd, used); /* INV-1 */

	if (!r && !conflicts(fd, used))
		return 0;
	unlock_all(fd);
	if (r && r != -EAGAIN && r != -EACCES)
		return err_sys(e, r, "%s: can't lock it", path);
	return busy(fd, path, e);
}
