/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One qcow2 image: its tables, and what may be done to them. Knows nothing
 * of data in flight: mapping is a lookup, I/O is somebody else's. Calls block
 * for metadata that is not in memory. One thread.
 *
 * Changes stay in memory until a flush, whose steps the caller takes in
 * order with a sync after each that says that it wrote:
 *
 *   qcow2_write_new_blocks()   refcount blocks nothing points to yet
 *   qcow2_write_counts()       refcounts; L2 tables nothing points to yet
 *   qcow2_write_pointers()     L2 and L1 entries
 *   qcow2_settle()             what is free now may be used again
 *
 * INV-1  A cluster that a pointer on disk names has a refcount on disk.
 * INV-2  Between the first step and qcow2_write_pointers() no pointer is
 *        changed (the owner waits with qcow2_link() and qcow2_zero()).
 * INV-3  A cluster that was given up is used again when no pointer on disk
 *        and no I/O under way names it.
 *
 * Source: qcow2.rst (QEMU). Private to disk/.
 */
#ifndef AMBER_DISK_QCOW2_H
#define AMBER_DISK_QCOW2_H

#include "disk/qcow2_header.h"
#include "disk/tables.h"

struct cluster_run {
	uint64_t first, count; /* clusters of the file */
	uint64_t age;	       /* of the youngest I/O that may still use them */
	bool is_table;
};

struct run_list {
	struct cluster_run *run; /* owned */
	size_t count, room;
};

#define QCOW2_FREED_MAX 65536 /* runs; see qcow2_is_full() */

struct dirty_range {
	uint64_t from, to; /* entries; equal: none */
};

struct qcow2 {
	struct qcow2_header h;
	const char *path; /* borrowed */
	int fd;		  /* borrowed; page cache I/O */
	const struct file_ops *files;
	struct file_miss *miss; /* borrowed; NULL: lookups wait for tables */
	bool read_only;

	uint32_t cluster_bits, cluster_bytes;
	uint32_t entry_bytes; /* of L2: 8, or 16 with subclusters */
	uint32_t l2_bits;     /* log2 of a table's entries */
	uint32_t subclusters; /* of a cluster: 1 or 32 */
	uint32_t unit_bits;   /* log2 of the bytes of a subcluster */
	uint32_t block_bits;  /* log2 of a refcount block's entries */

	uint64_t *l1, *rt; /* owned; in host order, as on disk else */
	uint64_t rt_entries;
	struct dirty_range l1_dirty, rt_dirty;
	struct tables l2s, blocks;

	uint8_t *is_meta; /* owned bitmap: clusters of header and tables */
	uint64_t meta_clusters; /* that the bitmap knows */
	uint64_t end;		/* bytes: no cluster begins behind it */
	uint64_t fresh;		/* clusters from here on were never written */
	uint64_t limit;		/* of clusters: the format's, or the device's */
	uint64_t hint;		/* no cluster before it is free */
	uint64_t packed_at;	/* where the last compressed data ended */
	uint64_t age;		/* grows with each flush */
	uint64_t io_age;	/* of the oldest I/O under way, or UINT64_MAX */
	struct run_list freed, settling;
	bool sync_failed; /* a sync in here; the owner poisons the disk */
	bool is_frozen;	  /* poisoned: nothing is written to make room */
	bool is_growing;  /* read-only here, while others add to it */
	bool keeps_freed; /* somebody reads it by what its tables were */
	bool is_renamed;  /* its header may name another backing file */
	bool is_corrupt;
	struct err why; /* the first thing that was found wrong */
};

enum qcow2_kind {
	QCOW2_NONE, /* nothing here: the backing file's, or zeroes */
	QCOW2_ZEROES,
	QCOW2_DATA,
	QCOW2_PACKED /* compressed; never more than one cluster */
};

struct qcow2_extent {
	enum qcow2_kind kind;
	uint64_t bytes; /* from the asked place on */
	/* DATA: of that place in the file. ZEROES: of an allocated cluster
	 * that is kept for it, or 0. PACKED: of the first byte. */
	uint64_t host;
	uint32_t packed_bytes; /* at most */
	bool is_ours;	       /* nobody else refers to it: write in place */
};

/*
 * Opens the image in fd, whose lock the caller has. cache_bytes: of L2
 * tables. Errors as qcow2_header_parse(), -ENOMEM, -EIO, -EROFS (marked
 * corrupt, or dirty: text says what to do; not of QCOW2_REPAIR).
 */
