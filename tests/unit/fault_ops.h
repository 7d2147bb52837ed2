/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct file_ops whose calls fail as told: the at-th call of one kind and,
 * if is_sticky, each one after it. Everything else goes to the file. One
 * thread.
 */
#ifndef AMBER_TESTS_UNIT_FAULT_OPS_H
#define AMBER_TESTS_UNIT_FAULT_OPS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

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

struct fault_ops {
	struct file_ops ops; /* what ioq_open() takes */
	enum fault_call call;
	int error;	   /* errno, FAULT_SHORT, FAULT_NONE; 0: no fault */
	unsigned int at;   /* counts from 0 */
	bool is_sticky;	   /* once, or for ever */
	unsigned int made; /* calls of this kind so far */
	unsigned int hits; /* faults so far */
};

static inline bool fault_is_due(struct fault_ops *f, enum fault_call call)
{
	unsigned int n;

	if (call != f->call || !f->error)
		return false;
	n = f->made++;
	if (n != f->at && !(f->is_sticky && n > f->at))
		return false;
	f->hits++;
	return true;
}

/* The first half of the first piece, and at least a byte of it. */
static inline struct iovec fault_half(const struct iovec *iov)
{
	return (struct iovec){ .iov_base = iov->iov_base,
			       .iov_len = (iov->iov_len + 1) / 2 };
}

static inline ssize_t fault_transfer(struct fault_ops *f, bool reads, int fd,
				     const struct iovec *iov, int n,
				     off_t offset, int flags)
{
	struct iovec half;

	if (fault_is_due(f, reads ? FAULT_READ : FAULT_WRITE)) {
		if (f->error == FAULT_NONE)
			return 0;
		if (f->error != FAULT_SHORT) {
			errno = f->error;
			return -1;
		}
		half = fault_half(iov);
		iov = &half;
		n = 1;
	}
	return reads ? preadv2(fd, iov, n, offset, flags)
		     : pwritev2(fd, iov, n, offset, flags);
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
static inline bool fault_fails(struct fault_ops *f, enum fault_call call)
{
	if (f->error < 0 || !fault_is_due(f, call))
		return false;
	errno = f->error;
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

static inline void fault_init(struct fault_ops *f)
{
	*f = (struct fault_ops){
		.ops = { .ctx = f,
			 .preadv = fault_preadv,
			 .pwritev = fault_pwritev,
			 .fdatasync = fault_fdatasync,
			 .fallocate = fault_fallocate },
	};
}

/* From now on: forgets what was counted. */
static inline void fault_set(struct fault_ops *f, enum fault_call call,
			     int error, unsigned int at, bool is_sticky)
{
	f->call = call;
	f->error = error;
	f->at = at;
	f->is_sticky = is_sticky;
	f->made = 0;
	f->hits = 0;
}

#endif
