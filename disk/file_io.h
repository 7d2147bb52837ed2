/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole transfers through the table of file operations, for metadata and
 * tools: they block. The thread that owns the file.
 */
#ifndef AMBER_DISK_FILE_IO_H
#define AMBER_DISK_FILE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk/ioq.h"

/* All n bytes, or a negative errno; beyond the end of the file are zeroes. */
int file_read_at(const struct file_ops *ops, int fd, void *bytes, size_t n,
		 uint64_t offset);
/*
 * What could not be read without waiting for the storage. Whoever reads asks
 * to be told by is_asked; the rest is the answer.
 */
struct file_miss {
	bool is_asked;
	int fd;
	uint64_t offset;
	size_t bytes; /* 0: nothing was missed */
};

/*
 * As file_read_at(), but where m (may be NULL) is asked and the page cache
 * does not have all of it: -EAGAIN, and m says what.
 */
int file_read_or_miss(const struct file_ops *ops, int fd, void *bytes, size_t n,
		      uint64_t offset, struct file_miss *m);
/* All n bytes, or a negative errno. */
int file_write_at(const struct file_ops *ops, int fd, const void *bytes,
		  size_t n, uint64_t offset);
/* Of a regular file or a block device, whose size does not change. */
int file_size(int fd, uint64_t *bytes, bool *is_device);
int file_sync(const struct file_ops *ops, int fd);
/*
 * What was written begins its way to the storage, so that a later file_sync()
 * has less to wait for. A hint: nothing is waited for but room in the device's
 * queue, nothing is promised, and what goes wrong is that sync's to tell.
 */
void file_begin_sync(const struct file_ops *ops, int fd);
/* Gives the range back to the file system; -EOPNOTSUPP where it can't. */
int file_punch(const struct file_ops *ops, int fd, uint64_t offset,
	       uint64_t bytes);

#endif
