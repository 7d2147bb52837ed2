/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 image from open to close: its header, what is found wrong with it,
 * and which of its clusters are tables. The image's thread. Invariants:
 * disk/qcow2.h.
 */
#include "disk/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "disk/file_io.h"

#define BLOCK_CACHE_BYTES (4U << 20)
/* Beyond this size of a file its clusters are not told from tables by the
 * bitmap, which would be too large. */
#define META_BITMAP_MAX (16U << 20)

/* --- what is wrong --------------------------------------------------- */

int qcow2_wrong(struct qcow2 *q, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (q->why.code)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(&q->why, -EIO, "%s is damaged: %s", q->path, text);
}

int qcow2_sync(struct qcow2 *q)
{
	int r = file_sync(q->files, q->fd);

	q->sync_failed |= r != 0;
	return r;
}

int qcow2_write_field(struct qcow2 *q, uint64_t at, uint64_t value)
{
	uint8_t field[8];

	put_be64(field, value);
	return file_write_at(q->files, q->fd, field, sizeof(field), at);
}

int qcow2_name_counts(struct qcow2 *q, uint64_t offset, uint32_t clusters)
{
	uint8_t field[12];
	int r;

	put_be64(field, offset);
	put_be32(field + 8, clusters);
	r = file_write_at(q->files, q->fd, field, sizeof(field),
			  QCOW2_AT_RT_OFFSET);
	return r ? r : qcow2_sync(q);
}

int qcow2_mark_corrupt(struct qcow2 *q)
{
	int r;

	if (!q->why.code || q->is_corrupt)
		return 0;
	q->is_corrupt = true;
	if (q->h.version < 3 || q->read_only)
		return 0;
	q->h.incompatible |= QCOW2_INCOMPAT_CORRUPT;
	r = qcow2_write_field(q, QCOW2_AT_INCOMPATIBLE, q->h.incompatible);
	return r ? r : qcow2_sync(q);
}

/* --- which clusters are metadata ------------------------------------- */

bool qcow2_may_be_table(const struct qcow2 *q, uint64_t host)
{
	return q->is_growing ||
	       host >> q->cluster_bits >= (uint64_t)META_BITMAP_MAX * 8 ||
	       qcow2_is_meta(q, host, 1);
}

bool qcow2_is_meta(const struct qcow2 *q, uint64_t host, uint64_t bytes)
{
	uint64_t c = host >> q->cluster_bits;
	uint64_t last = (host + bytes - 1) >> q->cluster_bits;

	if (q->is_growing)
		return false;
	for (; c <= last && c < q->meta_clusters; c++)
		if (q->is_meta[c / 8] >> (c % 8) & 1)
			return true;
	return false;
}

static int grow_bitmap(struct qcow2 *q, uint64_t cluster)
{
	uint64_t clusters = (cluster + 1 + cluster / 2 + 4096) & ~UINT64_C(7);
	uint8_t *more;

	if (clusters / 8 > META_BITMAP_MAX)
		clusters = (uint64_t)META_BITMAP_MAX * 8;
	if (cluster >= clusters)
		return 0;
	more = realloc(q->is_meta, clusters / 8);
	if (!more)
		return -ENOMEM;
	memset(more + q->meta_clusters / 8, 0,
	       (clusters - q->meta_clusters) / 8);
	q->is_meta = more;
	q->meta_clusters = clusters;
	return 0;
}

uint64_t qcow2_table_bytes(const struct qcow2 *q)
{
	return (q->h.l1_entries + q->rt_entries) * 8 +
	       (q->end >> q->cluster_bits) / 8;
}

int qcow2_set_meta(struct qcow2 *q, uint64_t host, bool is_meta)
{
	uint64_t c = host >> q->cluster_bits;
	int r = c >= q->meta_clusters ? grow_bitmap(q, c) : 0;

	if (r || c >= q->meta_clusters)
		return r;
	if (is_meta)
		q->is_meta[c / 8] |= (uint8_t)(1U << c % 8);
	else
		q->is_meta[c / 8] &= (uint8_t) ~(1U << c % 8);
	return 0;
}

bool qcow2_is_inside(const struct qcow2 *q, uint64_t host)
{
	return host < q->end || q->is_growing;
}

/* What lies in a table's place already makes the image a damaged one. */
static int claim(struct qcow2 *q, uint64_t host, uint64_t bytes,
		 const char *what)
{
	uint64_t at;
	int r = 0;

	if (bytes && qcow2_is_meta(q, host, bytes))
		qcow2_wrong(q, "the %s at %#" PRIx64 " overlaps another table",
			    what, host);
	for (at = host; at < host + bytes && !r; at += q->cluster_bytes)
		r = qcow2_set_meta(q, at, true);
	return r;
}

