/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk: opening, reading, and the way of a request from part to part.
 * A part is what one operation on a file can do: requests whose places lie
 * side by side are one part. The queue's thread.
 */
#include "disk/qcow2_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "disk/iov.h"

#define DIRECT_CLUSTER_MIN 4096 /* tables and data share no page */

/* --- lists ----------------------------------------------------------- */

void request_list_init(struct request_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

void request_list_add(struct request_list *l, struct disk_request *r)
{
	r->next = NULL;
	*l->end = r;
	l->end = &r->next;
}

struct disk_request *request_list_take(struct request_list *l)
{
	struct disk_request *first = l->first;

	request_list_init(l);
	return first;
}

/* --- with the queue, by age ------------------------------------------ */

static void enter(struct disk *d, struct disk_request *r)
{
	struct qcow2_disk *k = qcow2_disk(d);

	r->part.age = top_of(d)->age;
	r->part.newer = NULL;
	r->part.older = k->newest;
	if (k->newest)
		k->newest->part.newer = r;
	else
		k->oldest = r;
	k->newest = r;
	top_of(d)->io_age = k->oldest->part.age;
}

void qcow2_started_over(struct disk *d, struct disk_request *r)
{
	struct qcow2_disk *k = qcow2_disk(d);

	if (r->part.older)
		r->part.older->part.newer = r->part.newer;
	else
		k->oldest = r->part.newer;
	if (r->part.newer)
		r->part.newer->part.older = r->part.older;
	else
		k->newest = r->part.older;
	top_of(d)->io_age = k->oldest ? k->oldest->part.age : UINT64_MAX;
}

void qcow2_start(struct disk *d, struct disk_request *r, enum io_op op, int fd,
		 uint64_t offset, void (*done)(struct io *io, int error))
{
	struct io *io = &r->io;

	enter(d, r);
	io->op = op;
	io->fd = fd;
	io->offset = offset;
	io->bytes = r->bounce ? r->bounced.iov_len : r->part.bytes;
	io->done = done;
	io->iov = r->bounce ? &r->bounced : r->iov;
	io->iovs = r->bounce ? 1 : r->iovs;
	io->skip = r->bounce ? 0 : r->moved;
	io->durable = false;
	io->direct = fd == d->fd && d->info.cache == DISK_DIRECT;
	ioq_submit(d->q, io);
}

/* --- waiting --------------------------------------------------------- */

void qcow2_wait(struct disk *d, struct disk_request *r)
{
	request_list_add(&qcow2_disk(d)->waiting, r);
}

void qcow2_wake(struct disk *d)
{
	struct disk_request *r = request_list_take(&qcow2_disk(d)->waiting);
	struct disk_request *next;

	for (; r; r = next) {
		next = r->next;
		qcow2_go_on(d, r);
	}
}

/* --- reading --------------------------------------------------------- */

static void part_read(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);
	struct disk *d = r->disk;

	qcow2_started_over(d, r);
	r->moved += r->part.bytes;
	r->part.fetches = 0;
	if (!error && r->moved < r->bytes)
		qcow2_go_on(d, r);
	else
		disk_finish(r, error);
}

int qcow2_data_fd(const struct disk *d, const struct disk_request *r,
		  uint64_t host)
{
	uint64_t all = host | (r->bounce ? r->bounced.iov_len
					 : r->part.bytes | r->moved);
	bool is_aligned = r->bounce || disk_is_aligned(d, r);

	if (d->info.cache != DISK_DIRECT)
		return d->fd;
	return is_aligned && !(all % d->offset_align)
		       ? d->fd
		       : qcow2_disk(d)->cached_fd;
}

static int read_fd(const struct disk *d, const struct disk_request *r,
		   unsigned int layer, uint64_t host)
{
	return layer ? qcow2_disk(d)->chain.layer[layer].fd
		     : qcow2_data_fd(d, r, host);
}

/* A table or a compressed cluster is in the page cache now. */
static void part_fetched(struct io *io, int error)
{
	struct disk_request *r = qcow2_fetched(io);

	if (error)
		qcow2_end(r->disk, r, error);
	else
		qcow2_go_on(r->disk, r);
}

