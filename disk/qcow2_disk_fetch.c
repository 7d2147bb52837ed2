/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and compressed clusters that the page cache does not have: the thread
 * does not wait for the storage, a request does. What is missing is read
 * through the queue and given up; then the request looks again, and the page
 * cache has it. The queue's thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "disk/qcow2_disk.h"

/* More than there are layers: something evicts as fast as it is read. */
#define FETCHES_MAX (2 * CHAIN_MAX)
/* At once: how long a table or a compressed cluster is the image says. */
#define FETCHING_MAX (8U << 20)

void qcow2_ask(struct disk *d, const struct disk_request *r)
{
	struct qcow2_disk *k = qcow2_disk(d);

	k->chain.miss.is_asked = r && r->part.fetches < FETCHES_MAX &&
				 k->fetching < FETCHING_MAX;
}

bool qcow2_has_missed(const struct disk *d, int error)
{
	return error == -EAGAIN && qcow2_disk(d)->chain.miss.bytes;
}

void qcow2_fetch(struct disk *d, struct disk_request *r,
		 void (*done)(struct io *io, int error))
{
	struct qcow2_disk *k = qcow2_disk(d);
	const struct file_miss m = k->chain.miss;
	struct io *io = &r->io;

	k->chain.miss.bytes = 0;
	r->part.fetches++;
	k->fetching += m.bytes;
	r->fetched = (struct iovec){ malloc(m.bytes), m.bytes };
	io->done = done;
	if (!r->fetched.iov_base) {
		ioq_conclude(d->q, io, -ENOMEM);
		return;
	}
	io->op = IO_READ;
	io->fd = m.fd;
	io->offset = m.offset;
	io->bytes = m.bytes;
	io->iov = &r->fetched;
	io->iovs = 1;
	io->skip = 0;
	io->durable = io->direct = false;
	ioq_submit(d->q, io);
}

struct disk_request *qcow2_fetched(struct io *io)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	qcow2_disk(r->disk)->fetching -= r->fetched.iov_len;
	free(r->fetched.iov_base);
	return r;
}
