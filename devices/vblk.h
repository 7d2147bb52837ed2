/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device (VIRTIO 1.2, 5.2) over an open disk. It has a thread of
 * its own with a queue of file operations, so that slow storage stops
 * neither the control socket nor another disk. When the host fails, policy
 * decides: the VM pauses with the request held, or is stopped, or the guest
 * is told.
 */
#ifndef AMBER_DEVICES_VBLK_H
#define AMBER_DEVICES_VBLK_H

#include "base/err.h"
#include "devices/virtio.h"
#include "disk/disk.h"
#include "disk/overlay.h"

#define VBLK_SERIAL_MAX 20 /* bytes of the id (5.2.6) */
#define VBLK_QUEUES_MAX 8
#define VBLK_HISTOGRAM	24 /* bucket n: below 2^n microseconds */

struct vblk;

enum vblk_on_error { VBLK_PAUSE, VBLK_REPORT, VBLK_STOP };

struct vblk_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct disk *disk;	     /* owned from a successful create on */
	char serial[VBLK_SERIAL_MAX + 1];
	unsigned int queues; /* 1..VBLK_QUEUES_MAX */
	enum vblk_on_error on_error;
	uint64_t bytes_per_s, ops_per_s; /* 0: no limit */
	enum ioq_engine engine;
	const struct file_ops *file_ops; /* for tests; NULL: the real ones */
};

/* Errors: -ENOMEM, -EMFILE, of ioq_open(). The thread does not run yet. */
int vblk_create(struct vblk **out, const struct vblk_config *cfg,
		struct err *e);
int vblk_start(struct vblk *b, struct err *e);
/*
 * Ends the thread when nothing is in flight any more (storage that hangs
 * holds it up), closes the disk. NULL is fine.
 */
void vblk_destroy(struct vblk *b);
struct virtio *vblk_virtio(struct vblk *b);

/* Takes effect at once, also for what waits. 0: no limit. Any thread. */
void vblk_set_limits(struct vblk *b, uint64_t bytes_per_s, uint64_t ops_per_s);

/*
 * Requests that a host's failure left behind are tried again when the device
 * is resumed; not while a failed flush left the disk in doubt: accept says
 * that a person has looked at it. Loop thread; the VM is paused.
 * Errors: -EIO with the reason.
 */
int vblk_may_resume(struct vblk *b, bool accept, struct err *e);

/*
 * All that was written is on the disk, and nothing is left for its closing.
 * Waits as long as the storage takes. The device is quiet; any thread but the
 * disk's. Errors: what the flush gave; -EIO: the disk is in doubt.
 */
int vblk_flush(struct vblk *b, struct err *e);

/*
 * overlay_push() and overlay_rewind() of its disk, on the disk's own thread,
 * which waits first for what others have in flight there. As vblk_flush(), one
 * of the three at a time. The overlay stays the caller's but after a push that
 * succeeded; after a rewind it has what was thrown away.
 *
 * A rewind forgets the requests that a host's failure left behind, and that
 * failure: the device's state is to be loaded next.
 * Errors: theirs; -EIO: the disk's thread has ended.
 */
int vblk_push_layer(struct vblk *b, struct overlay *o, struct err *e);
int vblk_rewind_layer(struct vblk *b, struct overlay *o, struct err *e);
/* Would it? Where there are several, all are asked before one is changed. */
int vblk_may_rewind_layer(struct vblk *b, struct overlay *o, struct err *e);

/*
 * A layer behind the top goes into the one on it, while the guest uses the
 * disk (disk/stream.h).
 */
struct vblk_merge {
	dev_t device; /* of the layer's file */
	ino_t inode;
	/* Once, on the disk's thread or in vblk_destroy(): 0, -ECANCELED or
	 * another error and its text. Afterwards the layer is closed, if 0. */
	void (*over)(void *ctx, const struct err *e);
	void *ctx;
};

/*
 * Begins it; one at a time: -EBUSY, over() is not called then. What the three
 * above do cancels it first: a disk that was flushed for somebody is not
 * written to by it. Any thread.
 */
int vblk_begin_merge(struct vblk *b, const struct vblk_merge *merge,
		     struct err *e);
/* It ends soon. Nothing is under way: nothing happens. Any thread. */
void vblk_cancel_merge(struct vblk *b);

/* Its disk, and under which name that is open (PATH_MAX). Any thread. */
void vblk_get_disk(struct vblk *b, struct disk_info *info, char *path,
		   size_t bytes);

enum vblk_kind { VBLK_READ, VBLK_WRITE, VBLK_FLUSH, VBLK_DISCARD, VBLK_KINDS };

struct vblk_stats {
	uint64_t ops[VBLK_KINDS]; /* done, also in vain */
	uint64_t bytes[VBLK_KINDS];
	uint64_t errors;   /* the host's */
	uint64_t rejected; /* the guest's */
	uint64_t latency[VBLK_KINDS][VBLK_HISTOGRAM];
	uint64_t in_flight;
	uint64_t oldest_ns; /* CLOCK_MONOTONIC when the oldest began; 0: none */
	uint64_t held;	    /* wait for a resume */
	bool is_poisoned;
	uint64_t bytes_per_s, ops_per_s;  /* limits */
	const char *engine;		  /* static */
	uint64_t merge_done, merge_bytes; /* of a merge; 0: none under way */
};

/* At once, whatever the storage does. Any thread. */
void vblk_get_stats(struct vblk *b, struct vblk_stats *out);

#endif
