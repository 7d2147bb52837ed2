/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a qcow2 image: from bytes to checked values, and bytes for a
 * new image. Pure; any thread. Source: qcow2.rst [Header].
 */
#ifndef AMBER_DISK_QCOW2_HEADER_H
#define AMBER_DISK_QCOW2_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "disk/qcow2_spec.h"

struct qcow2_header {
	uint32_t version;
	uint32_t cluster_bits;
	uint64_t bytes;	    /* of the virtual disk */
	uint64_t l1_offset; /* in the file, in bytes */
	uint32_t l1_entries;
	uint64_t rt_offset; /* the refcount table */
	uint32_t rt_clusters;
	uint32_t snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order; /* a refcount has 1 << order bits */
	uint32_t header_bytes;
	uint32_t compression;		     /* QCOW2_COMPRESSION_* */
	char backing[QCOW2_BACKING_MAX + 1]; /* as written; "": none */
	char backing_format[16];	     /* "": not said */
	/* The bitmap directory; valid if autoclear says so; 0 bytes: none. */
	uint64_t bitmaps_offset, bitmaps_bytes;
	uint32_t bitmaps;
};

/*
 * Reads the first n bytes of an image: at least its first cluster, or all of
 * a shorter file. file_bytes: of the whole file, which every table must lie
 * in. Errors: -EINVAL (no qcow2, a value out of its range), -ENOTSUP (a
 * feature that amber has not, by its name); the text begins with path.
 */
int qcow2_header_parse(struct qcow2_header *h, const uint8_t *bytes, size_t n,
		       uint64_t file_bytes, const char *path, struct err *e);

/*
 * Writes header, extensions and backing name into out, which has n bytes (a
 * cluster) and is zero. -ENOSPC: they don't fit. header_bytes is ignored.
 */
int qcow2_header_encode(const struct qcow2_header *h, uint8_t *out, size_t n,
			struct err *e);

/* How many L1 entries a disk of this size needs. */
uint64_t qcow2_l1_needed(uint64_t bytes, uint32_t cluster_bits, bool extended);

static inline bool qcow2_is_extended(const struct qcow2_header *h)
{
	return h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2;
}

#endif
