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

/* What qemu-img create makes without options: version 3, 64 KiB, 16 bits. */
extern const struct qcow2_options qcow2_defaults;

/*
 * Writes the tables of an empty image into fd, an empty file. Not synced.
 * Errors: -EINVAL (an option; the text says which and its range), those of
 * writing.
 */
int qcow2_create(int fd, const struct qcow2_options *options,
		 const struct file_ops *files, struct err *e);

#endif
