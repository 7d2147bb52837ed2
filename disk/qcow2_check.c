/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a qcow2 image: counts references, then compares. The image's
 * thread. INV-1: nothing is changed but by repair(), after all was counted.
 */
#include "disk/qcow2_checking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2_snapshots.h"

#define TOLD_MAX     64 /* findings that are told one by one */
#define CLUSTERS_MAX (UINT64_C(1) << 31)
#define MARKS	     (QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT)

void check_found(struct check *k, enum qcow2_finding kind, const char *fmt, ...)
{
	struct qcow2_check *c = k->c;
	char text[200];
	va_list ap;

	*(kind == QCOW2_LEAK ? &c->leaks : &c->corruptions) += 1;
	if (!c->found || k->told++ >= TOLD_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->found(c->ctx, kind, text);
}

/* --- counting -------------------------------------------------------- */

/* The bytes at host are referred to, once more. */
static void refer(struct check *k, uint64_t host, uint64_t bytes,
		  const char *what)
{
	uint64_t c = host >> k->q->cluster_bits, last;

	if (!bytes)
		return;
	if (bytes > (k->clusters << k->q->cluster_bits) ||
	    host > (k->clusters << k->q->cluster_bits) - bytes) {
		check_found(k, QCOW2_CORRUPTION,
			    "%s at %#" PRIx64 " is behind the end of the file",
			    what, host);
		return;
	}
	last = (host + bytes - 1) >> k->q->cluster_bits;
	for (; c <= last; c++)
		if (k->refs[c] < UINT32_MAX)
			k->refs[c]++;
}

static bool is_aligned(struct check *k, uint64_t host, const char *what,
		       uint64_t i)
{
	if (!(host & (k->q->cluster_bytes - 1)))
		return true;
	check_found(k, QCOW2_CORRUPTION,
		    "%s %" PRIu64 " at %#" PRIx64
		    " is not aligned to a cluster",
		    what, i, host);
	return false;
}

static void count_packed(struct check *k, uint64_t en, uint64_t bitmap)
{
	struct packed_place p = qcow2_packed_place(k->q, en);

	if (bitmap)
		check_found(k, QCOW2_CORRUPTION,
			    "compressed cluster at %#" PRIx64
			    " has subclusters",
			    p.host);
	if (en & QCOW2_COPIED)
		check_found(k, QCOW2_CORRUPTION,
			    "compressed cluster at %#" PRIx64
			    " is marked as in use once",
			    p.host);
	k->c->packed++;
	k->c->allocated++;
	k->last = 0;
	refer(k, p.host, p.bytes, "compressed cluster");
}

static void count_data(struct check *k, uint64_t en, uint64_t bitmap,
		       uint64_t guest)
{
	uint64_t host = en & QCOW2_OFFSET;
	uint64_t c = host >> k->q->cluster_bits;

	if (en & qcow2_l2_reserved(k->q))
		check_found(k, QCOW2_CORRUPTION,
			    "L2 entry %#" PRIx64 " of offset %" PRIu64
			    " has reserved bits",
			    en, guest);
	if (k->q->subclusters > 1 && (uint32_t)bitmap & bitmap >> 32)
		check_found(k, QCOW2_CORRUPTION,
			    "L2 entry of offset %" PRIu64
			    " has subclusters that are both there and zero",
			    guest);
	if (!host && (uint32_t)bitmap)
		check_found(k, QCOW2_CORRUPTION,
			    "L2 entry of offset %" PRIu64
			    " has subclusters and no cluster",
			    guest);
	if (!host)
		return;
	if (!is_aligned(k, host, "data of offset", guest))
		return;
	k->c->allocated++;
	if (k->last && c != k->last + 1)
		k->c->fragmented++;
	k->last = c;
	refer(k, host, k->q->cluster_bytes, "data cluster");
}

static int count_l2(struct check *k, uint64_t host, uint64_t guest)
{
	struct qcow2 *q = k->q;
	uint64_t n = UINT64_C(1) << q->l2_bits, i, en, bitmap = 0;
	int r = file_read_at(q->files, q->fd, k->table, q->cluster_bytes, host);

	if (r)
		return err_sys(k->e, r, "%s: reading the L2 table at %#" PRIx64,
			       q->path, host);
	for (i = 0; i < n; i++, guest += q->cluster_bytes) {
		en = get_be64(k->table + i * q->entry_bytes);
		if (q->subclusters > 1)
			bitmap = get_be64(k->table + i * q->entry_bytes + 8);
		if (en & QCOW2_COMPRESSED)
			count_packed(k, en, bitmap);
		else if (en || bitmap)
			count_data(k, en, bitmap, guest);
	}
	return 0;
}

int check_progress(struct check *k, uint64_t i, uint64_t n)
{
	struct qcow2_check *c = k->c;

	if (c->progress && c->progress(c->ctx, (unsigned int)(i * 1000 / n)))
		return err_set(k->e, -ECANCELED, "%s: cancelled", k->q->path);
	return 0;
}

static int count_l1(struct check *k, const uint64_t *l1, uint64_t n)
{
	unsigned int shift = k->q->l2_bits + k->q->cluster_bits;
	uint64_t i, host;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		host = l1[i] & QCOW2_OFFSET;
		if (l1[i] & QCOW2_L1_RESERVED)
			check_found(k, QCOW2_CORRUPTION,
				    "L1 entry %" PRIu64 " is %#" PRIx64, i,
				    l1[i]);
		if (!host || !is_aligned(k, host, "L2 table", i))
			continue;
		refer(k, host, k->q->cluster_bytes, "L2 table");
		if (host >> k->q->cluster_bits < k->clusters)
			r = count_l2(k, host, i << shift);
		if (!r)
			r = check_progress(k, i, n);
	}
	return r;
}

