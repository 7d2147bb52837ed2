/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flush of a qcow2 disk: what it points to is on the disk before the
 * pointers are (disk/qcow2.h). Its syncs are operations of the queue, so that
 * reads and writes go on meanwhile. One flush at a time; what comes shares
 * the next one. The queue's thread.
 */
#include <errno.h>

#include "disk/qcow2_disk.h"

/* Unless one is under way, or nobody wants one. */
static void start_flush(struct disk *d);

static void finish_list(struct disk_request *r, int error)
{
	struct disk_request *next;

	for (; r; r = next) {
		next = r->next;
		disk_conclude(r->disk, r, error);
	}
}

/* Pointers may be changed again. */
static void thaw(struct disk *d)
{
	qcow2_link_waiting(d);
	qcow2_wake(d);
}

/* Nothing was synced in vain: the same can be tried again. */
static void give_up(struct disk *d, int error)
{
	struct qcow2_disk *k = qcow2_disk(d);
	struct disk_request *list = request_list_take(&k->flushing);

	k->stage = FLUSH_IDLE;
	finish_list(list, error);
	thaw(d);
	start_flush(d);
}

/* See disk_submit(): nobody knows what is on the disk. */
static void poison(struct disk *d, int error)
{
	struct qcow2_disk *k = qcow2_disk(d);
	struct disk_request *list = request_list_take(&k->flushing);

	d->is_poisoned = true;
	qcow2_freeze(top_of(d));
	k->stage = FLUSH_IDLE;
	finish_list(list, error);
	finish_list(request_list_take(&k->to_flush), -EIO);
	thaw(d);
}

static void finish(struct disk *d)
{
	struct qcow2_disk *k = qcow2_disk(d);
	struct disk_request *list = request_list_take(&k->flushing);

	k->stage = FLUSH_IDLE;
	d->synced = d->syncing_changes;
	qcow2_settle(top_of(d)); /* damage it finds is remembered there */
	finish_list(list, 0);
	start_flush(d);
}

static void advance(struct disk *d);

static void synced(struct io *io, int error)
{
	struct disk *d = IO_OWNER(io, struct disk, sync);

	if (qcow2_is_poisoned(d) || error)
		poison(d, error ? error : -EIO);
	else
		advance(d);
}

static void sync_all(struct disk *d)
{
	d->sync.op = IO_SYNC;
	d->sync.fd = d->fd;
	d->sync.done = synced;
	ioq_submit(d->q, &d->sync);
}

/* Goes to the next stage, which a sync ends where it wrote something. */
static void advance(struct disk *d)
{
	struct qcow2_disk *k = qcow2_disk(d);
	int r = 0;

	switch (k->stage) {
	case FLUSH_IDLE:
	case FLUSH_BLOCKS:
		/* More of them may have come with the writes meanwhile: the
		 * table that names them is written next. */
		k->stage = FLUSH_BLOCKS;
		r = qcow2_write_new_blocks(top_of(d));
		if (r)
			break;
		k->stage = FLUSH_COUNTS;
		r = qcow2_write_counts(top_of(d));
		r = r < 0 ? r : 1; /* data is always synced */
		break;
	case FLUSH_COUNTS:
		k->stage = FLUSH_POINTERS;
		r = qcow2_write_pointers(top_of(d));
		if (r >= 0)
			thaw(d);
		break;
	case FLUSH_POINTERS:
		break;
	}
	/* Another sync may have got the error that was this one's. */
	if (qcow2_is_poisoned(d))
		poison(d, r < 0 ? r : -EIO);
	else if (r < 0)
		give_up(d, r);
	else if (r)
		sync_all(d);
	else
		finish(d);
}

static void start_flush(struct disk *d)
{
	struct qcow2_disk *k = qcow2_disk(d);
	int r;

	if (k->stage != FLUSH_IDLE || !k->to_flush.first)
		return;
	k->flushing = k->to_flush;
	request_list_init(&k->to_flush);
	d->syncing_changes = d->changes;
	r = disk_sync_name(d);
	if (r)
		poison(d, r);
	else
		advance(d);
}

void qcow2_disk_flush(struct disk *d, struct disk_request *r)
{
	struct qcow2_disk *k = qcow2_disk(d);

	if (qcow2_is_poisoned(d)) {
		disk_conclude(d, r, -EIO);
		return;
	}
	if (d->synced == d->changes && !qcow2_is_dirty(top_of(d))) {
		disk_conclude(d, r, 0);
		return;
	}
	request_list_add(&k->to_flush, r);
	start_flush(d);
}
