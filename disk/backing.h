/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image stands on, by its header alone: no locks are taken, nothing
 * else of it is read, so that it may be asked of images at work. What a header
 * says is a claim, and nothing behind it is opened. Any thread; it blocks.
 */
#ifndef AMBER_DISK_BACKING_H
#define AMBER_DISK_BACKING_H

#include <sys/stat.h>

#include "disk/disk.h"
#include "disk/qcow2_spec.h"

struct image_backing {
	struct stat st; /* of the image's file */
	enum disk_format format;
	bool has_snapshots;		  /* internal ones */
	char name[QCOW2_BACKING_MAX + 1]; /* as it says; "": none */
	/* Owned: the file it stands on, links resolved; NULL: none. */
	char *below;
	enum disk_format below_format;
};

/*
 * format: UNKNOWN: qcow2 when it looks like that, else raw. Only of regular
 * files and block devices anything is read. Errors: -ENOENT (also of what is
 * below), -EINVAL (another kind of file, no format said, a protocol), those of
 * the header.
 */
int image_backing_read(struct image_backing *out, const char *path,
		       enum disk_format format, struct err *e);
void image_backing_fini(struct image_backing *b);

#endif
