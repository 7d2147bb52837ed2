/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of boot files. No state beyond the caller's struct. INV-1: no
 * read_at() is ever asked for a byte at or behind reader->bytes.
 */
#include "vmm/boot_reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux reads at most this much at once, read(2). */
#define READ_AT_ONCE 0x7ffff000

#define PATH_SHOWN 200

int boot_refuse(const struct boot_reader *r, struct err *e, int code,
		const char *fmt, ...)
{
	size_t len = strlen(r->path);
	size_t skip = len > PATH_SHOWN ? len - PATH_SHOWN : 0;
	char reason[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return err_set(e, code, "%s%s: %s", skip ? "..." : "", r->path + skip,
		       reason);
}

static int read_file(void *ctx, uint64_t offset, void *to, size_t len)
{
	int fd = (int)(intptr_t)ctx;
	uint8_t *at = to;
	size_t want;
	ssize_t n;

	while (len) {
		want = len < READ_AT_ONCE ? len : READ_AT_ONCE;
		n = pread(fd, at, want, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_bytes(void *ctx, uint64_t offset, void *to, size_t len)
{
	memcpy(to, (const uint8_t *)ctx + offset, len);
	return 0;
}

static const char *file_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	default:
		return "something else";
	}
}

int boot_reader_file(struct boot_reader *r, int fd, const char *path,
		     uint64_t limit, struct err *e)
{
	struct boot_reader made = {
		.read_at = read_file,
		.ctx = (void *)(intptr_t)fd,
		.path = path,
		.fd = -1,
	};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return boot_refuse(&made, e, -errno, "cannot be examined: %s",
				   strerror(errno));
	if (!S_ISREG(st.st_mode))
		return boot_refuse(&made, e, -EINVAL,
				   "is %s, not a regular file",
				   file_type(st.st_mode));
	made.bytes = (uint64_t)st.st_size;
	if (made.bytes == 0)
		return boot_refuse(&made, e, -EINVAL, "is empty");
	if (made.bytes > limit)
		return boot_refuse(&made, e, -EFBIG,
				   "has %" PRIu64
				   " bytes, more than the limit of %" PRIu64,
				   made.bytes, limit);
	*r = made;
	return 0;
}

int boot_reader_open(struct boot_reader *r, const char *path, uint64_t limit,
		     struct err *e)
{
	struct boot_reader named = { .path = path, .fd = -1 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int res;

	if (fd < 0)
		return boot_refuse(&named, e, -errno, "cannot be opened: %s",
				   strerror(errno));
	res = boot_reader_file(r, fd, path, limit, e);
	if (res) {
		close(fd);
		return res;
	}
	r->fd = fd;
	return 0;
}

void boot_reader_close(struct boot_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void boot_reader_bytes(struct boot_reader *r, const void *bytes, size_t len,
		       const char *name)
{
	*r = (struct boot_reader){
		.read_at = read_bytes,
		.ctx = (void *)(uintptr_t)bytes,
		.bytes = len,
		.path = name,
		.fd = -1,
	};
}

int boot_read(const struct boot_reader *r, uint64_t offset, void *to,
	      uint64_t len, struct err *e)
{
	int res;

	if (offset > r->bytes || len > r->bytes - offset) /* INV-1 */
		return boot_refuse(r, e, -EINVAL,
				   "%" PRIu64 " bytes at offset 0x%" PRIx64
				   " leave the file of %" PRIu64 " bytes",
				   len, offset, r->bytes);
	if (!len)
		return 0;
	res = r->read_at(r->ctx, offset, to, len);
	if (res == -ENODATA)
		return boot_refuse(r, e, res,
				   "became shorter while it was read: wanted "
				   "%" PRIu64 " bytes at offset 0x%" PRIx64,
				   len, offset);
	if (res)
		return boot_refuse(r, e, res,
				   "cannot read %" PRIu64
				   " bytes at offset 0x%" PRIx64 ": %s",
				   len, offset, strerror(-res));
	return 0;
}
