/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the mapping: clusters that are linked, zeroed, given up. In
 * memory only; the steps of a flush write them (disk/qcow2.h). The image's
 * thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* --- an L2 table of our own ------------------------------------------ */

/* Takes a cluster for a new table and puts the table into the cache. */
static int make_l2(struct qcow2 *q, struct table **out)
{
	uint64_t host, got;
	bool is_fresh;
	int r = qcow2_take(q, 1, &host, &got, &is_fresh);

	if (r)
		return r;
	r = qcow2_add_table(q, &q->l2s, host, out);
	if (r >= 0)
		r = qcow2_set_meta(q, host, true);
	if (r) {
		qcow2_untake(q, host, 1);
		return r;
	}
	/* A fresh cluster reads as zeroes: of them only a beginning is due. */
	table_changed(&q->l2s, *out, 0, is_fresh ? 1 : q->cluster_bytes);
	(*out)->is_new = true;
	return 0;
}

static void point_l1(struct qcow2 *q, uint64_t i, const struct table *t)
{
	q->l1[i] = t->offset | QCOW2_COPIED;
	range_add(&q->l1_dirty, i);
}

bool qcow2_disown(const struct qcow2 *q, uint8_t *l2)
{
	bool is_changed = false;
	uint64_t i, en;
	uint8_t *p;

	for (i = 0; i < UINT64_C(1) << q->l2_bits; i++) {
		p = l2 + i * q->entry_bytes;
		en = get_be64(p);
		if (en & QCOW2_COMPRESSED || !(en & QCOW2_COPIED))
			continue;
		put_be64(p, en & ~QCOW2_COPIED);
		is_changed = true;
	}
	return is_changed;
}

/* A snapshot shares the present one: it is copied, its clusters are counted
 * for both already. */
static int copy_l2(struct qcow2 *q, uint64_t i, struct table **out)
{
	uint64_t old = q->l1[i] & QCOW2_OFFSET;
	struct table *from, *to = NULL;
	uint8_t *content = malloc(q->cluster_bytes);
	int r;

	if (!content)
		return -ENOMEM;
	/* Kept apart: making the other one may push this one out. */
	r = qcow2_load_l2(q, i, &from);
	if (!r) {
		memcpy(content, from->bytes, q->cluster_bytes);
		r = make_l2(q, &to);
	}
	if (!r) {
		memcpy(to->bytes, content, q->cluster_bytes);
		qcow2_disown(q, to->bytes);
		table_changed(&q->l2s, to, 0, q->cluster_bytes);
		point_l1(q, i, to);
		*out = to;
		r = qcow2_give_up(q, old >> q->cluster_bits, 1, true);
	}
	free(content);
	return r;
}

static int need_l2(struct qcow2 *q, uint64_t i, struct table **out)
{
	int r;

	if (q->l1[i] & QCOW2_OFFSET)
		return q->l1[i] & QCOW2_COPIED ? qcow2_load_l2(q, i, out)
					       : copy_l2(q, i, out);
	r = make_l2(q, out);
	if (r)
		return r;
	memset((*out)->bytes, 0, q->cluster_bytes);
	point_l1(q, i, *out);
	return 0;
}

/* --- entries --------------------------------------------------------- */

/* The clusters that an entry names lose one reference. */
static int give_up_entry(struct qcow2 *q, uint64_t standard)
{
	uint64_t host = standard & QCOW2_OFFSET, first, last;
	struct packed_place p;

	if (!(standard & QCOW2_COMPRESSED)) {
		if (!host)
			return 0;
		return qcow2_give_up(q, host >> q->cluster_bits, 1, false);
	}
	p = qcow2_packed_place(q, standard);
	first = p.host >> q->cluster_bits;
	last = (p.host + p.bytes - 1) >> q->cluster_bits;
	return qcow2_give_up(q, first, last - first + 1, false);
}

static void put_entry(struct qcow2 *q, struct table *t, uint64_t i,
		      uint64_t standard, uint64_t bitmap)
{
	uint32_t at = (uint32_t)(i * q->entry_bytes);

	put_be64(t->bytes + at, standard);
	if (q->subclusters > 1)
		put_be64(t->bytes + at + 8, bitmap);
	table_changed(&q->l2s, t, at, q->entry_bytes);
}

static uint64_t get_standard(const struct qcow2 *q, const struct table *t,
			     uint64_t i)
{
	return get_be64(t->bytes + i * q->entry_bytes);
}

static uint64_t get_bitmap(const struct qcow2 *q, const struct table *t,
			   uint64_t i)
{
	if (q->subclusters == 1)
		return 0;
	return get_be64(t->bytes + i * q->entry_bytes + 8);
}

/* Bits [first, first + n) of 32. */
static uint32_t unit_mask(uint32_t first, uint32_t n)
{
	return (uint32_t)(((UINT64_C(1) << n) - 1) << first);
}

/* --- linking --------------------------------------------------------- */

static int link_one(struct qcow2 *q, struct table *t, uint64_t i, uint64_t host,
		    uint32_t unit, uint32_t units)
{
	uint64_t old = get_standard(q, t, i);
	uint64_t bitmap = get_bitmap(q, t, i);
	bool is_same =
		!(old & QCOW2_COMPRESSED) && (old & QCOW2_OFFSET) == host;
	uint32_t mask = unit_mask(unit, units);
	int r = qcow2_check_entry(q, t, i);

	if (r)
		return r;
	if (q->subclusters > 1) {
		bitmap &= ~((uint64_t)mask << 32);
		bitmap |= mask;
	}
	put_entry(q, t, i, host | QCOW2_COPIED, bitmap);
	return is_same ? 0 : give_up_entry(q, old);
}

