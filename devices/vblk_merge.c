/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of the disk that become one while the guest uses it: a job of the
 * disk's queue, begun and ended on its thread. INV-1: state goes from NONE to
 * WANTED on any thread, everything else is its own thread's.
 */
#include <errno.h>
#include <stddef.h>

#include "devices/vblk_private.h"

#define OWNER(p, member) \
	((struct vblk *)(void *)((char *)(p)-offsetof(struct vblk, member)))

/* --- the end --------------------------------------------------------- */

static void tell(struct vblk *b, const struct err *e)
{
	struct vblk_merge what = b->host.merge.what;

	atomic_store(&b->counters.merge_done, 0);
	atomic_store(&b->counters.merge_bytes, 0);
	atomic_store(&b->counters.is_poisoned, disk_is_poisoned(b->cfg.disk));
	atomic_store(&b->host.merge.state, MERGE_NONE);
	what.over(what.ctx, e);
}

void vblk_end_merge(struct vblk *b, int error, const char *text)
{
	struct err e = ERR_NONE;

	if (!vblk_merges(b))
		return;
	err_set(&e, error, "%s", text);
	tell(b, &e);
}

static void end(struct vblk *b, const struct stream *s, int error)
{
	struct err e = ERR_NONE;

	if (error)
		err_set(&e, error, "%s", s->err.text);
	tell(b, &e);
}

static void streamed(struct stream *s, int error)
{
	end(OWNER(s, host.merge.stream), s, error);
}

static void merged(struct merge *m, int error)
{
	end(OWNER(m, host.merge.merge), &m->stream, error);
}

/* --- the beginning --------------------------------------------------- */

static int start(struct vblk *b, struct err *e)
{
	const struct vblk_merge *what = &b->host.merge.what;
	unsigned int layer =
		disk_find_layer(b->cfg.disk, what->device, what->inode);
	struct stream *s = &b->host.merge.stream;
	struct merge *m = &b->host.merge.merge;

	if (!layer)
		return err_set(e, -ESTALE, "%s does not stand on that layer",
			       disk_path(b->cfg.disk));
	b->host.merge.is_stream = layer == 1;
	if (layer == 1) {
		*s = (struct stream){ .disk = b->cfg.disk,
				      .last = 1,
				      .over = streamed };
		return stream_start(s, e);
	}
	*m = (struct merge){ .disk = b->cfg.disk,
			     .layer = layer - 1,
			     .over = merged };
	return merge_start(m, e);
}

static void begin(struct vblk *b)
{
	struct err e = ERR_NONE;

	atomic_store(&b->host.merge.state, MERGE_RUNS);
	if (start(b, &e))
		tell(b, &e);
}

static void watch(struct vblk *b)
{
	const struct stream *s = b->host.merge.is_stream
					 ? &b->host.merge.stream
					 : &b->host.merge.merge.stream;

	atomic_store(&b->counters.merge_done, s->done);
	atomic_store(&b->counters.merge_bytes, s->bytes);
	if (!atomic_load(&b->host.merge.is_cancelled))
		return;
	if (b->host.merge.is_stream)
		stream_cancel(&b->host.merge.stream);
	else
		merge_cancel(&b->host.merge.merge);
}

void vblk_look_for_merge(struct vblk *b)
{
	if (!vblk_merges(b))
		return;
	if (atomic_load(&b->host.is_stopping))
		atomic_store(&b->host.merge.is_cancelled, true);
	if (atomic_load(&b->host.merge.state) == MERGE_RUNS)
		watch(b);
	else if (atomic_load(&b->host.merge.is_cancelled))
		vblk_end_merge(b, -ECANCELED, "cancelled");
	else
		begin(b);
}

/* --- on any other thread --------------------------------------------- */

int vblk_begin_merge(struct vblk *b, const struct vblk_merge *merge,
		     struct err *e)
{
	struct virtio *v = &b->virtio;
	int r = 0;

	lock_take(&v->lock);
	if (b->host.is_dead)
		r = err_set(e, -EIO, "%s: its thread has ended", v->cfg.id);
	else if (vblk_merges(b))
		r = err_set(e, -EBUSY, "%s: layers are being merged already",
			    v->cfg.id);
	if (!r) {
		b->host.merge.what = *merge;
		atomic_store(&b->host.merge.is_cancelled, false);
		atomic_store(&b->host.merge.state, MERGE_WANTED);
	}
	lock_release(&v->lock);
	if (!r)
		vblk_wake(b);
	return r;
}

void vblk_cancel_merge(struct vblk *b)
{
	atomic_store(&b->host.merge.is_cancelled, true);
	vblk_wake(b);
}
