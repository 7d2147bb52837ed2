/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of file operations without its engine: what is executed next,
 * what the answer of a system call means, and when owners are told. The
 * queue's thread alone.
 *
 * INV-1  An io is in one place: waiting, with the engine, or finished.
 * INV-2  done() and ready() are called from ioq_run() only, when the lists
 *        are consistent: they may submit.
 * INV-3  done(0) means that all bytes were transferred.
 */
#include "disk/ioq.h"

#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "disk/ioq_engine.h"

/* EINTR and EAGAIN without progress: then it is an error after all. */
#define TRIES_MAX 1000
/* What a round does inline at most before it looks at events again. */
#define ROUND_STEPS 64
#define ROUND_BYTES (1U << 20)
/*
 * Direct transfers are begun together, a quarter of what runs and at most so
 * many, while enough others run to keep the storage busy (docs/decisions/0018).
 */
#define BATCH_SHARE 4
#define BATCH_MAX   8
/* While so many of them run and nothing else, their ends are waited for
 * together as well. */
#define AWAIT_FROM 16
/* In one system call; the kernel's own limit is 2 GiB - 4 KiB. */
#define STEP_BYTES (1U << 30)
/* Written at once where a file system can't zero a range. */
#define ZERO_BYTES (1U << 16)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static uint8_t zeroes[ZERO_BYTES] __attribute__((aligned(4096)));

/* --- lists ----------------------------------------------------------- */

static void append(struct io_list *list, struct io *io)
{
	io->next = NULL;
	if (list->first)
		list->last->next = io;
	else
		list->first = io;
	list->last = io;
}

static struct io *take_first(struct io_list *list)
{
	struct io *io = list->first;

	if (io)
		list->first = io->next;
	return io;
}

static void put_back(struct io_list *list, struct io *io)
{
	io->next = list->first;
	if (!list->first)
		list->last = io;
	list->first = io;
}

/* --- steps ----------------------------------------------------------- */

static bool is_transfer(const struct io *io)
{
	return io->op == IO_READ || io->op == IO_WRITE;
}

static bool is_direct(const struct io *io)
{
	return io->direct && is_transfer(io);
}

/* The place in the io's memory where it goes on; *skip bytes are done. */
static unsigned int position(const struct io *io, size_t *skip)
{
	uint64_t left = io->skip + io->moved;
	unsigned int i = 0;

	while (i + 1 < io->iovs && left >= io->iov[i].iov_len)
		left -= io->iov[i++].iov_len;
	*skip = left;
	return i;
}

/* How many pieces of memory from number i on lie in the transfer whole. */
static unsigned int whole_pieces(const struct io *io, unsigned int i)
{
	uint64_t left = io->bytes - io->moved;
	unsigned int n = 0;

	while (i + n < io->iovs && n < IOV_MAX &&
	       io->iov[i + n].iov_len <= left) {
		left -= io->iov[i + n].iov_len;
		n++;
	}
	return n;
}

/*
 * A step that begins or ends inside a piece of memory is of that piece alone:
 * so that no vector has to be copied, and kept, for the rest of a transfer.
 */
static void transfer_step(struct io *io, struct ioq_step *step)
{
	uint64_t left = io->bytes - io->moved;
	unsigned int i, n;
	size_t skip;

	i = position(io, &skip);
	step->kind = io->op == IO_READ ? STEP_READ : STEP_WRITE;
	step->flags = io->op == IO_WRITE && io->durable ? RWF_DSYNC : 0;
	n = skip ? 0 : whole_pieces(io, i);
	if (n > 1 && io->iov[i].iov_len < STEP_BYTES) {
		step->iov = io->iov + i;
		step->iovs = n;
		return;
	}
	step->one.iov_base = (char *)io->iov[i].iov_base + skip;
	step->one.iov_len =
		MIN(io->iov[i].iov_len - skip, MIN(left, (uint64_t)STEP_BYTES));
	step->iov = &step->one;
	step->iovs = 1;
}

static void zeroes_step(const struct io *io, struct ioq_step *step)
{
	uint64_t left = io->bytes - io->moved;

	step->kind = STEP_WRITE;
	step->flags = 0;
	step->one.iov_base = zeroes;
	step->one.iov_len = left < ZERO_BYTES ? left : ZERO_BYTES;
	step->iov = &step->one;
	step->iovs = 1;
}

