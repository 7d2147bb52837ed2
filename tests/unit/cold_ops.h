/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page cache for tests: what asks not to wait (RWF_NOWAIT) misses what
 * nobody has read yet, or at random. One for the disk's own reads, one for the
 * queue's, so that a test sees who waits. One thread.
 */
#ifndef AMBER_TESTS_UNIT_COLD_OPS_H
#define AMBER_TESTS_UNIT_COLD_OPS_H

#include <errno.h>

#include "disk/ioq.h"
#include "tests/unit/seeded.h"

#define COLD_PLACES 64

struct cold {
	struct file_ops disk, queue;
	struct {
		int fd;
		off_t offset;
	} warm[COLD_PLACES]; /* what was read */
	unsigned int warm_count;
	uint64_t random; /* not 0: one in three misses, whatever was read */
	bool forgets;	 /* nothing is ever warm */
	bool ends_early; /* as Linux 5.10 does: once, 0 in the middle */
	unsigned int missed, waited; /* of the disk's own reads */
	int error;		     /* errno of the queue's next read */
};

static inline bool cold_is_warm(struct cold *c, int fd, off_t offset)
{
	unsigned int i;

	if (c->random)
		return seeded_next(&c->random) % 3;
	for (i = 0; i < c->warm_count && !c->forgets; i++)
		if (c->warm[i].fd == fd && c->warm[i].offset == offset)
			return true;
	return false;
}

static inline ssize_t cold_look(void *ctx, int fd, const struct iovec *iov,
				int n, off_t offset, int flags)
{
	struct cold *c = ctx;
	ssize_t got;

	if (!(flags & RWF_NOWAIT)) {
		got = file_ops_real.preadv(NULL, fd, iov, n, offset, 0);
		c->waited += got > 0; /* the end of a file is known */
		return got;
	}
	if (c->ends_early) {
		c->ends_early = false;
		return 0;
	}
	if (!cold_is_warm(c, fd, offset)) {
		c->missed++;
		errno = EAGAIN;
		return -1;
	}
	return file_ops_real.preadv(NULL, fd, iov, n, offset, 0);
}

static inline ssize_t cold_read(void *ctx, int fd, const struct iovec *iov,
				int n, off_t offset, int flags)
{
	struct cold *c = ctx;

	if (c->error) {
		errno = c->error;
		c->error = 0;
		return -1;
	}
	if (c->warm_count < COLD_PLACES) {
		c->warm[c->warm_count].fd = fd;
		c->warm[c->warm_count++].offset = offset;
	}
	return file_ops_real.preadv(NULL, fd, iov, n, offset, flags);
}

static inline void cold_init(struct cold *c, uint64_t random)
{
	*c = (struct cold){ .disk = file_ops_real,
			    .queue = file_ops_real,
			    .random = random };
	c->disk.ctx = c->queue.ctx = c;
	c->disk.preadv = cold_look;
	c->queue.preadv = cold_read;
}

#endif
