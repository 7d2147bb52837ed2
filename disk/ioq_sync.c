/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synchronous engine: each step is one call through struct file_ops,
 * made by the queue's thread while it starts steps. For hosts without
 * io_uring, and for tests that fail the calls.
 */
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq_engine.h"

static ssize_t real_preadv(void *ctx, int fd, const struct iovec *iov, int n,
			   off_t offset, int flags)
{
	(void)ctx;
	return preadv2(fd, iov, n, offset, flags);
}

static ssize_t real_pwritev(void *ctx, int fd, const struct iovec *iov, int n,
			    off_t offset, int flags)
{
	(void)ctx;
	return pwritev2(fd, iov, n, offset, flags);
}

static int real_fdatasync(void *ctx, int fd)
{
	(void)ctx;
	return fdatasync(fd);
}

static int real_fallocate(void *ctx, int fd, int mode, off_t offset, off_t len)
{
	(void)ctx;
	return fallocate(fd, mode, offset, len);
}

static int real_begin_sync(void *ctx, int fd)
{
	(void)ctx;
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

const struct file_ops file_ops_real = {
	.preadv = real_preadv,
	.pwritev = real_pwritev,
	.fdatasync = real_fdatasync,
	.fallocate = real_fallocate,
	.begin_sync = real_begin_sync,
};

static ssize_t unsynced_pwritev(void *ctx, int fd, const struct iovec *iov,
				int n, off_t offset, int flags)
{
	return real_pwritev(ctx, fd, iov, n, offset, flags & ~RWF_DSYNC);
}

static int no_fdatasync(void *ctx, int fd)
{
	(void)ctx, (void)fd;
	return 0;
}

const struct file_ops file_ops_unsynced = {
	.preadv = real_preadv,
	.pwritev = unsynced_pwritev,
	.fdatasync = no_fdatasync,
	.fallocate = real_fallocate,
};

static ssize_t call(const struct file_ops *f, int fd,
		    const struct ioq_step *step)
{
	switch (step->kind) {
	case STEP_READ:
		return f->preadv(f->ctx, fd, step->iov, (int)step->iovs,
				 step->offset, step->flags);
	case STEP_WRITE:
		return f->pwritev(f->ctx, fd, step->iov, (int)step->iovs,
				  step->offset, step->flags);
	case STEP_SYNC:
		return f->fdatasync(f->ctx, fd);
	case STEP_ALLOCATE:
		return f->fallocate(f->ctx, fd, step->flags, step->offset,
				    step->bytes);
	}
	errno = EINVAL;
	return -1;
}

static int sync_start(struct ioq *q, struct io *io)
{
	struct ioq_step step;
	ssize_t res;

	ioq_next_step(io, &step);
	res = call(q->files, io->fd, &step);
	ioq_stepped(q, io, res < 0 ? -errno : res);
	return 0;
}

static int read_event(struct ioq *q, unsigned int i)
{
	uint64_t count;

	if (read(q->events[i]->fd, &count, sizeof(count)) == sizeof(count))
		ioq_fired(q, i, count);
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

static int sync_wait(struct ioq *q, uint64_t timeout_ns)
{
	struct pollfd fds[IOQ_EVENTS_MAX];
	struct timespec ts;
	unsigned int i;
	int n, r = 0;

	for (i = 0; i < q->event_count; i++) {
		fds[i].fd = q->events[i]->fd;
		fds[i].events = POLLIN;
		fds[i].revents = 0;
	}
	ts.tv_sec = (time_t)(timeout_ns / NS_PER_S);
	ts.tv_nsec = (long)(timeout_ns % NS_PER_S);
	n = ppoll(fds, q->event_count, timeout_ns == IOQ_FOREVER ? NULL : &ts,
		  NULL);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < q->event_count && !r; i++)
		if (fds[i].revents)
			r = read_event(q, i);
	return r;
}

const struct ioq_engine_ops ioq_sync_engine = {
	.name = "synchronous",
	.start = sync_start,
	.wait = sync_wait,
};
