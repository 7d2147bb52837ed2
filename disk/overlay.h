/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new layer on a disk at work: what it showed until now is frozen, what is
 * written from now on goes into an image of its own. Made ready while
 * requests run, put in place in constant time when none does.
 *
 *   overlay_prepare()   the empty image, whole and on the disk
 *   overlay_push()      flush, fsync, 0444; the image becomes the top
 *   overlay_close()     what was not pushed is gone
 */
#ifndef AMBER_DISK_OVERLAY_H
#define AMBER_DISK_OVERLAY_H

#include "disk/disk.h"
#include "disk/qcow2_create.h"

struct overlay;

/*
 * Makes the image at path, which must not exist: as large as the disk, which
 * it names as its backing file (by the last part of its name, where both are
 * in one directory). options: NULL, or other than overlay_defaults; size and
 * backing file are set here. Any thread, while nobody pushes a layer on d. It
 * blocks.
 * Errors: -EEXIST, -EROFS (d is read-only), those of writing.
 */
int overlay_prepare(struct overlay **out, struct disk *d, const char *path,
		    const struct qcow2_options *options, struct err *e);

/* Version 3, clusters of 64 KiB with subclusters of 2 KiB. */
extern const struct qcow2_options overlay_defaults;

/*
 * Makes it the top of d. Nothing is in flight (disk_hold()), nobody reads
 * disk_get_info() meanwhile: a raw disk becomes a qcow2 one. The queue's
 * thread; it blocks for a flush. On an error d is as it was, unless a sync
 * failed: that poisons it. Errors: -EIO (poisoned, damaged), -EBUSY (a job
 * is at work on the top), -ELOOP (too deep), -EINVAL (larger units of direct
 * I/O than those the guest was told), those of writing.
 */
int overlay_push(struct overlay *o, struct disk *d, struct err *e);

/* Unless it was pushed, the image is removed. NULL is fine. */
void overlay_close(struct overlay *o);

#endif
