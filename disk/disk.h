/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open disk image, whatever its format. The interface that devices see
 * and that every format implements (disk/raw.c; qcow2 follows). Opened by
 * one thread, then attached to the queue of one thread, which alone submits.
 */
#ifndef AMBER_DISK_DISK_H
#define AMBER_DISK_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "disk/io.h"
#include "disk/ioq.h"

#define DISK_SECTOR_BYTES 512

enum disk_format { DISK_FORMAT_UNKNOWN, DISK_RAW, DISK_QCOW2 };

enum disk_cache {
	DISK_WRITEBACK,	   /* host's page cache; a flush makes it durable */
	DISK_WRITETHROUGH, /* host's page cache; each write is durable */
	DISK_DIRECT	   /* no page cache (O_DIRECT); a flush is needed */
};

/* In allow_backing: the directory of the image that names a backing file. */
#define DISK_BESIDE ""

struct disk_config {
	const char *path;
	/* DISK_FORMAT_UNKNOWN: qcow2 when the path ends in ".qcow2", else raw,
	 * unless the file looks like another format: then the open is refused
	 * and the text says what to add. */
	enum disk_format format;
	enum disk_cache cache;
	bool read_only;
	/* Directories that backing files may be in, up to NULL, DISK_BESIDE
	 * among them; NULL: only that. Borrowed for the call. */
	const char *const *allow_backing;
	const struct file_ops *files; /* for metadata; NULL: file_ops_real */
	/* Without its backing files, as if there were none: for tools that
	 * look at the image itself. */
	bool is_alone;
	/* The id or name of an internal snapshot, whose disk is shown; NULL:
	 * the present one. qcow2, read-only. Borrowed for the call. */
	const char *snapshot;
	/* Above 0: the file is this open one, through a duplicate; the caller
	 * has its locks, and path is only its name. Borrowed for the call. */
	int locked_fd;
};

/* What a device tells the guest about it. Fixed while it is open. */
struct disk_info {
	uint64_t bytes; /* a multiple of DISK_SECTOR_BYTES */
	enum disk_format format;
	enum disk_cache cache;
	bool read_only;
	uint32_t logical_bytes;	 /* smallest unit of a request: 512 or 4096 */
	uint32_t physical_bytes; /* writes of less may have to read first */
	bool can_discard;
	uint32_t discard_bytes; /* granularity */
};

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* makes durable what was done before it was submitted */
	DISK_DISCARD, /* a hint: done, too, where nothing can be given back */
	DISK_ZERO,
	/* qcow2: what layers 1..pull_to show is copied into the top, where it
	 * has nothing. No guest's: for disk/stream.h. */
	DISK_PULL
};

struct disk_request;

/* A format's: the part of a request that is on its way. */
struct disk_part {
	uint64_t bytes;	      /* of the request */
	uint64_t guest;	      /* first cluster that is written anew, in bytes */
	uint64_t host;	      /* and where it goes */
	uint64_t count;	      /* such clusters; 0: none */
	uint64_t from, to;    /* whole units, with what is around the part */
	uint64_t filled;      /* from there to here they are in memory */
	uint32_t unit, units; /* that hold data when it is done */
	bool reuses;	      /* the cluster was there, without data */
	bool is_zeroes;	      /* zeroes are written */
	bool is_pull;	      /* what the chain shows is written */
	unsigned int fetches; /* for it, one after the other */
	uint64_t age;	      /* disk/qcow2.h */
	struct disk_request *older, *newer; /* under way */
	struct disk_request *next_alloc;
};

/*
 * One request. Embed it in its owner. Set by the submitter, unchanged until
 * done(); iov and its memory are borrowed until then.
 */
struct disk_request {
	enum disk_op op;
	uint64_t offset, bytes; /* multiples of logical_bytes, inside */
	const struct iovec *iov;
	unsigned int iovs;
	bool durable;	/* DISK_WRITE, DISK_ZERO: on stable storage when done */
	bool may_unmap; /* DISK_ZERO: space may be given back */
	unsigned int pull_to; /* DISK_PULL: the last of the layers */
	/* Once, on the queue's thread, never from disk_submit(). */
	void (*done)(struct disk_request *r, int error);

	/* the format's */
	struct io io;
	struct disk *disk;
	struct disk_request *next;
	void *bounce;	      /* owned */
	struct iovec bounced; /* the piece that is on its way */
	struct iovec fetched; /* owned; while a fetch is on its way */
	uint64_t moved;	      /* pieces before it */
	struct disk_part part;
};

struct disk;

/*
 * Opens and locks an image: a regular file or a block device; a symbolic
 * link is followed (people name disks by links), anything else is refused.
 * Errors name path and cause: -ENOENT, -EACCES, -EINVAL (kind, size, format),
 * -EBUSY ("in use by process 123 (qemu-system-x86)"), -EROFS, -ENOTSUP (a
 * format that isn't there yet).
 */
int disk_open(struct disk **out, const struct disk_config *config,
	      struct err *e);
/* Nothing may be in flight. Releases the locks. NULL is fine. */
void disk_close(struct disk *d);

const struct disk_info *disk_get_info(const struct disk *d);
const char *disk_path(const struct disk *d);

/* From now on requests run on q, and only its thread submits. */
void disk_attach(struct disk *d, struct ioq *q);

/*
 * Begins r. A range that isn't made of logical blocks inside the disk ends
 * in -EINVAL, a change of a read-only disk in -EROFS.
 *
 * A failed flush, or a failed sync of a durable write, poisons the disk:
 * nothing says what of the data written since the last good one is there, so
 * that each further write, zero, discard and flush fails with -EIO until
 * disk_verified(). Those that wait for a sync at that moment fail, too.
 */
void disk_submit(struct disk *d, struct disk_request *r);

/*
 * A moment at which nothing is in flight: requests that come from
 * disk_hold() on wait, quiet() is called from ioq_run() when those under way
 * are over, and disk_let_go() lets the ones that waited begin. One after
 * the other where several ask. Embed it in its owner. The queue's thread.
 */
struct disk_hold {
	void (*quiet)(struct disk_hold *h);
	struct disk_hold *next;
};

void disk_hold(struct disk *d, struct disk_hold *h);
void disk_let_go(struct disk *d, struct disk_hold *h);

/* The queue's thread. */
bool disk_is_poisoned(const struct disk *d);
/*
 * What was found wrong with the image, or one behind it, since it was opened:
 * "x.qcow2 is damaged: ..."; NULL: nothing. The queue's thread; valid until
 * disk_close().
 */
const char *disk_damage(const struct disk *d);
/*
 * A person has looked at the storage and takes what is there for good.
 * Nothing may be in flight.
 */
void disk_verified(struct disk *d);

/*
 * -EACCES and why: the file in fd is a frozen layer, which nobody may write
 * to, the superuser neither.
 */
int disk_check_protection(int fd, const char *path, struct err *e);

/* By their numbers, up to NULL; "" for what has no name. Constant. */
extern const char *const disk_format_names[];
extern const char *const disk_cache_names[];

/* "raw", "qcow2"; "writeback"... -1 when there is no such name. */
const char *disk_format_text(enum disk_format format);
int disk_format_parse(const char *text);
const char *disk_cache_text(enum disk_cache cache);
int disk_cache_parse(const char *text);

#endif
