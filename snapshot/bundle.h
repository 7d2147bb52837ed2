/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot as one stream: a tar archive that people can look into.
 *
 *   meta.json       what it is
 *   config          config.json, as it was
 *   vmstate         full and memory: vCPUs and devices
 *   memory          full and memory: sparse, the offset is the address
 *   disk-ID.qcow2   full and disk: each disk as one image that stands alone
 *   checksums       of each file before: CRC-32, bytes, name
 *
 * In this order, nothing else. A stream that is read is hostile. One thread
 * at a time; they block.
 */
#ifndef AMBER_SNAPSHOT_BUNDLE_H
#define AMBER_SNAPSHOT_BUNDLE_H

#include "base/tar.h"
#include "snapshot/meta.h"

enum bundle_part {
	BUNDLE_META,
	BUNDLE_CONFIG,
	BUNDLE_STATE,
	BUNDLE_MEMORY,
	BUNDLE_DISK,
	BUNDLE_SUMS
};

#define BUNDLE_SUMS_BYTES (8u << 10)

/* The name of a member; disk: its ID, for BUNDLE_DISK. Returns name. */
const char *bundle_name(enum bundle_part part, const char *disk,
			char name[TAR_NAME_MAX + 1]);

/* Has a snapshot that part; disk: its place in meta, for BUNDLE_DISK. */
bool bundle_has(const struct snapshot_meta *m, enum bundle_part part,
		unsigned int disk);

/* The CRC-32 of a file whose pieces come in order, zeroes between them. */
struct bundle_crc {
	uint32_t crc;
	uint64_t at; /* how far it reaches */
};

void bundle_crc_begin(struct bundle_crc *c);
void bundle_crc_add(struct bundle_crc *c, uint64_t at, const void *bytes,
		    size_t n);

/* --- writing --------------------------------------------------------- */

struct bundle_writer {
	int fd; /* borrowed: may be a pipe */
	uint64_t changed_s;
	struct buf sums;
	uint64_t written;      /* bytes, of data */
	struct bundle_crc crc; /* of the file that is being written */
};

void bundle_begin(struct bundle_writer *w, int fd, uint64_t changed_s);
void bundle_fini(struct bundle_writer *w);

int bundle_put_bytes(struct bundle_writer *w, const char *name,
		     const void *bytes, size_t len, struct err *e);
/* All of an open file, from its start; without its holes. */
int bundle_put_file(struct bundle_writer *w, const char *name, int fd,
		    struct err *e);
int bundle_put_sparse(struct bundle_writer *w, const char *name, int fd,
		      struct err *e);
/* Checksums and the end. */
int bundle_put_end(struct bundle_writer *w, struct err *e);

/* --- reading --------------------------------------------------------- */

/* Who takes what is read. Errors end the reading and are passed on. */
struct bundle_sink {
	/* bytes: of the file. meta is complete from BUNDLE_CONFIG on. */
	int (*begin)(void *ctx, enum bundle_part part, unsigned int disk,
		     uint64_t bytes, struct err *e);
	/* Pieces in order; what is between them is zeroes. */
	int (*data)(void *ctx, uint64_t at, const void *bytes, size_t n,
		    struct err *e);
	int (*end)(void *ctx, struct err *e);
	void *ctx;
};

/*
 * Reads a whole stream. Sizes are bounded: by this file's limits, an
 * image by its disk; memory is as large as meta.json says. *meta is filled from
 * the first member; snapshot_meta_fini() in each case. 0 means that it was all
 * there, with the right checksums. Errors: -EBADMSG (says what is wrong), the
 * source's, the sink's.
 */
int bundle_read(const struct tar_source *source, const struct bundle_sink *sink,
		struct snapshot_meta *meta, struct err *e);

#endif