void ioq_next_step(struct io *io, struct ioq_step *step)
{
	step->offset = (off_t)(io->offset + io->moved);
	step->bytes = (off_t)(io->bytes - io->moved);
	step->iov = NULL;
	step->iovs = 0;
	if (is_transfer(io)) {
		transfer_step(io, step);
	} else if (io->op == IO_SYNC) {
		step->kind = STEP_SYNC;
	} else if (io->by_writing) {
		zeroes_step(io, step);
	} else {
		step->kind = STEP_ALLOCATE;
		step->flags = FALLOC_FL_KEEP_SIZE |
			      (io->op == IO_PUNCH ? FALLOC_FL_PUNCH_HOLE
						  : FALLOC_FL_ZERO_RANGE);
	}
}

/* --- answers --------------------------------------------------------- */

/* A read met the end of the file. */
static void zero_rest(struct io *io)
{
	uint64_t left = io->bytes - io->moved;
	size_t skip, n;
	unsigned int i = position(io, &skip);

	for (; left; i++, skip = 0, left -= n) {
		n = MIN(io->iov[i].iov_len - skip, left);
		memset((char *)io->iov[i].iov_base + skip, 0, n);
	}
	io->moved = io->bytes;
}

static bool should_retry(struct io *io, ssize_t res)
{
	if (res == -EINTR || res == -EAGAIN)
		return ++io->tries < TRIES_MAX;
	if (io->op == IO_ZERO && !io->by_writing &&
	    (res == -EOPNOTSUPP || res == -ENOSYS)) {
		io->by_writing = true;
		return true;
	}
	return false;
}

/* Returns true when io is over, with its result set. */
static bool advance(struct io *io, ssize_t res)
{
	if (res < 0) {
		if (should_retry(io, res))
			return false;
		io->result = (int)res;
		return true;
	}
	if (!is_transfer(io) && !io->by_writing)
		return true;
	if (res == 0 && io->op == IO_READ) {
		zero_rest(io);
	} else if (res == 0 || (uint64_t)res > io->bytes - io->moved) {
		io->result = -EIO;
		return true;
	}
	io->moved += (uint64_t)res;
	io->tries = 0;
	return io->moved == io->bytes;
}

void ioq_stepped(struct ioq *q, struct io *io, ssize_t res)
{
	q->running--;
	q->direct -= is_direct(io);
	q->inline_steps++;
	q->inline_bytes += res > 0 ? (uint64_t)res : 0;
	append(advance(io, res) ? &q->finished : &q->waiting, io);
}

void ioq_fired(struct ioq *q, unsigned int i, uint64_t count)
{
	q->events[i]->count = count;
	q->fired |= UINT32_C(1) << i;
}

unsigned int ioq_steps_to_await(const struct ioq *q)
{
	if (q->direct < AWAIT_FROM || q->direct < q->running)
		return 1;
	return MIN(q->direct / BATCH_SHARE, IOQ_AWAIT_MAX);
}

/* --- submission ------------------------------------------------------ */

static int check(const struct io *io)
{
	uint64_t missing = io->bytes;
	unsigned int i;

	if (io->op >= IO_OP_COUNT)
		return -EINVAL;
	if (io->op == IO_SYNC)
		return 0;
	if (io->offset > INT64_MAX || io->bytes > INT64_MAX - io->offset)
		return -EINVAL;
	if (!is_transfer(io))
		return 0;
	if (io->skip > INT64_MAX - io->bytes)
		return -EINVAL;
	missing += io->skip;
	for (i = 0; i < io->iovs && missing; i++)
		missing -= MIN(io->iov[i].iov_len, missing);
	return missing ? -EINVAL : 0;
}

void ioq_conclude(struct ioq *q, struct io *io, int error)
{
	q->in_flight++;
	io->result = error;
	append(&q->finished, io);
}

void ioq_submit(struct ioq *q, struct io *io)
{
	int r = check(io);

	io->moved = 0;
	io->result = 0;
	io->tries = 0;
	io->by_writing = false;
	if (r || (!io->bytes && io->op != IO_SYNC)) {
		ioq_conclude(q, io, r);
		return;
	}
	q->in_flight++;
	append(&q->waiting, io);
}

unsigned int ioq_in_flight(const struct ioq *q)
{
	return q->in_flight;
}

int ioq_watch(struct ioq *q, struct ioq_event *ev, int fd,
	      void (*ready)(struct ioq_event *ev))
{
	if (q->event_count == IOQ_EVENTS_MAX)
		return -ENOSPC;
	ev->fd = fd;
	ev->ready = ready;
	ev->count = 0;
	ev->watched = false;
	q->events[q->event_count++] = ev;
	return 0;
}

