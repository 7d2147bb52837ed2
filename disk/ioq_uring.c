/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on io_uring: a round is one system call, which hands over the
 * steps and waits for steps, events and the deadline. What the page cache
 * can answer at once is not worth a trip through the ring and is read inline
 * (docs/decisions/0010). The queue's thread; the ring belongs to the thread
 * of the first round from then on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/ioq_uring_private.h"

#define SQ_ENTRIES_MAX 1024
/* So many reads go without an inline attempt after one that found nothing. */
#define READS_AFTER_MISS 8

/* For the ring's owner alone: completions wait until it asks. Linux 6.1. */
#define SETUP_DEFERRED                                             \
	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED)
/* Completions interrupt nobody. Linux 5.19. */
#define SETUP_COOPERATIVE \
	(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

/* --- opening --------------------------------------------------------- */

static int setup(struct io_uring *ring, unsigned int depth, unsigned int flags)
{
	unsigned int entries = depth + IOQ_EVENTS_MAX;
	unsigned int chains = (IOQ_EVENTS_MAX + 1) * IOQ_AWAIT_MAX;
	struct io_uring_params p;

	memset(&p, 0, sizeof(p));
	p.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
	p.cq_entries = 2 * entries + chains;
	if (entries > SQ_ENTRIES_MAX)
		entries = SQ_ENTRIES_MAX;
	return io_uring_queue_init_params(entries, ring, &p);
}

/* Opens with the best flags that this kernel has. */
static int setup_best(struct io_uring *ring, unsigned int depth,
		      unsigned int *flags)
{
	static const unsigned int wishes[] = { SETUP_DEFERRED,
					       SETUP_COOPERATIVE, 0 };
	size_t i;
	int r = -EINVAL;

	for (i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		*flags = wishes[i];
		r = setup(ring, depth, wishes[i]);
		if (r != -EINVAL)
			break;
	}
	return r;
}

/* What kernel.io_uring_disabled says; 0 when there is no such thing. */
static int read_switch(void)
{
	int fd = open("/proc/sys/kernel/io_uring_disabled",
		      O_RDONLY | O_CLOEXEC);
	char c = '0';

	if (fd < 0)
		return 0;
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return c - '0';
}

static int explain(int r, struct err *e)
{
	int off;

	switch (r) {
	case -ENOSYS:
		return err_set(e, r, "this kernel has no io_uring");
	case -EPERM:
	case -EACCES:
		off = read_switch();
		if (off > 0)
			return err_set(e, -EPERM,
				       "io_uring is switched off here: "
				       "kernel.io_uring_disabled is %d",
				       off);
		return err_set(e, -EPERM,
			       "io_uring is forbidden to this process (a "
			       "seccomp filter, or a security module)");
	case -ENOMEM:
		return err_set(e, r,
			       "io_uring gets no memory (before Linux 5.12 it "
			       "counts as locked: ulimit -l)");
	default:
		return err_sys(e, r, "io_uring");
	}
}

static int open_ring(struct io_uring *ring, unsigned int depth,
		     unsigned int *flags, struct err *e)
{
	int r = setup_best(ring, depth, flags);

	if (r)
		return explain(r, e);
	if (ring->features & IORING_FEAT_EXT_ARG)
		return 0;
	io_uring_queue_exit(ring);
	return err_set(e, -ENOSYS,
		       "io_uring of this kernel is older than Linux 5.11");
}

int ioq_available(struct err *e)
{
	struct io_uring ring;
	unsigned int flags;
	int r = open_ring(&ring, 1, &flags, e);

	if (!r)
		io_uring_queue_exit(&ring);
	return r;
}

static int uring_open(struct ioq *q, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	unsigned int flags;
	int r;

	if (!u)
		return err_sys(e, -ENOMEM, "io_uring");
	r = open_ring(&u->ring, q->depth, &flags, e);
	if (r) {
		free(u);
		return r;
	}
	u->is_enabled = !(flags & IORING_SETUP_R_DISABLED);
	u->slow_read_fd = -1;
	u->slow_write_fd = -1;
	q->host = u;
	return 0;
}

/* --- steps ----------------------------------------------------------- */

static bool is_inline(struct uring *u, const struct io *io,
		      const struct ioq_step *step)
{
	if (io->direct || io->moved || io->tries || step->flags)
		return false;
	if (step->kind == STEP_WRITE)
		return io->fd != u->slow_write_fd;
	if (step->kind != STEP_READ || io->fd == u->slow_read_fd)
		return false;
	if (!u->reads_to_skip)
		return true;
	u->reads_to_skip--;
	return false;
}

/* The page cache has nothing, or can't be asked: what follows from that. */
static void learn(struct uring *u, const struct io *io, bool reads, int error)
{
	if (error == EOPNOTSUPP && reads)
		u->slow_read_fd = io->fd;
	else if (error == EOPNOTSUPP)
		u->slow_write_fd = io->fd;
	else if (error == EAGAIN && reads)
		u->reads_to_skip = READS_AFTER_MISS;
}

/* Returns true when *res is the step's answer. */
static bool try_inline(struct uring *u, const struct io *io,
		       const struct ioq_step *step, ssize_t *res)
{
	bool reads = step->kind == STEP_READ;

	if (!is_inline(u, io, step))
		return false;
	*res = reads ? preadv2(io->fd, step->iov, (int)step->iovs, step->offset,
			       RWF_NOWAIT)
		     : pwritev2(io->fd, step->iov, (int)step->iovs,
				step->offset, RWF_NOWAIT);
	if (*res > 0 || (*res == 0 && reads))
		return true;
	if (*res < 0)
		learn(u, io, reads, errno);
	return false; /* the ring says what is the matter, if anything is */
}

static void prepare_transfer(struct io_uring_sqe *sqe, int fd,
			     const struct ioq_step *step)
{
	bool reads = step->kind == STEP_READ;
	uint64_t offset = (uint64_t)step->offset;

	if (step->iovs > 1)
		io_uring_prep_rw(reads ? IORING_OP_READV : IORING_OP_WRITEV,
				 sqe, fd, step->iov, step->iovs, offset);
	else
		io_uring_prep_rw(reads ? IORING_OP_READ : IORING_OP_WRITE, sqe,
				 fd, step->iov->iov_base,
				 (unsigned int)step->iov->iov_len, offset);
	sqe->rw_flags = step->flags;
}

static void prepare(struct io_uring_sqe *sqe, int fd,
		    const struct ioq_step *step)
{
	switch (step->kind) {
	case STEP_READ:
	case STEP_WRITE:
		prepare_transfer(sqe, fd, step);
		break;
	case STEP_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case STEP_ALLOCATE:
		io_uring_prep_fallocate(sqe, fd, step->flags, step->offset,
					step->bytes);
		break;
	}
}

/* Debian 12's shared liburing does not export io_uring_enable_rings(). */
static int enable(struct uring *u)
{
	if (u->is_enabled)
		return 0;
	if (syscall(__NR_io_uring_register, u->ring.ring_fd,
		    IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	u->is_enabled = true;
	return 0;
}

bool uring_has_room(struct uring *u, unsigned int sqes)
{
	if (io_uring_sq_space_left(&u->ring) >= sqes)
		return true;
	if (enable(u) < 0 || io_uring_submit(&u->ring) < 0)
		return false;
	return io_uring_sq_space_left(&u->ring) >= sqes;
}

struct io_uring_sqe *uring_get_sqe(struct uring *u)
{
	return uring_has_room(u, 1) ? io_uring_get_sqe(&u->ring) : NULL;
}

static int uring_start(struct ioq *q, struct io *io)
{
	struct uring *u = q->host;
	struct io_uring_sqe *sqe;
	struct ioq_step step;
	ssize_t res;

	ioq_next_step(io, &step);
	if (try_inline(u, io, &step, &res)) {
		ioq_stepped(q, io, res);
		return 0;
	}
	sqe = uring_get_sqe(u);
	if (!sqe)
		return -EAGAIN;
	prepare(sqe, io->fd, &step);
	io_uring_sqe_set_data(sqe, io);
	return 0;
}

/* --- a round --------------------------------------------------------- */

static void take(struct ioq *q, const struct io_uring_cqe *cqe)
{
	struct uring *u = q->host;
	uint64_t tag = cqe->user_data;

	if (!(tag & TAG_KIND))
		ioq_stepped(q, io_uring_cqe_get_data(cqe), cqe->res);
	else if ((tag & TAG_KIND) == TAG_EVENT)
		uring_take_event(q, (unsigned int)(tag >> 2), cqe->res);
	else if (tag == TAG_TICK)
		u->ticks = false;
}

static void reap(struct ioq *q)
{
	struct uring *u = q->host;
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		take(q, cqe);
		seen++;
	}
	io_uring_cq_advance(&u->ring, seen);
}

static bool has_kernel_work(const struct uring *u)
{
	unsigned int flags =
		__atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED);

	return io_uring_sq_ready(&u->ring) ||
	       (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static int enter(struct uring *u, uint64_t timeout_ns, unsigned int n)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;

	if (!timeout_ns)
		return has_kernel_work(u)
			       ? io_uring_submit_and_get_events(&u->ring)
			       : 0;
	if (timeout_ns == IOQ_FOREVER)
		return io_uring_submit_and_wait(&u->ring, n);
	ts.tv_sec = (long long)(timeout_ns / NS_PER_S);
	ts.tv_nsec = (long long)(timeout_ns % NS_PER_S);
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, n, &ts, NULL);
}

static int uring_wait(struct ioq *q, uint64_t timeout_ns)
{
	struct uring *u = q->host;
	unsigned int n;
	int r = enable(u);

	if (r)
		return r;
	n = uring_prepare_wait(q);
	r = enter(u, timeout_ns, n);
	reap(q);
	if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN && r != -EBUSY)
		return r;
	return u->error;
}

/* --- closing --------------------------------------------------------- */

/*
 * The kernel may write to counts until each read of an eventfd is off. When
 * the ring's thread has ended, they are, and this one may not enter.
 */
static void disarm_all(struct ioq *q)
{
	struct uring *u = q->host;
	int r;

	uring_disarm_events(u);
	while (u->armed) {
		r = io_uring_submit_and_wait(&u->ring, 1);
		if (r < 0 && r != -EINTR)
			return;
		reap(q);
	}
}

static void uring_close(struct ioq *q)
{
	struct uring *u = q->host;

	if (u->is_enabled)
		disarm_all(q);
	io_uring_queue_exit(&u->ring);
	free(u);
}

const struct ioq_engine_ops ioq_uring_engine = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.start = uring_start,
	.wait = uring_wait,
};
