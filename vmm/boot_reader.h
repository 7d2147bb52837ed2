/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where boot files are read from: an open file, or bytes in memory for
 * tests. A reader is used by one thread at a time and holds no position.
 */
#ifndef AMBER_VMM_BOOT_READER_H
#define AMBER_VMM_BOOT_READER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct boot_reader {
	/*
	 * Reads exactly len bytes at offset. 0, or a negative errno:
	 * -ENODATA when the source ended early. Never asked for bytes
	 * beyond .bytes.
	 */
	int (*read_at)(void *ctx, uint64_t offset, void *to, size_t len);
	void *ctx;
	uint64_t bytes;	  /* length of the source, fixed when opened */
	const char *path; /* borrowed: for messages */
	int fd;		  /* owned when boot_reader_open() made it, else -1 */
};

/*
 * Opens path for reading. Follows symbolic links, never blocks on a FIFO.
 * Errors: those of open(2) and of boot_reader_file().
 */
int boot_reader_open(struct boot_reader *r, const char *path, uint64_t limit,
		     struct err *e);

/* Closes what boot_reader_open() opened; fine for every other reader. */
void boot_reader_close(struct boot_reader *r);

/*
 * Reads from fd, which stays the caller's. Errors: -EINVAL for anything but
 * a regular file and for an empty one, -EFBIG for more than limit bytes.
 */
int boot_reader_file(struct boot_reader *r, int fd, const char *path,
		     uint64_t limit, struct err *e);

/* Reads from bytes, which are borrowed as long as the reader is used. */
void boot_reader_bytes(struct boot_reader *r, const void *bytes, size_t len,
		       const char *name);

/*
 * Reads exactly len bytes at offset into to. Errors: -EINVAL when the range
 * leaves the source, else what read_at says; the text names the offset.
 */
int boot_read(const struct boot_reader *r, uint64_t offset, void *to,
	      uint64_t len, struct err *e);

/*
 * err_set() with "path: " in front; of a long path only the end is shown,
 * so that the reason is never cut off. Returns code.
 */
int boot_refuse(const struct boot_reader *r, struct err *e, int code,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