/* True: it is on its way. */
static bool read_part(struct disk *d, struct disk_request *r, int *error)
{
	struct chain *c = &qcow2_disk(d)->chain;
	struct chain_extent x;
	const uint8_t *cluster;
	uint64_t at = r->offset + r->moved;

	*error = chain_map(c, 0, at, r->bytes - r->moved, &x);
	if (*error)
		return false;
	r->part.bytes = x.bytes;
	if (x.kind == QCOW2_DATA) {
		qcow2_start(d, r, IO_READ, read_fd(d, r, x.layer, x.host),
			    x.host, part_read);
		return true;
	}
	if (x.kind == QCOW2_PACKED) {
		*error = chain_unpack(c, &x, &cluster);
		if (*error)
			return false;
		iov_put(r->iov, r->iovs, r->moved, cluster + (at - x.guest),
			x.bytes);
	} else {
		iov_zero(r->iov, r->iovs, r->moved, x.bytes);
	}
	r->moved += x.bytes;
	return false;
}

/* What most requests are. */
static bool read_at_once(struct disk *d, struct disk_request *r)
{
	uint64_t host;

	if (!qcow2_map_quickly(top_of(d), r->offset, r->bytes, &host))
		return false;
	r->part.bytes = r->bytes;
	qcow2_start(d, r, IO_READ, qcow2_data_fd(d, r, host), host, part_read);
	return true;
}

/* --- the way of a request -------------------------------------------- */

bool qcow2_is_poisoned(struct disk *d)
{
	if (top_of(d)->sync_failed) {
		d->is_poisoned = true;
		qcow2_freeze(top_of(d));
	}
	return d->is_poisoned;
}

void qcow2_end(struct disk *d, struct disk_request *r, int error)
{
	bool is_durable = r->durable || d->info.cache == DISK_WRITETHROUGH;

	free(r->bounce);
	r->bounce = NULL;
	qcow2_is_poisoned(d); /* known before anybody hears of it */
	if (r->op != DISK_READ)
		disk_changed(d);
	if (!error && is_durable && (r->op == DISK_WRITE || r->op == DISK_ZERO))
		qcow2_disk_flush(d, r);
	else
		disk_conclude(d, r, error);
}

static const char *qcow2_damage(const struct disk *d)
{
	const struct chain *c = &qcow2_disk(d)->chain;
	unsigned int i;

	for (i = 0; i < c->depth; i++)
		if (c->layer[i].format == DISK_QCOW2 && c->layer[i].q.why.code)
			return c->layer[i].q.why.text;
	return NULL;
}

static void qcow2_verified(struct disk *d)
{
	qcow2_distrust(top_of(d)); /* a failure is remembered there */
}

/* Rare, and not while another flush relies on its order. */
static int make_room(struct disk *d, const struct disk_request *r)
{
	if (r->op == DISK_READ || !qcow2_is_full(top_of(d)) ||
	    is_frozen(qcow2_disk(d)))
		return 0;
	return qcow2_flush(top_of(d));
}

/* -EAGAIN: something has to be fetched first. */
static bool next_part(struct disk *d, struct disk_request *r, int *error)
{
	bool (*next)(struct disk * d, struct disk_request * r, int *error) =
		r->op == DISK_READ    ? read_part
		: r->op == DISK_WRITE ? qcow2_write_part
		: r->op == DISK_PULL  ? qcow2_pull_part
				      : qcow2_zero_part;
	bool is_under_way;

	qcow2_ask(d, r);
	is_under_way = next(d, r, error);
	qcow2_ask(d, NULL);
	if (!is_under_way && !*error)
		r->part.fetches = 0;
	return is_under_way;
}

void qcow2_go_on(struct disk *d, struct disk_request *r)
{
	int error = 0;

	if (qcow2_is_poisoned(d) && r->op != DISK_READ)
		error = -EIO;
	while (!error && r->moved < r->bytes) {
		error = make_room(d, r);
		if (!error && next_part(d, r, &error))
			return;
	}
	if (qcow2_has_missed(d, error)) {
		qcow2_fetch(d, r, part_fetched);
		return;
	}
	if (error && r->op != DISK_READ)
		qcow2_mark_corrupt(top_of(d));
	qcow2_end(d, r, error);
}