static int count_snapshot(void *ctx, const struct qcow2_snapshot *s)
{
	struct check *k = ctx;
	uint64_t *l1 = NULL, allocated = k->c->allocated;
	uint64_t packed = k->c->packed, fragmented = k->c->fragmented;
	int r;

	refer(k, s->l1_offset, (uint64_t)s->l1_entries * 8,
	      "L1 table of a snapshot");
	r = qcow2_read_numbers(k->q, s->l1_offset, s->l1_entries, &l1,
			       "snapshot's L1 table", k->e);
	if (!r)
		r = count_l1(k, l1, s->l1_entries);
	free(l1);
	/* The figures are those of the disk as it is now. */
	k->c->allocated = allocated;
	k->c->packed = packed;
	k->c->fragmented = fragmented;
	return r;
}

static int count_snapshots(struct check *k)
{
	uint64_t bytes = 0;
	int r;

	if (!k->q->h.snapshots)
		return 0;
	r = qcow2_each_snapshot(k->q, count_snapshot, k, &bytes, k->e);
	if (!r)
		refer(k, k->q->h.snapshots_offset, bytes, "snapshot table");
	return r;
}

/* [Bitmap table] of one bitmap. */
static int count_bitmap(struct check *k, uint64_t offset, uint32_t entries)
{
	uint64_t *table = NULL, i;
	int r;

	if (!is_aligned(k, offset, "bitmap table", 0) ||
	    (uint64_t)entries * 8 > QCOW2_BITMAPS_BYTES)
		return 0;
	refer(k, offset, (uint64_t)entries * 8, "bitmap table");
	r = qcow2_read_numbers(k->q, offset, entries, &table, "bitmap table",
			       k->e);
	for (i = 0; i < entries && !r; i++)
		if (table[i] & QCOW2_OFFSET)
			refer(k, table[i] & QCOW2_OFFSET, k->q->cluster_bytes,
			      "bitmap");
	free(table);
	return r;
}

/* [Bitmap directory]: rows of 24 bytes, extra data and a name. */
static int count_directory(struct check *k, const uint8_t *b, uint64_t n)
{
	uint64_t at = 0, row;
	int r = 0;

	while (at + 24 <= n && !r) {
		row = (24 + (uint64_t)get_be32(b + at + 20) +
		       get_be16(b + at + 18) + 7) &
		      ~UINT64_C(7);
		r = count_bitmap(k, get_be64(b + at), get_be32(b + at + 8));
		at += row;
	}
	return r;
}

static int count_bitmaps(struct check *k)
{
	const struct qcow2_header *h = &k->q->h;
	uint8_t *b;
	int r;

	if (!(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS) || !h->bitmaps_bytes)
		return 0;
	if (h->bitmaps_bytes > QCOW2_BITMAPS_BYTES) {
		check_found(k, QCOW2_CORRUPTION,
			    "the bitmap directory has %" PRIu64 " bytes",
			    h->bitmaps_bytes);
		return 0;
	}
	refer(k, h->bitmaps_offset, h->bitmaps_bytes, "bitmap directory");
	b = malloc(h->bitmaps_bytes);
	if (!b)
		return err_sys(k->e, -ENOMEM, "%s", k->q->path);
	r = file_read_at(k->q->files, k->q->fd, b, h->bitmaps_bytes,
			 h->bitmaps_offset);
	if (r)
		err_sys(k->e, r, "%s: its bitmap directory", k->q->path);
	else
		r = count_directory(k, b, h->bitmaps_bytes);
	free(b);
	return r;
}

static int count_all(struct check *k)
{
	struct qcow2 *q = k->q;
	int r;

	refer(k, 0, 1, "header");
	refer(k, q->h.rt_offset, (uint64_t)q->h.rt_clusters << q->cluster_bits,
	      "refcount table");
	refer(k, q->h.l1_offset, (uint64_t)q->h.l1_entries * 8, "L1 table");
	check_count_blocks(k);
	r = count_l1(k, q->l1, q->h.l1_entries);
	if (!r)
		r = count_snapshots(k);
	return r ? r : count_bitmaps(k);
}

