/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files, read and written whole, relative to an open directory so that
 * nobody can swap the path in between. No state; any thread; they block as
 * the file system does.
 */
#ifndef AMBER_BASE_FILE_H
#define AMBER_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum file_durability {
	FILE_ATOMIC, /* old or new after a crash of the process */
	FILE_DURABLE /* on disk when the call returns: also after power loss */
};

/*
 * Puts len bytes into dir/name, in one step for every reader: a temporary
 * in the same directory (O_EXCL, 0600), for FILE_DURABLE fdatasync, rename,
 * fsync of the directory. On an error the old file is untouched and no
 * temporary is left. dir is a directory's descriptor; name has no slash.
 */
int file_commit(int dir, const char *name, const void *bytes, size_t len,
		enum file_durability durability, struct err *e);

/*
 * Appends the whole of dir/name to out, at most limit bytes. Only a regular
 * file is read and a symbolic link is not followed. Errors: -ENOENT, -EFBIG
 * (larger than limit), -EINVAL (no regular file), -EIO...
 */
int file_read(int dir, const char *name, size_t limit, struct buf *out,
	      struct err *e);

/* Writes all of it, however often the kernel wants to be asked. */
int file_write_all(int fd, const void *bytes, size_t len);

/*
 * Opens a directory; a symbolic link as its last part is refused. path is
 * relative to dir (AT_FDCWD for the working directory). Returns the
 * descriptor (O_CLOEXEC) or a negative errno.
 */
int file_open_dir(int dir, const char *path, struct err *e);

/*
 * Makes path and what is missing of its parents, with the given mode (the
 * umask applies). It is fine when it is there already as a directory.
 */
int file_make_dirs(const char *path, mode_t mode, struct err *e);

/*
 * Removes dir/name and everything in it without following a symbolic link
 * or leaving the file system. Goes on where it can; returns the first
 * error. It is fine when name is not there.
 */
int file_remove_tree(int dir, const char *name, struct err *e);

/* The same with all that is in the open directory dir, but for one entry. */
int file_empty_dir(int dir, const char *kept, struct err *e);

#endif
