/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others want done to the disk of a quiet block device: they wait while
 * its thread does it. One order at a time.
 */
#include <stddef.h>
#include <string.h>

#include "devices/vblk_private.h"

#define OWNER(p, member) \
	((struct vblk *)(void *)((char *)(p)-offsetof(struct vblk, member)))

/* --- on the disk's thread -------------------------------------------- */

void vblk_end_orders(struct virtio *v)
{
	struct vblk *b = (struct vblk *)v;

	pthread_cond_broadcast(&b->host.order.changed);
}

static void end_order(struct virtio *v, const struct err *e) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	b->host.order.error = *e;
	b->host.order.is_over = true;
	vblk_end_orders(v);
}

static void on_flushed(struct disk_request *r, int error)
{
	struct vblk *b = OWNER(r, host.order.flush);
	struct virtio *v = &b->virtio;
	struct err e = ERR_NONE;

	if (error)
		err_sys(&e, error, "%s: flush", v->cfg.id);
	lock_take(&v->lock);
	end_order(v, &e);
	lock_release(&v->lock);
}

/* What is known of the disk may have changed. */
static void note(struct virtio *v, bool is_rewound) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	vblk_note_disk(b);
	atomic_store(&b->counters.is_poisoned, disk_is_poisoned(b->cfg.disk));
	if (is_rewound)
		vblk_drop_held(v);
}

static int carry_out(const struct vblk *b, struct err *e)
{
	struct overlay *o = b->host.order.overlay;
	struct disk *d = b->cfg.disk;

	switch (b->host.order.what) {
	case VBLK_ORDER_REWIND:
		return overlay_rewind(o, d, e);
	case VBLK_ORDER_MAY_REWIND:
		return overlay_may_rewind(o, d, e);
	default:
		return overlay_push(o, d, e);
	}
}

static void on_quiet(struct disk_hold *h)
{
	struct vblk *b = OWNER(h, host.order.hold);
	bool is_rewind = b->host.order.what == VBLK_ORDER_REWIND;
	struct virtio *v = &b->virtio;
	struct err e = ERR_NONE;
	int r = carry_out(b, &e);

	disk_let_go(b->cfg.disk, h);
	lock_take(&v->lock);
	note(v, is_rewind && !r);
	end_order(v, &e);
	lock_release(&v->lock);
}

void vblk_look_for_order(struct vblk *b)
{
	if (!atomic_load(&b->host.order.is_wanted))
		return;
	if (vblk_merges(b)) { /* it is looked for again when that is over */
		atomic_store(&b->host.merge.is_cancelled, true);
		vblk_look_for_merge(b);
	}
	if (vblk_merges(b))
		return;
	atomic_store(&b->host.order.is_wanted, false);
	if (b->host.order.what != VBLK_ORDER_FLUSH) {
		b->host.order.hold.quiet = on_quiet;
		disk_hold(b->cfg.disk, &b->host.order.hold);
		return;
	}
	b->host.order.flush =
		(struct disk_request){ .op = DISK_FLUSH, .done = on_flushed };
	disk_submit(b->cfg.disk, &b->host.order.flush);
}

/* --- on any other one ------------------------------------------------ */

static int wait_locked(struct virtio *v, struct err *e) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	const struct err *error = &b->host.order.error;

	while (!b->host.order.is_over && !b->host.is_dead)
		pthread_cond_wait(&b->host.order.changed, &v->lock.mutex);
	if (!b->host.order.is_over)
		return err_set(e, -EIO, "%s: its thread has ended", v->cfg.id);
	if (e && error->code)
		*e = *error;
	return error->code;
}

static int order(struct vblk *b, enum vblk_order what, struct overlay *o,
		 struct err *e)
{
	struct virtio *v = &b->virtio;
	int r;

	lock_take(&v->lock);
	b->host.order.what = what;
	b->host.order.overlay = o;
	b->host.order.is_over = false;
	b->host.order.error = (struct err)ERR_NONE;
	lock_release(&v->lock);
	atomic_store(&b->host.order.is_wanted, true);
	vblk_wake(b);
	lock_take(&v->lock);
	r = wait_locked(v, e);
	lock_release(&v->lock);
	return r;
}

/* The second one has what became free by the first. */
int vblk_flush(struct vblk *b, struct err *e)
{
	int r = order(b, VBLK_ORDER_FLUSH, NULL, e);

	return r ? r : order(b, VBLK_ORDER_FLUSH, NULL, e);
}

int vblk_push_layer(struct vblk *b, struct overlay *o, struct err *e)
{
	return order(b, VBLK_ORDER_PUSH, o, e);
}

int vblk_may_rewind_layer(struct vblk *b, struct overlay *o, struct err *e)
{
	return order(b, VBLK_ORDER_MAY_REWIND, o, e);
}

int vblk_rewind_layer(struct vblk *b, struct overlay *o, struct err *e)
{
	return order(b, VBLK_ORDER_REWIND, o, e);
}
