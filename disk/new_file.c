/* SPDX-License-Identifier: Apache-2.0 */
/* A file that appears whole or not at all. Any thread; it blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/convert.h"
#include "disk/file_io.h"
#include "disk/paths.h"

#define MODE 0644 /* and the umask */

static int open_named(struct new_file *f)
{
	mode_t mask;

	if (asprintf(&f->temporary, "%s.XXXXXX", f->path) < 0) {
		f->temporary = NULL;
		return -ENOMEM;
	}
	f->fd = mkostemp(f->temporary, O_CLOEXEC);
	if (f->fd >= 0) {
		mask = umask(0);
		umask(mask);
		return fchmod(f->fd, MODE & ~mask) ? -errno : 0;
	}
	free(f->temporary);
	f->temporary = NULL;
	return -errno;
}

int new_file_open(struct new_file *f, const char *path, struct err *e)
{
	char *directory;
	int r = 0;

	*f = (struct new_file){ .fd = -1 };
	if (!access(path, F_OK))
		return err_set(e, -EEXIST, "%s exists already", path);
	f->path = strdup(path);
	directory = path_parent(path);
	if (!f->path || !directory) {
		r = -ENOMEM;
	} else {
		f->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
		if (f->fd < 0)
			r = errno == EOPNOTSUPP || errno == EISDIR
				    ? open_named(f)
				    : -errno;
	}
	free(directory);
	if (r)
		new_file_close(f);
	return r ? err_sys(e, r, "%s", path) : 0;
}

static int give_name(struct new_file *f)
{
	char self[32];

	if (f->temporary)
		return link(f->temporary, f->path) ? -errno : 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW)
		       ? -errno
		       : 0;
}

static int sync_directory(const char *path, const struct file_ops *files)
{
	char *directory = path_parent(path);
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			   : -1;
	int r = fd < 0 ? -errno : file_sync(files, fd);

	if (fd >= 0)
		close(fd);
	free(directory);
	return r;
}

int new_file_publish(struct new_file *f, const struct file_ops *files,
		     struct err *e)
{
	int r = file_sync(files, f->fd);

	KILL_POINT("file-synced");
	if (!r)
		r = give_name(f);
	KILL_POINT("file-named");
	if (r == -EEXIST)
		return err_set(e, r, "%s exists already", f->path);
	if (!r)
		r = sync_directory(f->path, files);
	return r ? err_sys(e, r, "%s", f->path) : 0;
}

void new_file_close(struct new_file *f)
{
	if (f->temporary)
		unlink(f->temporary);
	if (f->fd >= 0)
		close(f->fd);
	free(f->temporary);
	free(f->path);
	*f = (struct new_file){ .fd = -1 };
}