static void qcow2_submit(struct disk *d, struct disk_request *r)
{
	if (r->op == DISK_READ && read_at_once(d, r))
		return;
	r->part = (struct disk_part){ 0 };
	if (r->op == DISK_FLUSH)
		qcow2_disk_flush(d, r);
	else if (r->op != DISK_READ && top_of(d)->is_corrupt)
		disk_conclude(d, r, -EIO);
	else
		qcow2_go_on(d, r);
}

/* --- opening --------------------------------------------------------- */

/* Tables go through the page cache, also of a disk with direct I/O. */
static int open_cached(const struct disk *d, struct err *e)
{
	char path[32];
	int fd;

	if (d->info.cache != DISK_DIRECT)
		return d->fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->fd);
	fd = open(path, (d->info.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	return fd < 0 ? err_sys(e, -errno, "%s", d->path) : fd;
}

void qcow2_set_units(struct disk *d)
{
	struct disk_info *info = &d->info;

	info->physical_bytes =
		info->logical_bytes > 4096 ? info->logical_bytes : 4096;
	info->can_discard = !info->read_only;
	info->discard_bytes = 1U << top_of(d)->unit_bits;
}

static int set_info(struct disk *d, struct err *e)
{
	struct disk_info *info = &d->info;
	const struct qcow2 *q = top_of(d);
	int r = disk_find_units(d, e);

	if (r)
		return r;
	if (info->cache == DISK_DIRECT && q->cluster_bytes < DIRECT_CLUSTER_MIN)
		return err_set(e, -EINVAL,
			       "%s has clusters of %" PRIu32
			       " bytes, direct I/O needs %d: say "
			       "cache=writeback",
			       d->path, q->cluster_bytes, DIRECT_CLUSTER_MIN);
	info->bytes = q->h.bytes;
	if (info->bytes % info->logical_bytes)
		return err_set(e, -EINVAL,
			       "%s: size %" PRIu64
			       " is not a multiple of %" PRIu32
			       ", which direct I/O needs here",
			       d->path, info->bytes, info->logical_bytes);
	qcow2_set_units(d);
	return 0;
}

int qcow2_disk_make(struct qcow2_disk **out, const struct disk *d,
		    struct err *e)
{
	struct qcow2_disk *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return err_sys(e, -ENOMEM, "%s", d->path);
	request_list_init(&k->waiting);
	request_list_init(&k->linking);
	request_list_init(&k->to_flush);
	request_list_init(&k->flushing);
	k->cached_fd = r = open_cached(d, e);
	if (r < 0) {
		free(k);
		return r;
	}
	*out = k;
	return 0;
}

void qcow2_disk_unmake(const struct disk *d, struct qcow2_disk *k)
{
	if (k->chain.layer)
		chain_fini(&k->chain);
	if (k->cached_fd != d->fd)
		close(k->cached_fd);
	free(k);
}

static int qcow2_disk_open(struct disk *d, struct err *e)
{
	const struct chain_options o = { .read_only = d->info.read_only,
					 .is_alone = d->is_alone,
					 .allowed = d->allow_backing,
					 .files = d->files,
					 .snapshot = d->snapshot };
	struct qcow2_disk *k;
	int r = qcow2_disk_make(&k, d, e);

	if (r)
		return r;
	d->host = k;
	r = chain_open(&k->chain, k->cached_fd, d->path, &o, e);
	return r ? r : set_info(d, e);
}

static void qcow2_disk_close(struct disk *d)
{
	struct qcow2_disk *k = qcow2_disk(d);

	if (!k)
		return;
	/* What was acknowledged by a flush is there already. */
	disk_sync_name(d);
	if (k->chain.depth && !d->info.read_only && !qcow2_is_poisoned(d) &&
	    qcow2_is_dirty(top_of(d)) && !qcow2_flush(top_of(d)))
		qcow2_flush(top_of(d)); /* what became free by it */
	qcow2_disk_unmake(d, k);
	d->host = NULL;
}

const struct disk_ops qcow2_ops = {
	.open = qcow2_disk_open,
	.close = qcow2_disk_close,
	.submit = qcow2_submit,
	.damage = qcow2_damage,
	.verified = qcow2_verified,
};
