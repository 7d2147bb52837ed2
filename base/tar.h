/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar archives of plain files, as POSIX has them (ustar, pax), with sparse
 * files as GNU tar has them (format 1.0): written, and what was written read
 * again; anything else is refused. The content is hostile when it is read. No
 * state; any thread.
 *
 * The data of a sparse member begins with its map; see tar_put_map().
 */
#ifndef AMBER_BASE_TAR_H
#define AMBER_BASE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TAR_BLOCK	512
#define TAR_NAME_MAX	79	   /* characters: with what is put before */
#define TAR_EXTENTS_MAX (1u << 16) /* of a sparse member */
#define TAR_MAP_BYTES	(3u << 20) /* more than such a map can have */

struct tar_member {
	char name[TAR_NAME_MAX + 1]; /* no slash */
	uint64_t bytes;		     /* of its data in the archive */
	bool is_sparse;
	uint64_t real_bytes; /* of the file; as bytes unless it is sparse */
	uint64_t changed_s;  /* since the epoch */
};

/* Of a sparse file; all else of it is zeroes. */
struct tar_extent {
	uint64_t at, bytes;
};

/* Data is followed by zeroes up to the next block. */
static inline uint64_t tar_padding(uint64_t bytes)
{
	return -bytes & (TAR_BLOCK - 1);
}

/* Appends the blocks before the data. Returns out's error. */
int tar_put_header(struct buf *out, const struct tar_member *m);
/* Appends the map, whole blocks: extents in order, apart, count of them. */
int tar_put_map(struct buf *out, const struct tar_extent *x, size_t count,
		uint64_t real_bytes);
/* Appends the end of an archive. */
int tar_put_end(struct buf *out);

/* Where an archive comes from: all n bytes, or -ENODATA (its end), -EIO... */
struct tar_source {
	int (*read)(void *ctx, void *to, size_t n);
	void *ctx;
};

/* r, a source's error, with its text; -EBADMSG at the source's end. */
int tar_source_failed(int r, struct err *e);

/*
 * Reads up to the data of the next member. 1: *out is it; 0: the archive ends
 * here. Errors: -EBADMSG (no such archive, damaged; e says what), the
 * source's.
 */
int tar_read_header(const struct tar_source *source, struct tar_member *out,
		    struct err *e);
/*
 * Reads the map of a sparse member, whose extents are within it, in order and
 * apart, and as many bytes together as follow the map. *out is the caller's
 * to free. Errors: -EBADMSG, -ENOMEM, the source's. map: the bytes are
 * appended, for a checksum.
 */
int tar_read_map(const struct tar_source *source, const struct tar_member *m,
		 struct buf *map, struct tar_extent **out, size_t *count,
		 struct err *e);

#endif
