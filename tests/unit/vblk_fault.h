/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File operations that fail as a test wants: which one, how, how often; and
 * that count what was asked for. One queue's thread calls them, the test's
 * thread sets them.
 */
#ifndef AMBER_TESTS_UNIT_VBLK_FAULT_H
#define AMBER_TESTS_UNIT_VBLK_FAULT_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "disk/ioq.h"

enum fault_op {
	FAULT_READ,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_ALLOCATE,
	FAULT_OPS
};

#define FAULT_ALWAYS (-1)
#define FAULT_SHORT  10000 /* as an error: half of the bytes are moved */

struct fault {
	_Atomic int error[FAULT_OPS]; /* errno or FAULT_SHORT; 0: none */
	_Atomic int times[FAULT_OPS]; /* left; FAULT_ALWAYS */
	_Atomic unsigned int calls[FAULT_OPS];
	pthread_mutex_t gate; /* held by the test: operations wait */
	struct file_ops ops;
};

static inline void fault_set(struct fault *f, enum fault_op op, int error,
			     int times)
{
	atomic_store(&f->times[op], times);
	atomic_store(&f->error[op], error);
}

/* The error that this call is to have, or 0. */
static inline int fault_take(struct fault *f, enum fault_op op)
{
	int left, error = atomic_load(&f->error[op]);

	atomic_fetch_add(&f->calls[op], 1);
	pthread_mutex_lock(&f->gate);
	pthread_mutex_unlock(&f->gate);
	if (!error)
		return 0;
	left = atomic_load(&f->times[op]);
	if (!left)
		return 0;
	if (left > 0)
		atomic_fetch_sub(&f->times[op], 1);
	return error;
}

/* Cuts a vector to half of its bytes; a single byte can't be. */
static inline struct iovec fault_half(const struct iovec *iov)
{
	struct iovec first = *iov;

	if (first.iov_len > 1)
		first.iov_len /= 2;
	return first;
}

static inline ssize_t fault_preadv(void *ctx, int fd, const struct iovec *iov,
				   int n, off_t offset, int flags)
{
	int error = fault_take(ctx, FAULT_READ);
	struct iovec half = fault_half(iov);

	if (error == FAULT_SHORT)
		return preadv2(fd, &half, 1, offset, flags);
	if (error) {
		errno = error;
		return -1;
	}
	return preadv2(fd, iov, n, offset, flags);
}

static inline ssize_t fault_pwritev(void *ctx, int fd, const struct iovec *iov,
				    int n, off_t offset, int flags)
{
	int error = fault_take(ctx, FAULT_WRITE);
	struct iovec half = fault_half(iov);

	if (error == FAULT_SHORT)
		return pwritev2(fd, &half, 1, offset, flags);
	if (error) {
		errno = error;
		return -1;
	}
	return pwritev2(fd, iov, n, offset, flags);
}

static inline int fault_fdatasync(void *ctx, int fd)
{
	int error = fault_take(ctx, FAULT_SYNC);

	if (error && error != FAULT_SHORT) {
		errno = error;
		return -1;
	}
	return fdatasync(fd);
}

static inline int fault_fallocate(void *ctx, int fd, int mode, off_t offset,
				  off_t len)
{
	int error = fault_take(ctx, FAULT_ALLOCATE);

	if (error && error != FAULT_SHORT) {
		errno = error;
		return -1;
	}
	return fallocate(fd, mode, offset, len);
}

static inline void fault_init(struct fault *f)
{
	*f = (struct fault){ .gate = PTHREAD_MUTEX_INITIALIZER };
	f->ops = (struct file_ops){ .ctx = f,
				    .preadv = fault_preadv,
				    .pwritev = fault_pwritev,
				    .fdatasync = fault_fdatasync,
				    .fallocate = fault_fallocate };
}

#endif
