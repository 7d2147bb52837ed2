/* SPDX-License-Identifier: Apache-2.0 */
/* New qcow2 images. Any thread; it blocks. */
#ifndef AMBER_DISK_QCOW2_CREATE_H
#define AMBER_DISK_QCOW2_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "disk/ioq.h"

struct qcow2_options {
	uint64_t bytes;		 /* of the disk, a multiple of 512 */
	uint32_t version;	 /* 2 or 3 */
	uint32_t cluster_bits;	 /* 9..21; extended 14..21 */
	uint32_t refcount_order; /* 0..6; version 2: 4 */
	bool is_extended;	 /* L2 entries with subclusters; version 3 */
	bool is_lazy;		 /* the lazy_refcounts bit; version 3 */
	uint32_t compression;	 /* QCOW2_COMPRESSION_*; zstd: version 3 */
	const char *backing, *backing_format; /* both or neither; NULL: none */
};

/* How much of the space of a new image is its own from the start. */
enum qcow2_prealloc {
	QCOW2_PREALLOC_OFF,
	QCOW2_PREALLOC_METADATA, /* tables; the file stays sparse */
	QCOW2_PREALLOC_FALLOC,	 /* and the space of the file */
	QCOW2_PREALLOC_FULL	 /* and zeroes are written to it */
};

extern const char *const qcow2_prealloc_names[]; /* by number, up to NULL */

/* What qemu-img create makes without options: version 3, 64 KiB, 16 bits. */
extern const struct qcow2_options qcow2_defaults;

/*
 * Writes the tables of an empty image into fd, an empty file. Not synced.
 * Errors: -EINVAL (an option; the text says which and its range), those of
 * writing.
 */
int qcow2_create(int fd, const struct qcow2_options *options,
		 const struct file_ops *files, struct err *e);

/* In an image that was just created, which has no backing file. */
int qcow2_preallocate(int fd, const char *path, enum qcow2_prealloc how,
		      const struct file_ops *files, struct err *e);
/* A raw image: the file has bytes, with or without space behind them. */
int file_preallocate(int fd, uint64_t bytes, enum qcow2_prealloc how,
		     const struct file_ops *files);

#endif
