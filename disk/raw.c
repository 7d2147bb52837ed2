/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images: a disk's byte is the file's byte. The queue's thread. INV-1: a
 * request that may not be done is answered from the queue like any other.
 * INV-2: after a failed flush nothing is acknowledged as written until
 * disk_verified().
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "disk/disk_private.h"

static struct disk_request *request_of(struct io *io)
{
	return (struct disk_request *)((char *)io -
				       offsetof(struct disk_request, io));
}

static void finish(struct disk_request *r, int error)
{
	free(r->bounce);
	r->bounce = NULL;
	r->done(r, error);
}

static void on_done(struct io *io, int error)
{
	struct disk_request *r = request_of(io);
	struct disk *d = r->disk;
	unsigned int i;
	size_t at = 0;

	if (error && io->op == IO_SYNC)
		d->is_poisoned = true; /* INV-2 */
	if (!error && r->is_second) {
		r->is_second = false;
		io->op = IO_SYNC;
		ioq_submit(d->q, io);
		return;
	}
	if (!error && r->bounce && r->op == DISK_READ)
		for (i = 0; i < r->iovs; i++) {
			memcpy(r->iov[i].iov_base, (char *)r->bounce + at,
			       r->iov[i].iov_len);
			at += r->iov[i].iov_len;
		}
	finish(r, error);
}

static void on_refused(struct io *io, int error)
{
	finish(request_of(io), error);
}

static bool is_aligned(const struct disk *d, const struct disk_request *r)
{
	unsigned int i;

	for (i = 0; i < r->iovs; i++)
		if ((uintptr_t)r->iov[i].iov_base % d->memory_align ||
		    r->iov[i].iov_len % d->info.logical_bytes)
			return false;
	return true;
}

/* O_DIRECT wants aligned memory; a guest may use any. */
static int bounce(struct disk *d, struct disk_request *r)
{
	unsigned int i;
	size_t at = 0;

	if (posix_memalign(&r->bounce, d->memory_align, r->bytes)) {
		r->bounce = NULL;
		return -ENOMEM;
	}
	if (r->op == DISK_WRITE)
		for (i = 0; i < r->iovs; i++) {
			memcpy((char *)r->bounce + at, r->iov[i].iov_base,
			       r->iov[i].iov_len);
			at += r->iov[i].iov_len;
		}
	r->bounced = (struct iovec){ r->bounce, r->bytes };
	r->io.iov = &r->bounced;
	r->io.iovs = 1;
	return 0;
}

static int check(const struct disk *d, const struct disk_request *r)
{
	const struct disk_info *info = &d->info;
	bool changes = r->op != DISK_READ;

	if (changes && info->read_only)
		return -EROFS;
	if (changes && d->is_poisoned)
		return -EIO; /* INV-2 */
	if (r->op == DISK_FLUSH)
		return 0;
	if (r->offset % info->logical_bytes || r->bytes % info->logical_bytes ||
	    r->offset > info->bytes || r->bytes > info->bytes - r->offset)
		return -EINVAL;
	return 0;
}

static enum io_op io_op_of(const struct disk_request *r)
{
	switch (r->op) {
	case DISK_READ:
		return IO_READ;
	case DISK_WRITE:
		return IO_WRITE;
	case DISK_FLUSH:
		return IO_SYNC;
	case DISK_DISCARD:
		return IO_PUNCH;
	default:
		return r->may_unmap ? IO_PUNCH : IO_ZERO;
	}
}

void raw_submit(struct disk *d, struct disk_request *r)
{
	bool is_durable = r->durable || d->info.cache == DISK_WRITETHROUGH;
	int error = check(d, r);

	r->disk = d;
	r->bounce = NULL;
	r->is_second = false;
	r->io = (struct io){
		.op = io_op_of(r),
		.fd = d->fd,
		.offset = r->offset,
		.bytes = r->bytes,
		.iov = r->iov,
		.iovs = r->iovs,
		.durable = is_durable && r->op == DISK_WRITE,
		.done = on_done,
	};
	if (!error && d->memory_align > 1 &&
	    (r->op == DISK_READ || r->op == DISK_WRITE) && !is_aligned(d, r))
		error = bounce(d, r);
	/* Holes are made durable by a flush of their own. */
	r->is_second =
		is_durable && (r->op == DISK_ZERO || r->op == DISK_DISCARD);
	if (error) {
		r->io.done = on_refused; /* INV-1 */
		ioq_conclude(d->q, &r->io, error);
		return;
	}
	ioq_submit(d->q, &r->io);
}
