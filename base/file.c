/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-file reading and atomic writing; any thread, no shared state.
 * INV-1: the name a reader uses always refers to a complete file. INV-2: a
 * failed commit leaves no temporary behind.
 */
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_DEPTH_MAX 16

int file_write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Creates a temporary beside name; its own name goes to temp. */
static int open_temporary(int dir, const char *name, char *temp, size_t size)
{
	static atomic_uint serial;
	int fd, tries, n;

	for (tries = 0; tries < 100; tries++) {
		n = snprintf(temp, size, ".%s.%ld.%u.tmp", name, (long)getpid(),
			     atomic_fetch_add(&serial, 1));
		if (n < 0 || (size_t)n >= size)
			return -ENAMETOOLONG;
		fd = openat(dir, temp,
			    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
				    O_NOFOLLOW,
			    0600);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

static int fill_temporary(int fd, const void *bytes, size_t len,
			  enum file_durability durability)
{
	int r = file_write_all(fd, bytes, len);

	if (!r && durability == FILE_DURABLE && fdatasync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && !r)
		r = -errno;
	return r;
}

int file_commit(int dir, const char *name, const void *bytes, size_t len,
		enum file_durability durability, struct err *e)
{
	char temp[NAME_MAX + 1];
	int fd = open_temporary(dir, name, temp, sizeof(temp));
	int r;

	if (fd < 0)
		return err_sys(e, fd, "%s: can't make a temporary file", name);
	r = fill_temporary(fd, bytes, len, durability);
	if (r) {
		err_sys(e, r, "%s: can't write %zu bytes", name, len);
		goto fail;
	}
	if (renameat(dir, temp, dir, name) < 0) {
		r = err_sys(e, -errno, "%s: can't put it in place", name);
		goto fail;
	}
	if (durability == FILE_DURABLE && fsync(dir) < 0)
		return err_sys(e, -errno, "%s: can't sync its directory", name);
	return 0;
fail:
	unlinkat(dir, temp, 0);
	return r;
}

static int read_into(int fd, size_t limit, struct buf *out)
{
	char piece[4096];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		total += (size_t)n;
		if (total > limit)
			return -EFBIG;
		if (buf_put(out, piece, (size_t)n))
			return out->error;
	}
	return 0;
}

int file_read(int dir, const char *name, size_t limit, struct buf *out,
	      struct err *e)
{
	struct stat st;
	int fd, r;

	fd = openat(dir, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, -errno, "%s", name);
	if (fstat(fd, &st) < 0)
		r = err_sys(e, -errno, "%s", name);
	else if (!S_ISREG(st.st_mode))
		r = err_set(e, -EINVAL, "%s: not a regular file", name);
	else if ((r = read_into(fd, limit, out)) == -EFBIG)
		err_set(e, r, "%s: larger than the limit of %zu bytes", name,
			limit);
	else if (r)
		err_sys(e, r, "%s", name);
	close(fd);
	return r;
}

int file_open_dir(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, path,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 ? fd : err_sys(e, -errno, "%s", path);
}

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_make_dirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t len = strlen(path), i;
	int r;

	if (!len || len >= sizeof(part))
		return err_set(e, -ENAMETOOLONG, "path of %zu characters", len);
	r = make_dir(path, mode); /* the usual case: one call */
	if (r != -ENOENT)
		return r ? err_sys(e, r, "%s: can't make the directory", path)
			 : 0;
	for (i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		r = make_dir(part, mode);
		if (r)
			return err_sys(e, r, "%s: can't make the directory",
				       part);
	}
	return 0;
}

static int remove_entry(int dir, const char *name, dev_t dev,
			unsigned int depth);

/* Empties the directory fd, but for an entry that is kept, and closes it. */
static int empty_dir(int fd, dev_t dev, unsigned int depth, const char *kept)
{
	struct dirent *entry;
	int first = 0, r;
	DIR *d = fdopendir(fd);

	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    (kept && strcmp(entry->d_name, kept) == 0))
			continue;
		r = remove_entry(dirfd(d), entry->d_name, dev, depth);
		if (r && !first)
			first = r;
	}
	closedir(d);
	return first;
}

static int remove_entry(int dir, const char *name, dev_t dev,
			unsigned int depth)
{
	struct stat st;
	int fd, r;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	fd = file_open_dir(dir, name, NULL);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_dev != dev) {
		close(fd);
		return -EXDEV;
	}
	r = empty_dir(fd, dev, depth + 1, NULL);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT && !r)
		r = -errno;
	return r;
}

int file_remove_tree(int dir, const char *name, struct err *e)
{
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", name);
	r = remove_entry(dir, name, st.st_dev, 0);
	return r ? err_sys(e, r, "%s: can't remove it", name) : 0;
}

int file_empty_dir(int dir, const char *kept, struct err *e)
{
	int fd = file_open_dir(dir, ".", e), r;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		r = -errno;
		close(fd);
	} else {
		r = empty_dir(fd, st.st_dev, 0, kept);
	}
	return r ? err_sys(e, r, "a directory can't be emptied") : 0;
}
