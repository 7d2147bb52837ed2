/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new layer on a disk at work: what it showed until now is frozen, what is
 * written from now on goes into an image of its own. Made ready while
 * requests run, put in place in constant time when none does.
 *
 *   overlay_prepare()   the empty image, whole and on the disk
 *   overlay_push()      flush, fsync, 0444; the image becomes the top
 *   overlay_close()     what was not pushed is gone
 *
 * Which of the two files has the disk's name?
 *
 *   overlay_prepare()         the old one; the new layer is named by its path
 *   overlay_prepare_under()   the new one; the old one is named anew
 *   overlay_prepare_fresh()   the new one; the old one is gone: for a rewind
 */
#ifndef AMBER_DISK_OVERLAY_H
#define AMBER_DISK_OVERLAY_H

#include "disk/disk.h"
#include "disk/qcow2_create.h"

#define OVERLAY_FROZEN 0444 /* mode of a layer that is not the top */

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

/* A disk by its names, open or not. Borrowed for the call. */
struct overlay_place {
	const char *path;  /* as the disk is opened; perhaps a link beside it */
	const char *layer; /* in the directory of that file */
	uint64_t bytes;	   /* of the disk */
	enum disk_cache cache;
	const struct file_ops *files; /* for metadata; NULL: file_ops_real */
};

/*
 * Makes an empty image beside the qcow2 image at path, under a temporary name
 * (PATH.new.XXXXXX), on the disk and locked. It has the mode of that file,
 * its owner where that is allowed, and says that it stands on `layer`, a name
 * that must not exist: overlay_push() gives it to the present file, and
 * path to the image. Needs no open disk. Any thread; it blocks.
 * Errors: -EEXIST (layer), -EINVAL (layer is in another directory, or
 * path a link to one), -ENOTSUP (path is no qcow2 image, or no regular file),
 * those of writing.
 */
int overlay_prepare_under(struct overlay **out,
			  const struct overlay_place *place, struct err *e);
/*
 * The same for overlay_rewind(): layer is there, frozen (it is made so, should
 * a kill have come in between). Nothing needs to be at path, until a rewind.
 */
int overlay_prepare_fresh(struct overlay **out,
			  const struct overlay_place *place, struct err *e);

/*
 * Makes it the top of d. Nothing is in flight (disk_hold()), nobody reads
 * disk_get_info() meanwhile: a raw disk becomes a qcow2 one. The queue's
 * thread; it blocks for a flush. On an error d is as it was, unless a sync
 * failed: that poisons it; o is to be closed. Errors: -EIO (poisoned,
 * damaged), -EBUSY (a job is at work on the top), -ELOOP (too deep), -EINVAL
 * (larger units of direct I/O than those the guest was told, another file has
 * the disk's name), those of writing.
 *
 * Of overlay_prepare_under(): the disk keeps its path, what is below has the
 * layer's. At every moment, also in a power cut, the path leads to an image
 * that shows all that was flushed. Syncs: those of the flush, the directory
 * before and after the path changes hands. A kill between two steps may leave
 * the temporary file, the layer's name on the file that has the path still
 * (it may be unlinked then), or a layer that is not 0444 yet. -ESTALE: the disk
 * has another size; -EEXIST: the layer's name is taken now; -ENOTSUP: d is raw.
 */
int overlay_push(struct overlay *o, struct disk *d, struct err *e);

/*
 * The top of d is thrown away, unflushed, with all that was written to it:
 * fresh takes its place and its path, and the disk shows the layer. Nothing is
 * in flight. The queue's thread; it does not wait for storage. A top that is
 * poisoned or damaged may go, its trouble goes with it. On an error nothing
 * has changed. Errors: -ESTALE (another layer is below the top, another
 * size), -ENOTSUP (d is raw), -EBUSY (a job is at work on the top), -EINVAL
 * (another file has the disk's name), -EROFS, those of rename().
 *
 * Not synced: until the next flush of d a power cut leaves the old top, as
 * of its last flush, or the new one; that flush syncs the directory, too.
 *
 * fresh has the files of the old top then: freeing them takes as long as
 * they are large, overlay_close() does it on any thread.
 */
int overlay_rewind(struct overlay *fresh, struct disk *d, struct err *e);
/* Its checks alone, for who has several disks to rewind. */
int overlay_may_rewind(const struct overlay *fresh, const struct disk *d,
		       struct err *e);

/*
 * Unless it was pushed, the image is removed; after a rewind, what was thrown
 * away. Not after a push that succeeded. NULL is fine.
 */
void overlay_close(struct overlay *o);

#endif