int qcow2_link(struct qcow2 *q, uint64_t guest, uint64_t count, uint64_t host,
	       uint32_t unit, uint32_t units)
{
	uint64_t mask = (UINT64_C(1) << q->l2_bits) - 1, c, n;
	uint64_t first = guest >> q->cluster_bits;
	struct table *t;
	int r;

	for (n = 0; n < count; n++) {
		c = first + n;
		r = need_l2(q, c >> q->l2_bits, &t);
		if (!r)
			r = link_one(q, t, c & mask,
				     host + (n << q->cluster_bits), unit,
				     units);
		if (r)
			return r;
	}
	return 0;
}

int qcow2_link_packed(struct qcow2 *q, uint64_t guest, uint64_t host, size_t n)
{
	uint64_t mask = (UINT64_C(1) << q->l2_bits) - 1;
	uint64_t c = guest >> q->cluster_bits, i = c & mask, old;
	uint64_t sectors = ((host + n - 1) >> 9) - (host >> 9);
	unsigned int shift = 62 - (q->cluster_bits - 8);
	struct table *t;
	int r;

	if (host >> shift)
		return -EFBIG; /* the entry has no bits for it */
	r = need_l2(q, c >> q->l2_bits, &t);
	if (!r)
		r = qcow2_check_entry(q, t, i);
	if (r)
		return r;
	old = get_standard(q, t, i);
	put_entry(q, t, i, QCOW2_COMPRESSED | sectors << shift | host, 0);
	return give_up_entry(q, old);
}

/* --- zeroes ---------------------------------------------------------- */

struct zero_job {
	bool keep, has_backing;
	uint32_t unit, units;
};

/*
 * In standard entries the zero bit; in extended ones bits of units, and the
 * cluster goes when none holds data. Where nothing is behind, no entry says
 * zero as well.
 */
static int zero_one(struct qcow2 *q, struct table *t, uint64_t i,
		    const struct zero_job *j)
{
	uint64_t old = get_standard(q, t, i), bitmap = get_bitmap(q, t, i);
	bool is_packed = old & QCOW2_COMPRESSED;
	bool is_ours = !is_packed && old & QCOW2_COPIED;
	bool has_bit = q->h.version >= 3 && (j->has_backing || j->keep);
	uint64_t zero = q->subclusters == 1 && has_bit ? QCOW2_ZERO : 0;
	uint32_t mask = unit_mask(j->unit, j->units);
	int r = qcow2_check_entry(q, t, i);

	if (r)
		return r;
	if (q->subclusters > 1) {
		bitmap &= ~(uint64_t)mask;
		bitmap = has_bit ? bitmap | (uint64_t)mask << 32
				 : bitmap & ~((uint64_t)mask << 32);
	}
	if (is_ours && (j->keep || (uint32_t)bitmap)) {
		put_entry(q, t, i, (old & ~QCOW2_ZERO) | zero, bitmap);
		return 0;
	}
	if (old == zero && bitmap == get_bitmap(q, t, i))
		return 0;
	put_entry(q, t, i, zero, bitmap);
	return give_up_entry(q, old);
}

/* Shared or compressed clusters can't lose a part. */
static bool is_partial(const struct qcow2 *q, const struct table *t, uint64_t i,
		       const struct zero_job *j)
{
	uint64_t old = get_standard(q, t, i);

	if (j->units == q->subclusters)
		return false;
	return old & QCOW2_COMPRESSED ||
	       ((old & QCOW2_OFFSET) && !(old & QCOW2_COPIED));
}

static bool needs_table(const struct qcow2 *q, uint64_t l1_index,
			const struct zero_job *j)
{
	return q->l1[l1_index] & QCOW2_OFFSET || j->has_backing;
}

/* The units of one cluster; their bytes into *n, 0: it can't be done so. */
static int zero_cluster(struct qcow2 *q, uint64_t guest, uint64_t bytes,
			struct zero_job *j, uint64_t *n)
{
	uint64_t mask = (UINT64_C(1) << q->l2_bits) - 1;
	uint64_t in_cluster = guest & (q->cluster_bytes - 1);
	uint64_t c = guest >> q->cluster_bits;
	struct table *t;
	int r;

	*n = MIN(bytes, q->cluster_bytes - in_cluster);
	j->unit = (uint32_t)(in_cluster >> q->unit_bits);
	j->units = (uint32_t)(*n >> q->unit_bits);
	if (!needs_table(q, c >> q->l2_bits, j))
		return 0;
	r = need_l2(q, c >> q->l2_bits, &t);
	if (r)
		return r;
	if (is_partial(q, t, c & mask, j)) {
		*n = 0;
		return 0;
	}
	return zero_one(q, t, c & mask, j);
}

int qcow2_zero(struct qcow2 *q, uint64_t guest, uint64_t bytes, bool keep,
	       bool has_backing, uint64_t *done)
{
	struct zero_job j = { .keep = keep, .has_backing = has_backing };
	uint64_t n;
	int r;

	*done = 0;
	if (q->h.version < 3 && (has_backing || keep))
		return -EOPNOTSUPP;
	while (bytes) {
		r = zero_cluster(q, guest, bytes, &j, &n);
		if (r)
			return r;
		if (!n)
			return *done ? 0 : -EOPNOTSUPP;
		guest += n;
		bytes -= n;
		*done += n;
		if (qcow2_is_full(q))
			return 0;
	}
	return 0;
}
