/* SPDX-License-Identifier: Apache-2.0 */
/* Layers 1..last into the top of a disk. The queue's thread. */
#include "disk/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/kill_point.h"
#include "disk/paths.h"
#include "disk/qcow2_disk.h"

#define REQUEST_BYTES (4U << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static void pull_more(struct stream *s);

/* --- the end --------------------------------------------------------- */

static void tell(struct io *io, int error)
{
	struct stream *s = IO_OWNER(io, struct stream, conclusion);

	s->disk->job =
		error && top_of(s->disk)->is_renamed ? DISK_UNSURE : DISK_IDLE;
	s->over(s, error);
}

static void conclude(struct stream *s, int error)
{
	s->conclusion.done = tell;
	ioq_conclude(s->disk->q, &s->conclusion, error);
}

/* As the layer before it names it, if they are neighbours. */
static char *name_of_next(const struct chain *c, unsigned int last)
{
	return disk_backing_name(c->layer[0].path, c->layer[last + 1].path);
}

static int name_backing(struct stream *s)
{
	struct chain *c = &qcow2_disk(s->disk)->chain;
	char *name;
	int r;

	if (s->last + 1 == c->depth)
		return qcow2_set_backing(&c->layer[0].q, NULL, NULL, &s->err);
	name = name_of_next(c, s->last);
	if (!name)
		return err_sys(&s->err, -errno, "%s",
			       c->layer[s->last + 1].path);
	r = qcow2_set_backing(&c->layer[0].q, name,
			      disk_format_text(c->layer[s->last + 1].format),
			      &s->err);
	free(name);
	return r;
}

/* Little is left to flush. */
static int finish(struct stream *s)
{
	int r = qcow2_is_poisoned(s->disk) ? -EIO : 0;

	if (!r)
		r = qcow2_flush(top_of(s->disk));
	if (qcow2_is_poisoned(s->disk))
		r = -EIO;
	if (r)
		return err_sys(&s->err, r, "%s: flush", s->disk->path);
	KILL_POINT("stream-copied");
	r = name_backing(s);
	KILL_POINT("stream-named");
	if (!r)
		r = chain_cut(&qcow2_disk(s->disk)->chain, 1, s->last, &s->err);
	/* Both say the same again. */
	top_of(s->disk)->is_renamed = r && top_of(s->disk)->is_renamed;
	return r;
}

static void quiet(struct disk_hold *h)
{
	struct stream *s = IO_OWNER(h, struct stream, hold);
	int r = s->is_cancelled ? err_set(&s->err, -ECANCELED, "cancelled")
				: finish(s);

	disk_let_go(s->disk, h);
	conclude(s, r);
}

static void flushed(struct disk_request *r, int error)
{
	struct stream *s = ((struct stream_request *)r)->owner;

	if (error) {
		conclude(s,
			 err_sys(&s->err, error, "%s: flush", s->disk->path));
		return;
	}
	s->hold.quiet = quiet;
	disk_hold(s->disk, &s->hold);
}

static void submit(struct stream_request *q, enum disk_op op, uint64_t offset,
		   uint64_t bytes, void (*done)(struct disk_request *, int))
{
	struct stream *s = q->owner;

	q->r = (struct disk_request){ .op = op,
				      .offset = offset,
				      .bytes = bytes,
				      .pull_to = s->last,
				      .done = done };
	disk_submit(s->disk, &q->r);
}

/* Nothing is under way any more. */
static void end(struct stream *s)
{
	if (s->err.code)
		conclude(s, s->err.code);
	else if (s->is_cancelled)
		conclude(s, err_set(&s->err, -ECANCELED, "cancelled"));
	else
		submit(&s->request[0], DISK_FLUSH, 0, 0, flushed);
}

/* --- pieces ---------------------------------------------------------- */

static void pulled(struct disk_request *r, int error)
{
	struct stream *s = ((struct stream_request *)r)->owner;

	s->under_way--;
	s->done += r->bytes;
	if (error && !s->err.code)
		err_sys(&s->err, error, "%s: copying into it", s->disk->path);
	r->bytes = 0; /* free */
	pull_more(s);
}

static void pull_more(struct stream *s)
{
	uint64_t n;
	unsigned int i;

	for (i = 0; i < STREAM_REQUESTS; i++) {
		if (s->err.code || s->is_cancelled || s->at == s->bytes)
			break;
		if (s->request[i].r.bytes)
			continue;
		n = MIN(s->bytes - s->at, REQUEST_BYTES);
		s->under_way++;
		submit(&s->request[i], DISK_PULL, s->at, n, pulled);
		s->at += n;
	}
	if (!s->under_way)
		end(s);
}

static int check(const struct stream *s, struct err *e)
{
	const struct disk *d = s->disk;

	if (d->info.read_only)
		return err_set(e, -EROFS, "%s is opened read-only", d->path);
	if (d->info.format != DISK_QCOW2 || qcow2_disk(d)->chain.depth < 2)
		return err_set(e, -EINVAL, "%s has no backing file", d->path);
	if (!s->last || s->last >= qcow2_disk(d)->chain.depth)
		return err_set(e, -EINVAL,
			       "%s has %u layers below it, and no layer %u",
			       d->path, qcow2_disk(d)->chain.depth - 1,
			       s->last);
	if (top_of(d)->h.snapshots)
		return err_set(e, -EINVAL,
			       "%s has internal snapshots, which its backing "
			       "file belongs to",
			       d->path);
	return disk_check_job(d, e);
}

int disk_check_job(const struct disk *d, struct err *e)
{
	if (d->job == DISK_IDLE)
		return 0;
	if (d->job == DISK_UNSURE)
		return err_set(e, -EIO,
			       "%s: nobody knows which backing file a header "
			       "names since it could not be written: open the "
			       "disk anew",
			       d->path);
	return err_set(e, -EBUSY, "%s: layers of it are being merged already",
		       d->path);
}

int stream_start(struct stream *s, struct err *e)
{
	int r = check(s, e);
	unsigned int i;

	if (r)
		return r;
	s->disk->job = DISK_STREAMS;
	s->done = s->at = 0;
	s->bytes = s->disk->info.bytes;
	s->err = (struct err)ERR_NONE;
	s->under_way = 0;
	s->is_cancelled = false;
	for (i = 0; i < STREAM_REQUESTS; i++) {
		s->request[i].owner = s;
		s->request[i].r.bytes = 0;
	}
	pull_more(s);
	return 0;
}

void stream_cancel(struct stream *s)
{
	s->is_cancelled = true;
}

unsigned int disk_find_layer(const struct disk *d, dev_t device, ino_t inode)
{
	const struct chain *c;
	unsigned int i;

	if (d->info.format != DISK_QCOW2)
		return 0;
	c = &qcow2_disk(d)->chain;
	for (i = c->depth - 1; i; i--)
		if (c->layer[i].device == device && c->layer[i].inode == inode)
			break;
	return i;
}