/* --- a round --------------------------------------------------------- */

static bool has_budget(const struct ioq *q)
{
	return q->inline_steps < ROUND_STEPS && q->inline_bytes < ROUND_BYTES;
}

/*
 * A step that ends asks again, so nothing is held for ever; what the page
 * cache may have, or a sync, holds nothing back.
 */
static bool awaits_batch(const struct ioq *q)
{
	unsigned int batch = MIN(q->running / BATCH_SHARE, BATCH_MAX), n = 0;
	const struct io *io;

	for (io = q->waiting.first; io && n < batch; io = io->next, n++)
		if (!is_direct(io))
			return false;
	return n < batch;
}

static void start_steps(struct ioq *q)
{
	struct io *io;

	q->inline_steps = 0;
	q->inline_bytes = 0;
	if (awaits_batch(q))
		return;
	while (q->running < q->depth && has_budget(q)) {
		io = take_first(&q->waiting);
		if (!io)
			return;
		q->running++;
		q->direct += is_direct(io);
		if (q->ops->start(q, io)) {
			q->running--;
			q->direct -= is_direct(io);
			put_back(&q->waiting, io);
			return;
		}
	}
}

/* What done() and ready() submit is not of this round. */
static int call_owners(struct ioq *q)
{
	struct io *io = q->finished.first, *next;
	uint32_t fired = q->fired;
	unsigned int i;
	int n = 0;

	q->finished.first = NULL;
	q->fired = 0;
	for (; io; io = next, n++) {
		next = io->next;
		q->in_flight--;
		io->done(io, io->result);
	}
	for (i = 0; fired; i++, fired >>= 1) {
		if (!(fired & 1))
			continue;
		q->events[i]->ready(q->events[i]);
		n++;
	}
	return n;
}

static uint64_t time_left(uint64_t end_ns)
{
	uint64_t now = clock_mono_ns();

	return now < end_ns ? end_ns - now : 0;
}

/* More can be begun, or is to be told, without any waiting. */
static bool is_busy(const struct ioq *q)
{
	return q->finished.first ||
	       (q->waiting.first && q->running < q->depth && !awaits_batch(q));
}

int ioq_run(struct ioq *q, uint64_t timeout_ns)
{
	bool has_end = timeout_ns && timeout_ns != IOQ_FOREVER;
	uint64_t end_ns = has_end ? clock_mono_ns() + timeout_ns : 0;
	uint64_t left = timeout_ns;
	int r, n;

	for (;;) {
		start_steps(q);
		r = q->ops->wait(q, is_busy(q) ? 0 : left);
		if (r < 0)
			return r;
		n = call_owners(q);
		if (has_end)
			left = time_left(end_ns);
		if (n || !left)
			return n;
	}
}

/* --- the queue ------------------------------------------------------- */

static int open_engine(struct ioq *q, const struct ioq_engine_ops *ops,
		       struct err *e)
{
	q->ops = ops;
	return ops->open ? ops->open(q, e) : 0;
}

static int open_some_engine(struct ioq *q, enum ioq_engine engine,
			    struct err *e)
{
	int r;

	if (engine == IOQ_SYNC || (engine == IOQ_AUTO && q->files))
		return open_engine(q, &ioq_sync_engine, e);
	r = open_engine(q, &ioq_uring_engine, e);
	if (r && engine == IOQ_AUTO)
		r = open_engine(q, &ioq_sync_engine, e);
	return r;
}

int ioq_open(struct ioq **out, enum ioq_engine engine, unsigned int depth,
	     const struct file_ops *ops, struct err *e)
{
	struct ioq *q;
	int r;

	if (!depth || depth > IOQ_DEPTH_MAX)
		return err_set(e, -EINVAL, "queue depth %u is not in 1..%u",
			       depth, IOQ_DEPTH_MAX);
	q = calloc(1, sizeof(*q));
	if (!q)
		return err_sys(e, -ENOMEM, "queue of file operations");
	q->depth = depth;
	q->files = ops;
	r = open_some_engine(q, engine, e);
	if (r) {
		free(q);
		return r;
	}
	if (!q->files)
		q->files = &file_ops_real;
	*out = q;
	return 0;
}

void ioq_close(struct ioq *q)
{
	if (!q)
		return;
	if (q->ops->close)
		q->ops->close(q);
	free(q);
}

const char *ioq_engine_name(const struct ioq *q)
{
	return q->ops->name;
}
