/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File operations that fail when asked to: before each one, the owner says
 * how it is to fail; else it goes to the file. fault_ops.h and vblk_fault.h
 * are owners.
 */
#ifndef AMBER_TESTS_UNIT_FAULT_FILE_H
#define AMBER_TESTS_UNIT_FAULT_FILE_H

#include <errno.h>
#include <stdbool.h>

#include "disk/ioq.h"

enum fault_call {
	FAULT_READ,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_ALLOCATE,
	FAULT_CALLS
};

/* In place of an errno: at most half of the bytes, or none, are moved. */
#define FAULT_SHORT -1
#define FAULT_NONE  -2

struct fault_file {
	/* errno, FAULT_SHORT, FAULT_NONE or 0, for this call of owner. */
	int (*take)(void *owner, enum fault_call call);
	void *owner;
};

/* The first half of the first piece, and at least a byte of it. */
static inline struct iovec fault_half(const struct iovec *iov)
{
	return (struct iovec){ .iov_base = iov->iov_base,
			       .iov_len = (iov->iov_len + 1) / 2 };
}

static inline ssize_t fault_transfer(const struct fault_file *f, bool reads,
				     int fd, const struct iovec *iov, int n,
				     off_t offset, int flags)
{
	int error = f->take(f->owner, reads ? FAULT_READ : FAULT_WRITE);
	struct iovec half;

	if (error == FAULT_NONE)
		return 0;
	if (error > 0) {
		errno = error;
		return -1;
	}
	if (error == FAULT_SHORT) {
		half = fault_half(iov);
		iov = &half;
		n = 1;
	}
	return (reads ? file_ops_real.preadv
		      : file_ops_real.pwritev)(NULL, fd, iov, n, offset, flags);
}

static inline ssize_t fault_preadv(void *ctx, int fd, const struct iovec *iov,
				   int n, off_t offset, int flags)
{
	return fault_transfer(ctx, true, fd, iov, n, offset, flags);
}

static inline ssize_t fault_pwritev(void *ctx, int fd, const struct iovec *iov,
				    int n, off_t offset, int flags)
{
	return fault_transfer(ctx, false, fd, iov, n, offset, flags);
}

/* A call that moves no bytes can't be short. */
static inline bool fault_fails(const struct fault_file *f, enum fault_call call)
{
	int error = f->take(f->owner, call);

	if (error <= 0)
		return false;
	errno = error;
	return true;
}

static inline int fault_fdatasync(void *ctx, int fd)
{
	return fault_fails(ctx, FAULT_SYNC) ? -1
					    : file_ops_real.fdatasync(NULL, fd);
}

static inline int fault_fallocate(void *ctx, int fd, int mode, off_t offset,
				  off_t len)
{
	return fault_fails(ctx, FAULT_ALLOCATE)
		       ? -1
		       : file_ops_real.fallocate(NULL, fd, mode, offset, len);
}

/* What ioq_open() takes. f stays the caller's. */
static inline struct file_ops fault_file_ops(struct fault_file *f)
{
	return (struct file_ops){ .ctx = f,
				  .preadv = fault_preadv,
				  .pwritev = fault_pwritev,
				  .fdatasync = fault_fdatasync,
				  .fallocate = fault_fallocate };
}

#endif