/* --- COPIED ---------------------------------------------------------- */

static bool copied_is_right(const struct check *k, uint64_t en)
{
	uint64_t c = (en & QCOW2_OFFSET) >> k->q->cluster_bits;

	return c >= k->clusters ||
	       ((en & QCOW2_COPIED) != 0) == (k->refs[c] == 1);
}

static void fix_l1_entry(struct check *k, uint64_t i)
{
	struct qcow2 *q = k->q;

	check_found(k, QCOW2_CORRUPTION,
		    "L1 entry %" PRIu64 " is wrong about being the only one",
		    i);
	if (k->c->repair != QCOW2_REPAIR_ALL)
		return;
	q->l1[i] ^= QCOW2_COPIED;
	range_add(&q->l1_dirty, i);
	k->c->fixed_corruptions++;
}

static void fix_l2_entry(struct check *k, struct table *t, uint64_t i)
{
	struct qcow2 *q = k->q;
	uint8_t *p = t->bytes + i * q->entry_bytes;

	check_found(k, QCOW2_CORRUPTION,
		    "L2 entry %#" PRIx64 " is wrong about being the only one",
		    get_be64(p));
	if (k->c->repair != QCOW2_REPAIR_ALL)
		return;
	put_be64(p, get_be64(p) ^ QCOW2_COPIED);
	table_changed(&q->l2s, t, (uint32_t)(i * q->entry_bytes), 8);
	k->c->fixed_corruptions++;
}

static int check_copied_l2(struct check *k, uint64_t i)
{
	struct qcow2 *q = k->q;
	uint64_t n = UINT64_C(1) << q->l2_bits, j, en;
	struct table *t;
	int r = qcow2_load_l2(q, i, &t);

	if (r)
		return r == -EIO ? 0 : err_sys(k->e, r, "%s", q->path);
	for (j = 0; j < n; j++) {
		en = get_be64(t->bytes + j * q->entry_bytes);
		if (!(en & QCOW2_COMPRESSED) && en & QCOW2_OFFSET &&
		    !copied_is_right(k, en))
			fix_l2_entry(k, t, j);
	}
	return 0;
}

static int check_copied(struct check *k)
{
	struct qcow2 *q = k->q;
	uint64_t i;
	int r = 0;

	for (i = 0; i < q->h.l1_entries && !r; i++) {
		if (!(q->l1[i] & QCOW2_OFFSET))
			continue;
		if (!copied_is_right(k, q->l1[i]))
			fix_l1_entry(k, i);
		r = check_copied_l2(k, i);
	}
	return r;
}

/* --- the end --------------------------------------------------------- */

static int clear_bits(struct check *k)
{
	struct qcow2 *q = k->q;

	if (!(q->h.incompatible & MARKS))
		return 0;
	q->h.incompatible &= ~MARKS;
	return qcow2_write_field(q, QCOW2_AT_INCOMPATIBLE, q->h.incompatible);
}

static int finish_repair(struct check *k)
{
	struct qcow2_check *c = k->c;
	int r = 0;

	if (c->repair == QCOW2_LOOK)
		return 0;
	r = qcow2_flush(k->q);
	KILL_POINT("check-repaired");
	if (!r && c->corruptions == c->fixed_corruptions &&
	    (c->repair == QCOW2_REPAIR_ALL || !c->corruptions))
		r = clear_bits(k);
	if (!r)
		r = qcow2_sync(k->q);
	return r ? err_sys(k->e, r, "%s: writing the repair", k->q->path) : 0;
}

static int allocate(struct check *k)
{
	k->clusters = k->q->end >> k->q->cluster_bits;
	if (k->clusters > CLUSTERS_MAX)
		return err_set(k->e, -EFBIG, "%s: %" PRIu64 " clusters",
			       k->q->path, k->clusters);
	k->refs = calloc(k->clusters ? k->clusters : 1, sizeof(*k->refs));
	k->table = malloc(k->q->cluster_bytes);
	return k->refs && k->table ? 0
				   : err_sys(k->e, -ENOMEM, "%s", k->q->path);
}

int qcow2_check(struct qcow2 *q, struct qcow2_check *c, struct err *e)
{
	struct check k = { .q = q, .c = c, .e = e };
	int r = qcow2_know_counts(q, e);

	if (r)
		return r;
	c->is_marked = q->h.incompatible & MARKS;
	c->clusters = (q->h.bytes + q->cluster_bytes - 1) >> q->cluster_bits;
	if (q->why.code) /* tables that overlap, seen when it was opened */
		check_found(&k, QCOW2_CORRUPTION, "%s", q->why.text);
	r = allocate(&k);
	if (!r)
		r = count_all(&k);
	if (!r)
		r = check_counts(&k);
	if (!r)
		r = check_copied(&k);
	if (!r)
		r = finish_repair(&k);
	free(k.refs);
	free(k.table);
	return r;
}