static bool is_place(const struct qcow2 *q, uint64_t offset)
{
	return offset && !(offset % q->cluster_bytes) && offset < q->end;
}

/* Entries that can't be right are left out: who uses them gets an error. */
static int claim_pointed(struct qcow2 *q, const uint64_t *entry, uint64_t n,
			 uint64_t mask, const char *what)
{
	uint64_t i;
	int r = 0;

	for (i = 0; i < n && !r; i++)
		if (is_place(q, entry[i] & mask))
			r = claim(q, entry[i] & mask, q->cluster_bytes, what);
	return r;
}

static int claim_all(struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;
	int r = grow_bitmap(q, q->end >> q->cluster_bits);

	if (!r)
		r = claim(q, 0, 1, "header");
	if (!r)
		r = claim(q, h->l1_offset, (uint64_t)h->l1_entries * 8,
			  "L1 table");
	if (!r)
		r = claim(q, h->rt_offset,
			  (uint64_t)h->rt_clusters << h->cluster_bits,
			  "refcount table");
	if (!r)
		r = claim_pointed(q, q->rt, q->rt_entries, ~QCOW2_RT_RESERVED,
				  "refcount block");
	if (!r)
		r = claim_pointed(q, q->l1, h->l1_entries, QCOW2_OFFSET,
				  "L2 table");
	return r;
}

/* --- opening --------------------------------------------------------- */

static void set_geometry(struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;

	q->cluster_bits = h->cluster_bits;
	q->cluster_bytes = 1U << h->cluster_bits;
	q->subclusters = qcow2_is_extended(h) ? QCOW2_SUBCLUSTERS : 1;
	q->entry_bytes = q->subclusters > 1 ? 16 : 8;
	q->l2_bits = h->cluster_bits - (q->subclusters > 1 ? 4 : 3);
	q->unit_bits = h->cluster_bits - (q->subclusters > 1 ? 5 : 0);
	q->block_bits = h->cluster_bits + 3 - h->refcount_order;
}

static uint64_t all_blocks(const struct qcow2 *q)
{
	return (uint64_t)q->h.rt_clusters * (q->cluster_bytes / 8);
}

/* A reader needs those that count what the file has: a chain has many. */
static uint64_t needed_blocks(const struct qcow2 *q)
{
	uint64_t all = all_blocks(q);
	uint64_t used = (q->end >> q->cluster_bits >> q->block_bits) + 1;

	return q->read_only && used < all ? used : all;
}

/*
 * How much of the file the header may take: its first cluster. What makes no
 * cluster size is for the parser to refuse.
 */
static int first_cluster(struct qcow2 *q, uint64_t file_bytes, size_t *n)
{
	uint8_t head[QCOW2_V2_HEADER_BYTES];
	uint32_t bits;
	int r = file_read_at(q->files, q->fd, head, sizeof(head), 0);

	bits = r ? 0 : get_be32(head + QCOW2_AT_CLUSTER_BITS);
	if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
		bits = QCOW2_CLUSTER_BITS_MIN;
	*n = (size_t)1 << bits;
	if (file_bytes < *n)
		*n = (size_t)file_bytes;
	return r;
}

static int parse_header(struct qcow2 *q, uint64_t file_bytes, struct err *e)
{
	uint8_t *bytes;
	size_t n;
	int r = first_cluster(q, file_bytes, &n);

	if (r)
		return err_sys(e, r, "%s: reading its header", q->path);
	bytes = malloc(n ? n : 1);
	if (!bytes)
		return err_sys(e, -ENOMEM, "%s", q->path);
	r = file_read_at(q->files, q->fd, bytes, n, 0);
	if (r)
		err_sys(e, r, "%s: reading its header", q->path);
	else
		r = qcow2_header_parse(&q->h, bytes, n, file_bytes, q->path, e);
	free(bytes);
	return r;
}

static int read_header(struct qcow2 *q, struct err *e)
{
	bool is_device = false;
	uint64_t bytes = 0;
	int r = file_size(q->fd, &bytes, &is_device);

	if (r)
		return err_sys(e, r, "%s", q->path);
	r = parse_header(q, bytes, e);
	if (r)
		return r;
	set_geometry(q);
	q->fresh = (bytes + q->cluster_bytes - 1) >> q->cluster_bits;
	q->end = q->fresh << q->cluster_bits;
	q->rt_entries = needed_blocks(q);
	q->limit =
		(is_device ? bytes : QCOW2_FILE_BYTES_MAX) >> q->cluster_bits;
	return 0;
}

