/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tools do with an open disk of any format, blocking and without a
 * queue. The opener's thread, before disk_attach() or with nothing in flight.
 */
#ifndef AMBER_DISK_DISK_TOOL_H
#define AMBER_DISK_DISK_TOOL_H

#include "disk/disk.h"

struct disk_place {
	uint64_t bytes;	    /* from the asked place on */
	unsigned int layer; /* that has it; 0: the image itself */
	bool is_there;	    /* a layer says something about it */
	bool is_zero;	    /* it reads as zeroes */
	bool is_packed;	    /* compressed */
	bool has_offset;
	uint64_t offset; /* in that layer's file */
};

/* What is at guest, at most bytes of it. Errors: -EIO... */
int disk_look(struct disk *d, uint64_t guest, uint64_t bytes,
	      struct disk_place *out);
/* Reads n bytes at guest; behind the end are zeroes. */
int disk_peek(struct disk *d, void *out, uint64_t n, uint64_t guest);

/* r, of something with d: where it is the image's own fault e says that. */
int disk_explain(const struct disk *d, int r, struct err *e);

/* Layers: 1, and more with backing files. */
unsigned int disk_layers(const struct disk *d);
const char *disk_layer_path(const struct disk *d, unsigned int layer);
/* A qcow2 image's tables, of one layer; NULL: it is raw. */
struct qcow2;
struct qcow2 *disk_layer_qcow2(const struct disk *d, unsigned int layer);
/* The format of a layer, and the bytes its file takes up. */
enum disk_format disk_layer_format(const struct disk *d, unsigned int layer);
uint64_t disk_layer_bytes(const struct disk *d, unsigned int layer);
uint64_t disk_layer_taken(const struct disk *d, unsigned int layer);

/*
 * Changes the size of the disk. Shrinking loses what is behind the new end;
 * what comes by growing reads as zeroes. q: a queue the disk is attached to.
 * Errors: -EINVAL (no multiple of 512, snapshots), -ENOSPC, -EFBIG.
 */
int disk_resize(struct disk *d, struct ioq *q, uint64_t bytes, struct err *e);

#endif