enum qcow2_mode { QCOW2_READ, QCOW2_WRITE, QCOW2_REPAIR };
int qcow2_open(struct qcow2 *q, int fd, const char *path,
	       const struct file_ops *files, enum qcow2_mode mode,
	       uint64_t cache_bytes, struct err *e);
/* What was not flushed is lost. Half-built is fine. */
void qcow2_fini(struct qcow2 *q);

/*
 * What is at guest, for at most bytes, which are inside the disk. -EAGAIN: a
 * table would have to be read, if q->miss is asked.
 */
int qcow2_map(struct qcow2 *q, uint64_t guest, uint64_t bytes,
	      struct qcow2_extent *out);

/* If it is simple, without reading anything; false: ask qcow2_map(). */
bool qcow2_map_quickly(const struct qcow2 *q, uint64_t guest, uint64_t bytes,
		       uint64_t *host);

/*
 * Takes up to want clusters in a row that are free. *is_fresh: they read as
 * zeroes. -ENOSPC: the format ends here.
 */
int qcow2_take(struct qcow2 *q, uint64_t want, uint64_t *host, uint64_t *got,
	       bool *is_fresh);
/* They were taken and are not linked. */
void qcow2_untake(struct qcow2 *q, uint64_t host, uint64_t count);
/*
 * The clusters from guest on (aligned) are those at host, of which the units
 * [unit, unit + units) hold data now: all of each, or, count 1, some. What
 * was there before is given up.
 */
int qcow2_link(struct qcow2 *q, uint64_t guest, uint64_t count, uint64_t host,
	       uint32_t unit, uint32_t units);
/*
 * Whole units read as zeroes. keep: their clusters stay allocated.
 * *done: how many bytes of them, fewer when a flush is due; -EOPNOTSUPP:
 * write zeroes (version 2).
 */
int qcow2_zero(struct qcow2 *q, uint64_t guest, uint64_t bytes, bool keep,
	       bool has_backing, uint64_t *done);

/*
 * The cluster at guest is what these n bytes, fewer than a cluster, unpack to.
 * They are written; blocks.
 */
int qcow2_put_packed(struct qcow2 *q, uint64_t guest, const uint8_t *bytes,
		     size_t n);

/* The steps of a flush. Each returns 1: has written, 0: nothing to do. */
int qcow2_write_new_blocks(struct qcow2 *q);
int qcow2_write_counts(struct qcow2 *q);
int qcow2_write_pointers(struct qcow2 *q);
/* The pointers are on disk. */
int qcow2_settle(struct qcow2 *q);
/* All of it, with syncs. -EIO: a sync failed, nothing is known. */
int qcow2_flush(struct qcow2 *q);
/* A sync failed: nothing is known, nothing is written. */
void qcow2_freeze(struct qcow2 *q);
/* Somebody looked: all that is in memory is written again, and synced. */
int qcow2_distrust(struct qcow2 *q);
/* A sync of the image's file; a failure is remembered. */
int qcow2_sync(struct qcow2 *q);
bool qcow2_is_dirty(const struct qcow2 *q);
/* Bytes of the tables that are in memory whole. */
uint64_t qcow2_table_bytes(const struct qcow2 *q);
/* It is flushed, and never changed from here again; a smaller cache will do. */
void qcow2_seal(struct qcow2 *q, uint64_t cache_bytes);
/* So much was given up that a flush is due. */
static inline bool qcow2_is_full(const struct qcow2 *q)
{
	return q->freed.count > QCOW2_FREED_MAX;
}

/*
 * The disk has this many bytes now. All is flushed; what a smaller disk
 * loses was zeroed before. Errors: -EINVAL (snapshots), -EFBIG, writing.
 */
int qcow2_resize(struct qcow2 *q, uint64_t bytes, struct err *e);
/*
 * Before a disk with a backing file grows to bytes: what comes reads as zeroes
 * but for a part of the present last unit. All is flushed. -EOPNOTSUPP:
 * version 2 has no zeroes, all of it is to be written.
 */
int qcow2_hide_behind_end(struct qcow2 *q, uint64_t bytes);

/*
 * Names another backing file in the header, or none; synced. Extensions of
 * others stay. All is flushed. -ENOSPC: the name does not fit.
 */