int qcow2_read_numbers(struct qcow2 *q, uint64_t offset, uint64_t n,
		       uint64_t **out, const char *what, struct err *e)
{
	uint64_t *numbers = calloc(n ? n : 1, sizeof(*numbers)), i;
	int r;

	if (!numbers)
		return err_sys(e, -ENOMEM, "%s: its %s", q->path, what);
	r = n ? file_read_at(q->files, q->fd, numbers, n * sizeof(*numbers),
			     offset)
	      : 0;
	if (r) {
		free(numbers);
		return err_sys(e, r, "%s: reading its %s", q->path, what);
	}
	for (i = 0; i < n; i++)
		numbers[i] = be64toh(numbers[i]);
	*out = numbers;
	return 0;
}

static int read_tables(struct qcow2 *q, struct err *e)
{
	int r = qcow2_read_numbers(q, q->h.l1_offset, q->h.l1_entries, &q->l1,
				   "L1 table", e);

	if (!r)
		r = qcow2_read_numbers(q, q->h.rt_offset, q->rt_entries, &q->rt,
				       "refcount table", e);
	return r;
}

int qcow2_know_counts(struct qcow2 *q, struct err *e)
{
	uint64_t all = all_blocks(q), known = q->rt_entries;
	uint64_t *rt;
	int r;

	if (!q->read_only || known == all)
		return 0;
	r = qcow2_read_numbers(q, q->h.rt_offset, all, &rt, "refcount table",
			       e);
	if (r)
		return r;
	free(q->rt);
	q->rt = rt;
	q->rt_entries = all;
	r = claim_pointed(q, rt + known, all - known, ~QCOW2_RT_RESERVED,
			  "refcount block");
	return r ? err_sys(e, r, "%s: its tables", q->path) : 0;
}

/* Features that forbid writing, and bits that say what a writer must. */
static int may_write(struct qcow2 *q, enum qcow2_mode mode, struct err *e)
{
	uint64_t incompatible = q->h.incompatible;

	if (mode != QCOW2_WRITE)
		return 0;
	if (incompatible & QCOW2_INCOMPAT_CORRUPT)
		return err_set(e, -EROFS,
			       "%s is marked corrupt: open it read-only (ro), "
			       "or repair it: amber disk check --repair %s",
			       q->path, q->path);
	if (incompatible & QCOW2_INCOMPAT_DIRTY)
		return err_set(e, -EROFS,
			       "%s was not closed and its refcounts are not "
			       "right: amber disk check --repair %s",
			       q->path, q->path);
	return 0;
}

/* [autoclear_features] of what is not kept up here. */
static int clear_autoclear(struct qcow2 *q, struct err *e)
{
	int r;

	if (q->read_only || !q->h.autoclear)
		return 0;
	r = qcow2_write_field(q, QCOW2_AT_AUTOCLEAR, 0);
	if (!r)
		r = qcow2_sync(q);
	if (r)
		return err_sys(e, r, "%s: writing its header", q->path);
	q->h.autoclear = 0;
	return 0;
}

static int init_caches(struct qcow2 *q, uint64_t cache_bytes, struct err *e)
{
	int r = tables_init(&q->l2s, q->cluster_bytes, cache_bytes);

	if (!r)
		r = tables_init(&q->blocks, q->cluster_bytes,
				BLOCK_CACHE_BYTES);
	if (!r)
		r = claim_all(q);
	return r ? err_sys(e, r, "%s: its tables", q->path) : 0;
}

int qcow2_open(struct qcow2 *q, int fd, const char *path,
	       const struct file_ops *files, enum qcow2_mode mode,
	       uint64_t cache_bytes, struct err *e)
{
	int r;

	*q = (struct qcow2){ .fd = fd,
			     .path = path,
			     .files = files,
			     .read_only = mode == QCOW2_READ,
			     .io_age = UINT64_MAX };
	r = read_header(q, e);
	if (!r)
		r = may_write(q, mode, e);
	if (!r)
		r = read_tables(q, e);
	if (!r)
		r = init_caches(q, cache_bytes, e);
	if (!r && mode == QCOW2_WRITE && q->why.code)
		r = err_set(e, -EROFS,
			    "%s: open it read-only (ro), or repair it: amber "
			    "disk check --repair",
			    q->why.text);
	if (!r)
		r = clear_autoclear(q, e);
	if (r)
		qcow2_fini(q);
	return r;
}

void qcow2_seal(struct qcow2 *q, uint64_t cache_bytes)
{
	q->read_only = true;
	tables_shrink(&q->l2s, cache_bytes);
	tables_shrink(&q->blocks, 0);
}

void qcow2_fini(struct qcow2 *q)
{
	tables_fini(&q->l2s);
	tables_fini(&q->blocks);
	free(q->l1);
	free(q->rt);
	free(q->is_meta);
	free(q->freed.run);
	free(q->settling.run);
	q->l1 = q->rt = NULL;
	q->is_meta = NULL;
	q->freed = q->settling = (struct run_list){ 0 };
}
