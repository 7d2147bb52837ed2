/* SPDX-License-Identifier: Apache-2.0 */
/* Whole disks copied into new images, and compared. One thread; they block. */
#ifndef AMBER_DISK_CONVERT_H
#define AMBER_DISK_CONVERT_H

#include "disk/disk_tool.h"
#include "disk/qcow2_create.h"

struct convert {
	enum disk_format format;      /* of the new image */
	struct qcow2_options options; /* bytes is set from the source */
	bool compresses;	      /* DISK_QCOW2: clusters, where it pays */
	const struct file_ops *files; /* borrowed; NULL: file_ops_real */
	/* How far, 0..1000; other than 0 ends it with -ECANCELED. */
	int (*progress)(void *ctx, unsigned int permille);
	void *ctx;
};

/*
 * A new image at path, which must not exist, with what from shows. It appears
 * under its name when it is whole, and on the disk unless c->files has it
 * otherwise: nothing half-done is left behind. Errors: -EEXIST, -ECANCELED,
 * what reading and writing gives.
 */
int disk_convert(struct disk *from, const char *path, struct convert *c,
		 struct err *e);

/* The same into fd, an empty file that nobody else knows; path names it. */
int disk_convert_into(struct disk *from, int fd, const char *path,
		      struct convert *c, struct err *e);

/*
 * A new file beside its later name: invisible until publish_file(), gone if
 * that does not come, where the file system can do it.
 */
struct new_file {
	int fd;
	char *path;	 /* owned: its later name */
	char *temporary; /* owned: its present one; NULL: none */
};

int new_file_open(struct new_file *f, const char *path, struct err *e);
/* Syncs it by files, gives it its name and syncs that. -EEXIST. */
int new_file_publish(struct new_file *f, const struct file_ops *files,
		     struct err *e);
/* Closes it; what was not published is gone. */
void new_file_close(struct new_file *f);

/*
 * Compares what two disks show; the shorter one is followed by zeroes. 0: the
 * same; 1: *at is the first byte of a sector that differs.
 */
int disk_compare(struct disk *a, struct disk *b, uint64_t *at,
		 int (*progress)(void *ctx, unsigned int permille), void *ctx,
		 struct err *e);

#endif
