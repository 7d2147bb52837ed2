/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as a stack of layers: the top one, and what is behind it, down to
 * one that has no backing file. Only the top is ever written. Where a place
 * is found, through however many layers, is remembered. One thread.
 */
#ifndef AMBER_DISK_CHAIN_H
#define AMBER_DISK_CHAIN_H

#include "disk/disk.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

#define CHAIN_MAX	 128	     /* layers */
#define CHAIN_TABLES_MAX (64U << 20) /* bytes of their tables, together */

#define CHAIN_TOP_CACHE	  (32U << 20) /* of L2 tables */
#define CHAIN_LAYER_CACHE (1U << 20)

struct layer {
	enum disk_format format;
	char *path;	      /* owned */
	int fd;		      /* page cache I/O; owned but for the top's */
	uint64_t bytes;	      /* of the disk that it shows */
	uint64_t table_bytes; /* counted in the chain's */
	dev_t device;
	ino_t inode;
	struct qcow2 q; /* DISK_QCOW2 */
};

struct places; /* disk/chain_places.h */

struct chain {
	const struct file_ops *files;
	const char *const *allowed; /* borrowed */
	bool is_alone;		    /* only the top */
	struct layer *layer;	    /* owned; [0] is the top */
	unsigned int depth;
	uint64_t table_bytes;
	struct places *places;	/* owned; NULL: there is one layer */
	unsigned int unit_bits; /* of places */
	/* While it is asked, looking and unpacking don't wait: -EAGAIN. */
	struct file_miss miss;
	struct {		/* the compressed cluster unpacked last */
		uint8_t *bytes; /* owned */
		uint64_t host;
		unsigned int layer;
		bool is_valid;
	} unpacked;
};

struct chain_extent {
	enum qcow2_kind kind; /* ZEROES, DATA or PACKED */
	unsigned int layer;
	uint64_t bytes;
	uint64_t host;	       /* DATA: of the place; PACKED: of the data */
	uint64_t guest;	       /* PACKED: where its cluster begins */
	uint32_t packed_bytes; /* PACKED */
};

/*
 * Opens the qcow2 image in fd and, unless is_alone, all behind it. allowed:
 * directories that backing files may be in, up to NULL; NULL: the directory of
 * the image that names them. Everything but regular files there is refused:
 * -EACCES. Other errors: -ELOOP, -EFBIG, -EINVAL (no format named), those of
 * qcow2_open().
 */
struct chain_options {
	bool read_only, is_alone;
	const char *const *allowed;
	const struct file_ops *files;
	const char *snapshot; /* what it shows, read-only; NULL: the disk */
};

int chain_open(struct chain *c, int fd, const char *path,
	       const struct chain_options *o, struct err *e);
void chain_fini(struct chain *c);

/* --- chain_change.c: nothing is in flight; on an error nothing changed - */

/* A chain of one raw layer: fd, whose bytes make the disk. */
int chain_begin_raw(struct chain *c, int fd, const char *path,
		    const struct file_ops *files, struct err *e);
/*
 * A new top: the empty image in fd, which names the present one, flushed,
 * as its backing file. Errors as chain_open().
 */
int chain_push(struct chain *c, int fd, const char *path, struct err *e);
/*
 * In two steps, the second of which can't fail: the empty image in fd, as
 * large as the disk and on the same layers, is opened, and takes the place
 * of the top. Closed by layer_close(.., true): *out where it does not come to
 * that, else *old, of which nothing is flushed. What is remembered of the
 * layers behind stays. Errors as chain_open().
 */
int chain_open_top(struct chain *c, int fd, const char *path, struct layer *out,
		   struct err *e);
void chain_replace_top(struct chain *c, const struct layer *top,
		       struct layer *old);
/* Layer i has another name now: path, which is owned from now on. */
void chain_rename(struct chain *c, unsigned int i, char *path);
/* Layers first..last, not the top, are closed: nothing names them any more. */
int chain_cut(struct chain *c, unsigned int first, unsigned int last,
	      struct err *e);
/* Opens layer i, not the top, anew: somebody added to it. */
int chain_reload(struct chain *c, unsigned int i, struct err *e);

/* What layer `from` and those behind it show at guest. */
int chain_map(struct chain *c, unsigned int from, uint64_t guest,
	      uint64_t bytes, struct chain_extent *out);
/* Copies what they show; blocks. */
int chain_read(struct chain *c, unsigned int from, void *out, uint64_t bytes,
	       uint64_t guest);
/* The cluster of a PACKED extent, unpacked; until the next call. */
int chain_unpack(struct chain *c, const struct chain_extent *x,
		 const uint8_t **out);

/* --- inside ---------------------------------------------------------- */
/* may_be_device: the top may; what an image names may not. */
int layer_note_file(struct layer *l, bool may_be_device, struct err *e);
int layer_open(struct chain *c, struct layer *l, enum qcow2_mode mode,
	       struct err *e);
void layer_close(struct layer *l, bool is_top);
/* For the n layers behind a top; *out NULL: there are none. */
int chain_make_places(const struct layer *behind, unsigned int n,
		      struct places **out, unsigned int *unit_bits,
		      struct err *e);

/* Unpacks n bytes into exactly out_bytes. -EIO: damaged. (disk/unpack.c) */
int unpack_cluster(uint32_t type, const uint8_t *in, size_t n, uint8_t *out,
		   size_t out_bytes);

#endif
