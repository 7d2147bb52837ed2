/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that go into the one before them, while a guest uses the disk. Jobs
 * of the disk's queue: requests of their own between the guest's, so that
 * nothing waits for them but the last step. Until that step the disk shows
 * what it showed, through the same layers: killed at any moment it is whole,
 * and beginning again finishes it. One that fails while it writes a header
 * leaves the open disk as it was, and no other is begun until it is opened
 * anew. The queue's thread.
 */
#ifndef AMBER_DISK_STREAM_H
#define AMBER_DISK_STREAM_H

#include <sys/types.h>

#include "disk/disk.h"

#define STREAM_REQUESTS 4

/*
 * Layers 1..last go into the top, whose backing file is the one behind them
 * then. Set by the owner, unchanged until over().
 */
struct stream {
	struct disk *disk;
	unsigned int last;
	/* Once, from ioq_run(). error 0: done; -ECANCELED; else err's text. */
	void (*over)(struct stream *s, int error);

	/* results, also while it runs: bytes of the disk */
	uint64_t done, bytes;
	struct err err;

	/* its own */
	struct stream_request {
		struct disk_request r;
		struct stream *owner;
	} request[STREAM_REQUESTS];
	unsigned int under_way;
	bool is_cancelled;
	uint64_t at;
	struct disk_hold hold;
	struct io conclusion;
};

/* Errors: -EINVAL (no such layers, internal snapshots), -EROFS, -EBUSY. */
int stream_start(struct stream *s, struct err *e);
void stream_cancel(struct stream *s);

/*
 * What is behind `layer`, which is frozen and not the top, goes into it: one
 * layer less. It must be used by no other process. Set by the owner.
 */
struct merge {
	struct disk *disk;
	unsigned int layer;
	void (*over)(struct merge *m, int error);

	/* The results are the stream's. Its own: */
	struct stream stream;
	struct disk *into; /* owned: the layer, to be written */
	dev_t device;
	ino_t inode;
	struct disk_hold hold;
	int error;
	bool is_renamed; /* the layer names another backing file, perhaps */
	struct io conclusion;
};

/* Errors: as above, and those of opening the layer to write. */
int merge_start(struct merge *m, struct err *e);
void merge_cancel(struct merge *m);

/* The number of the layer behind the top that is this file; 0: none is. */
unsigned int disk_find_layer(const struct disk *d, dev_t device, ino_t inode);

/*
 * Opens the file that is open in `frozen`, and that nobody may write to, to
 * be written: by its owner. A descriptor. Not locked.
 */
int frozen_open(int frozen, const char *path, struct err *e);

#endif
