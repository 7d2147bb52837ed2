/* SPDX-License-Identifier: Apache-2.0 */
/* Whole transfers that block. Any thread that owns the file. */
#include "disk/file_io.h"

#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TRIES_MAX 1000 /* without progress */

/* One step; 0: nothing more comes. */
static ssize_t step(const struct file_ops *ops, bool writes, int fd,
		    struct iovec *iov, uint64_t offset)
{
	unsigned int tries;
	ssize_t n;

	for (tries = 0; tries < TRIES_MAX; tries++) {
		n = writes ? ops->pwritev(ops->ctx, fd, iov, 1, (off_t)offset,
					  0)
			   : ops->preadv(ops->ctx, fd, iov, 1, (off_t)offset,
					 0);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return -EIO;
}

int file_read_at(const struct file_ops *ops, int fd, void *bytes, size_t n,
		 uint64_t offset)
{
	struct iovec iov = { bytes, n };
	ssize_t moved;

	while (iov.iov_len) {
		moved = step(ops, false, fd, &iov, offset);
		if (moved < 0)
			return (int)moved;
		if (!moved) {
			memset(iov.iov_base, 0, iov.iov_len);
			return 0;
		}
		iov.iov_base = (char *)iov.iov_base + moved;
		iov.iov_len -= (size_t)moved;
		offset += (uint64_t)moved;
	}
	return 0;
}

/* From the page cache, as far as it goes (preadv2(2)). */
static size_t read_cached(const struct file_ops *ops, int fd, void *bytes,
			  size_t n, uint64_t offset, bool *is_missing)
{
	struct iovec iov = { bytes, n };
	ssize_t moved;

	*is_missing = false;
	while (iov.iov_len) {
		moved = ops->preadv(ops->ctx, fd, &iov, 1, (off_t)offset,
				    RWF_NOWAIT);
		if (moved <= 0) {
			*is_missing = moved < 0 && errno == EAGAIN;
			break;
		}
		iov.iov_base = (char *)iov.iov_base + moved;
		iov.iov_len -= (size_t)moved;
		offset += (uint64_t)moved;
	}
	return n - iov.iov_len;
}

int file_read_or_miss(const struct file_ops *ops, int fd, void *bytes, size_t n,
		      uint64_t offset, struct file_miss *m)
{
	bool is_missing = false;
	size_t got = 0;

	if (m && m->is_asked)
		got = read_cached(ops, fd, bytes, n, offset, &is_missing);
	if (is_missing) {
		m->fd = fd;
		m->offset = offset;
		m->bytes = n;
		return -EAGAIN;
	}
	/*
	 * The end of the file (Linux 5.9 and 5.10 say so in the middle of one,
	 * too), a signal, an error, a file system that can't say.
	 */
	return file_read_at(ops, fd, (char *)bytes + got, n - got,
			    offset + got);
}

int file_write_at(const struct file_ops *ops, int fd, const void *bytes,
		  size_t n, uint64_t offset)
{
	struct iovec iov = { (char *)(uintptr_t)bytes, n };
	ssize_t moved;

	while (iov.iov_len) {
		moved = step(ops, true, fd, &iov, offset);
		if (moved <= 0)
			return moved ? (int)moved : -EIO;
		iov.iov_base = (char *)iov.iov_base + moved;
		iov.iov_len -= (size_t)moved;
		offset += (uint64_t)moved;
	}
	return 0;
}

int file_size(int fd, uint64_t *bytes, bool *is_device)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*is_device = S_ISBLK(st.st_mode);
	if (*is_device)
		return ioctl(fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

int file_sync(const struct file_ops *ops, int fd)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES_MAX; tries++) {
		if (!ops->fdatasync(ops->ctx, fd))
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return -EIO;
}

void file_begin_sync(const struct file_ops *ops, int fd)
{
	if (ops->begin_sync)
		ops->begin_sync(ops->ctx, fd);
}

int file_punch(const struct file_ops *ops, int fd, uint64_t offset,
	       uint64_t bytes)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES_MAX; tries++) {
		if (!ops->fallocate(ops->ctx, fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    (off_t)offset, (off_t)bytes))
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return -EIO;
}