int qcow2_set_backing(struct qcow2 *q, const char *backing, const char *format,
		      struct err *e);
/* Gives up all data, so that the backing file shows through; synced. */
int qcow2_clear(struct qcow2 *q);

/* Sets the corrupt bit, if something was found wrong and not yet said. */
int qcow2_mark_corrupt(struct qcow2 *q);

/* --- inside ---------------------------------------------------------- */

/* Remembers the first thing wrong; returns -EIO. */
int qcow2_wrong(struct qcow2 *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Not known to be anything else: far behind it isn't looked. */
bool qcow2_may_be_table(const struct qcow2 *q, uint64_t host);
/* Can a cluster be there? */
bool qcow2_is_inside(const struct qcow2 *q, uint64_t host);
bool qcow2_is_meta(const struct qcow2 *q, uint64_t host, uint64_t bytes);
int qcow2_set_meta(struct qcow2 *q, uint64_t host, bool is_meta);
/*
 * The disk has bytes, and the L1 table l1, written to clusters of its own;
 * the old one's are given up, and freed. l1 is q's then. -EFBIG: too many
 * clusters in a row.
 */
int qcow2_replace_l1(struct qcow2 *q, uint64_t *l1, uint64_t entries,
		     uint64_t bytes);
/* A table of big-endian numbers as an array, which is the caller's. */
int qcow2_read_numbers(struct qcow2 *q, uint64_t offset, uint64_t n,
		       uint64_t **out, const char *what, struct err *e);
/* And entries [from, to) of one into a table at offset. */
int qcow2_write_numbers(struct qcow2 *q, const uint64_t *numbers, uint64_t from,
			uint64_t to, uint64_t offset);
/* Of an image that is open to be read: all blocks of refcounts, for who looks
 * at each. Until then those are known that count what the file has. */
int qcow2_know_counts(struct qcow2 *q, struct err *e);
/* 64 bits of the header; not synced. */
int qcow2_write_field(struct qcow2 *q, uint64_t at, uint64_t value);
/* The header says where the refcount table is; synced. */
int qcow2_name_counts(struct qcow2 *q, uint64_t offset, uint32_t clusters);
/* A place in the cache; flushes when all tables are dirty. 1: it is there. */
int qcow2_add_table(struct qcow2 *q, struct tables *t, uint64_t offset,
		    struct table **out);
int qcow2_load_l2(struct qcow2 *q, uint64_t l1_index, struct table **out);
uint64_t qcow2_count_max(const struct qcow2 *q);
int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *out);
bool qcow2_has_block(const struct qcow2 *q, uint64_t cluster);
int qcow2_set_refcount(struct qcow2 *q, uint64_t cluster, uint64_t value);
/* Gives up clusters that a pointer named until now, as data or a table. */
int qcow2_give_up(struct qcow2 *q, uint64_t first, uint64_t count,
		  bool is_table);
/* The cluster at guest is the n bytes of compressed data at host. */
int qcow2_link_packed(struct qcow2 *q, uint64_t guest, uint64_t host, size_t n);
/* What a shared L2 table names is named by the other one, too: no entry of
 * these bytes says that its cluster is its own. Did one say so? */
bool qcow2_disown(const struct qcow2 *q, uint8_t *l2);
/* May entry i of an L2 table be given up, or changed? */
int qcow2_check_entry(struct qcow2 *q, const struct table *t, uint64_t i);
uint64_t qcow2_read_count(const uint8_t *block, uint64_t i, uint32_t order);
void qcow2_write_count(uint8_t *block, uint64_t i, uint32_t order, uint64_t n);
/* A block of so many bytes whose first n counts, if it has as many, are 1. */
void qcow2_count_ones(uint8_t *block, size_t bytes, uint64_t n, uint32_t order);

/* [Compressed Clusters Descriptor]: bytes are rounded up to a sector's end. */
struct packed_place {
	uint64_t host, bytes;
};
struct packed_place qcow2_packed_place(const struct qcow2 *q, uint64_t entry);
/* Bits that no uncompressed L2 entry of this image has. */
uint64_t qcow2_l2_reserved(const struct qcow2 *q);

static inline void range_add(struct dirty_range *r, uint64_t i)
{
	if (r->from == r->to) {
		r->from = i;
		r->to = i + 1;
	} else if (i < r->from) {
		r->from = i;
	} else if (i >= r->to) {
		r->to = i + 1;
	}
}

#endif
