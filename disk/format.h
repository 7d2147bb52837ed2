/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between an open disk (disk/disk.c) and its format: disk.c opens, locks,
 * checks ranges and keeps the poison rule; a format turns requests into
 * operations on files. Private to disk/.
 */
#ifndef AMBER_DISK_FORMAT_H
#define AMBER_DISK_FORMAT_H

#include "disk/disk.h"

struct disk_ops {
	/*
	 * fd is open, of the right kind and locked; info.bytes is the file's
	 * size. Sets the rest of info. What it leaves behind on an error
	 * close() takes away.
	 */
	int (*open)(struct disk *d, struct err *e);
	void (*close)(struct disk *d);
	/* disk_damage(); may be NULL. */
	const char *(*damage)(const struct disk *d);
	/* disk_verified(), of a disk that was poisoned; may be NULL. */
	void (*verified)(struct disk *d);
	/* The range and the state of the disk have been checked. */
	void (*submit)(struct disk *d, struct disk_request *r);
};

/* Of a file: data, or a hole. */
struct disk_run {
	int fd; /* 0: none */
	uint64_t from, to;
	bool is_zero;
};

/*
 * One at a time; it knows the layers by their numbers. UNSURE: one has failed
 * when a header was written.
 */
enum disk_job { DISK_IDLE, DISK_STREAMS, DISK_MERGES, DISK_UNSURE };

struct disk {
	const struct disk_ops *ops;
	const struct file_ops *files;	  /* borrowed; for metadata */
	const char *const *allow_backing; /* borrowed, while it is opened */
	const char *snapshot;		  /* borrowed, too */
	bool is_alone;
	struct disk_info info;
	char *path;  /* owned */
	int fd;	     /* owned; the top layer */
	int name_fd; /* owned: a directory to be synced with it; -1: none */
	bool is_block_device;
	struct disk_run looked; /* disk_look() of a disk that nobody writes */
	bool is_lent;		/* the locks are somebody else's */
	bool is_poisoned;
	struct ioq *q; /* borrowed from the thread that submits */
	void *host;    /* owned by the format */

	/* Direct I/O: memory, and offsets and lengths. Else 1 and 1. */
	uint32_t memory_align, offset_align;

	/*
	 * One fdatasync is in flight at a time: the kernel reports a lost
	 * write to one of two that run together, so that the other's success
	 * would be a false one. What comes meanwhile shares the next one.
	 */
	struct io sync;
	struct disk_request *syncing, *to_sync; /* through next */
	/*
	 * Changes that are done, and how many of them the last good sync
	 * covers (the one under way will): nothing is synced twice. What
	 * somebody left unsynced before the image was opened is one, too.
	 */
	uint64_t changes, synced, syncing_changes;

	unsigned int in_flight;
	enum disk_job job;

	/* The first hold is the one that was asked, and may be the one that
	 * has it. */
	struct disk_hold *holds; /* through next */
	bool is_quiet;		 /* the first one has been told, or soon is */
	struct io quiet;
	struct disk_request *held, **held_end; /* they wait, through next */
};

/* The disk's name is on stable storage like what is flushed to it. Blocks. */
int disk_sync_name(struct disk *d);

/* May a job on layers begin? -EBUSY, -EIO, and why not. */
int disk_check_job(const struct disk *d, struct err *e);

extern const struct disk_ops raw_ops, qcow2_ops;

/*
 * What direct I/O needs of memory and offsets, into memory_align,
 * offset_align and info.logical_bytes; without it 1, 1 and a sector.
 */
int disk_find_units(struct disk *d, struct err *e);
/* The memory of r fits direct I/O, if that is what d does. */
bool disk_is_aligned(const struct disk *d, const struct disk_request *r);

/* Something may have become quiet that somebody waits for. */
void disk_look_quiet(struct disk *d);
/* Ends r now: only from inside ioq_run(). */
void disk_finish(struct disk_request *r, int error);
/* Ends r in the next ioq_run(). */
void disk_conclude(struct disk *d, struct disk_request *r, int error);
/* A change was made, perhaps in part: before it is acknowledged. */
static inline void disk_changed(struct disk *d)
{
	d->changes++;
}
/* Makes all durable that is done, then ends r. */
void disk_sync(struct disk *d, struct disk_request *r);

#endif
