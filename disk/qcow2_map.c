/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a place on the virtual disk to one in the file (qcow2.rst [Cluster
 * mapping], [Extended L2 Entries]). A lookup that changes nothing but the
 * cache. The image's thread.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct entry {
	uint64_t standard;
	uint32_t allocated, zero; /* bits of subclusters */
};

static int check_l2(struct qcow2 *q, uint64_t i, uint64_t offset)
{
	if (q->l1[i] & QCOW2_L1_RESERVED || offset % q->cluster_bytes)
		return qcow2_wrong(q, "L1 entry %" PRIu64 " is %#" PRIx64, i,
				   q->l1[i]);
	if (!qcow2_is_inside(q, offset) || !qcow2_may_be_table(q, offset))
		return qcow2_wrong(q,
				   "L1 entry %" PRIu64 " points to %#" PRIx64
				   ", where no L2 table can be",
				   i, offset);
	return 0;
}

static int load_l2(struct qcow2 *q, uint64_t l1_index, struct file_miss *miss,
		   struct table **out)
{
	uint64_t offset = q->l1[l1_index] & QCOW2_OFFSET;
	struct table *t = tables_find(&q->l2s, offset);
	int r;

	*out = t;
	if (t)
		return 0;
	r = check_l2(q, l1_index, offset);
	if (!r)
		r = qcow2_add_table(q, &q->l2s, offset, &t);
	*out = r > 0 ? t : NULL;
	if (r)
		return r < 0 ? r : 0;
	r = file_read_or_miss(q->files, q->fd, t->bytes, q->cluster_bytes,
			      offset, miss);
	if (r) {
		tables_drop(&q->l2s, t);
		return r;
	}
	*out = t;
	return 0;
}

int qcow2_load_l2(struct qcow2 *q, uint64_t l1_index, struct table **out)
{
	return load_l2(q, l1_index, NULL, out);
}

static struct entry get_entry(const struct qcow2 *q, const struct table *t,
			      uint64_t i)
{
	const uint8_t *p = t->bytes + i * q->entry_bytes;
	struct entry en = { .standard = get_be64(p) };
	uint64_t bitmap;

	if (q->subclusters == 1)
		return en;
	bitmap = get_be64(p + 8);
	en.allocated = (uint32_t)bitmap;
	en.zero = (uint32_t)(bitmap >> 32);
	return en;
}

/* What the unit s of an entry is; host: of the cluster. */
static int classify(struct qcow2 *q, const struct entry *en, uint32_t s,
		    enum qcow2_kind *kind)
{
	uint64_t host = en->standard & QCOW2_OFFSET;
	bool has_zero, is_there;

	if (en->standard & QCOW2_COMPRESSED) {
		*kind = QCOW2_PACKED;
		return 0;
	}
	if (q->subclusters == 1) {
		has_zero = q->h.version >= 3 && en->standard & QCOW2_ZERO;
		is_there = host != 0;
	} else {
		has_zero = en->zero >> s & 1;
		is_there = en->allocated >> s & 1;
		if ((has_zero && is_there) || (is_there && !host))
			return qcow2_wrong(
				q,
				"L2 entry %#" PRIx64
				" has subclusters %#" PRIx32 ", zero %#" PRIx32,
				en->standard, en->allocated, en->zero);
	}
	*kind = has_zero ? QCOW2_ZEROES : is_there ? QCOW2_DATA : QCOW2_NONE;
	return 0;
}

uint64_t qcow2_l2_reserved(const struct qcow2 *q)
{
	bool has_zero_bit = q->subclusters == 1 && q->h.version >= 3;

	return QCOW2_L2_RESERVED | (has_zero_bit ? 0 : QCOW2_ZERO);
}

struct packed_place qcow2_packed_place(const struct qcow2 *q, uint64_t entry)
{
	unsigned int size_bits = q->cluster_bits - 8, shift = 62 - size_bits;
	uint64_t host = entry & ((UINT64_C(1) << shift) - 1);
	uint64_t sectors = entry >> shift & ((UINT64_C(1) << size_bits) - 1);

	return (struct packed_place){ host,
				      (sectors + 1) * 512 - (host & 511) };
}

static int check_entry(struct qcow2 *q, const struct entry *en)
{
	uint64_t host = en->standard & QCOW2_OFFSET;

	if (en->standard & QCOW2_COMPRESSED)
		return 0;
	if (en->standard & qcow2_l2_reserved(q) || host % q->cluster_bytes ||
	    (!host && en->standard & QCOW2_COPIED))
		return qcow2_wrong(q, "L2 entry is %#" PRIx64, en->standard);
	if (host && (!qcow2_is_inside(q, host) || qcow2_is_meta(q, host, 1)))
		return qcow2_wrong(q,
				   "L2 entry points to %#" PRIx64
				   ", where no data can be",
				   host);
	return 0;
}

static int describe_packed(struct qcow2 *q, const struct entry *en,
			   struct qcow2_extent *x)
{
	struct packed_place p = qcow2_packed_place(q, en->standard);

	if (en->standard & QCOW2_COPIED || !qcow2_is_inside(q, p.host) ||
	    qcow2_is_meta(q, p.host, 1))
		return qcow2_wrong(q, "compressed L2 entry is %#" PRIx64,
				   en->standard);
	x->host = p.host;
	x->packed_bytes = (uint32_t)p.bytes;
	x->is_ours = false;
	return 0;
}

int qcow2_check_entry(struct qcow2 *q, const struct table *t, uint64_t i)
{
	struct entry en = get_entry(q, t, i);
	struct qcow2_extent x;

	return en.standard & QCOW2_COMPRESSED ? describe_packed(q, &en, &x)
					      : check_entry(q, &en);
}

static int first_unit(struct qcow2 *q, const struct entry *en, uint32_t s,
		      uint64_t in_cluster, struct qcow2_extent *x)
{
	int r = check_entry(q, en);

	if (!r)
		r = classify(q, en, s, &x->kind);
	if (r)
		return r;
	if (x->kind == QCOW2_PACKED)
		return describe_packed(q, en, x);
	x->host = en->standard & QCOW2_OFFSET;
	if (x->kind == QCOW2_DATA)
		x->host += in_cluster;
	x->is_ours = (en->standard & QCOW2_COPIED) != 0;
	return 0;
}

/* Does the unit s of en go on where x ends? */
static bool goes_on(struct qcow2 *q, const struct entry *en, uint32_t s,
		    uint64_t in_cluster, const struct qcow2_extent *x)
{
	uint64_t host = en->standard & QCOW2_OFFSET;
	enum qcow2_kind kind;

	if (check_entry(q, en) || classify(q, en, s, &kind) ||
	    kind != x->kind || kind == QCOW2_PACKED)
		return false;
	if (x->is_ours != ((en->standard & QCOW2_COPIED) != 0))
		return false;
	if (kind == QCOW2_DATA)
		return host + in_cluster == x->host + x->bytes;
	/* What is kept for zeroes matters to who writes there. */
	return kind == QCOW2_NONE || (!host && !x->host) ||
	       (host == x->host && in_cluster);
}

/* What most lookups meet: the table used last, data inside one cluster. */
bool qcow2_map_quickly(const struct qcow2 *q, uint64_t guest, uint64_t bytes,
		       uint64_t *host)
{
	uint64_t in_cluster = guest & (q->cluster_bytes - 1);
	uint64_t c = guest >> q->cluster_bits, i = c >> q->l2_bits;
	const struct table *t = q->l2s.newest;
	uint64_t mask = (UINT64_C(1) << q->l2_bits) - 1, at;

	if (!t || q->subclusters > 1 || i >= q->h.l1_entries ||
	    t->offset != (q->l1[i] & QCOW2_OFFSET) ||
	    bytes > q->cluster_bytes - in_cluster)
		return false;
	at = get_be64(t->bytes + (c & mask) * 8) & ~QCOW2_COPIED;
	if (!at || at & (q->cluster_bytes - 1) || at >= q->end ||
	    qcow2_is_meta(q, at, 1))
		return false;
	*host = at + in_cluster;
	return true;
}

static int map_in_table(struct qcow2 *q, const struct table *t, uint64_t guest,
			uint64_t bytes, struct qcow2_extent *x)
{
	uint64_t mask = (UINT64_C(1) << q->l2_bits) - 1;
	uint64_t unit = UINT64_C(1) << q->unit_bits;
	uint64_t in_cluster = guest & (q->cluster_bytes - 1);
	uint64_t i = guest >> q->cluster_bits & mask;
	struct entry en = get_entry(q, t, i);
	uint32_t s = (uint32_t)(in_cluster >> q->unit_bits);
	int r;

	r = first_unit(q, &en, s, in_cluster, x);
	if (r)
		return r;
	x->bytes = unit - (guest & (unit - 1));
	if (x->kind == QCOW2_PACKED) {
		x->bytes = MIN(q->cluster_bytes - in_cluster, bytes);
		return 0;
	}
	while (x->bytes < bytes) {
		if (++s == q->subclusters) {
			s = 0;
			if (++i > mask)
				break;
			en = get_entry(q, t, i);
		}
		if (!goes_on(q, &en, s, (uint64_t)s << q->unit_bits, x))
			break;
		x->bytes += unit;
	}
	x->bytes = MIN(x->bytes, bytes);
	return 0;
}

int qcow2_map(struct qcow2 *q, uint64_t guest, uint64_t bytes,
	      struct qcow2_extent *x)
{
	unsigned int shift = q->l2_bits + q->cluster_bits;
	uint64_t span = UINT64_C(1) << shift;
	uint64_t i = guest >> shift;
	struct table *t;
	int r;

	*x = (struct qcow2_extent){ .kind = QCOW2_NONE };
	x->bytes = MIN(bytes, span - (guest & (span - 1)));
	if (i >= q->h.l1_entries || !(q->l1[i] & QCOW2_OFFSET))
		return 0;
	r = load_l2(q, i, q->miss, &t);
	if (!r)
		r = map_in_table(q, t, guest, x->bytes, x);
	/* What a shared table names is shared, whatever it says itself. */
	if (!(q->l1[i] & QCOW2_COPIED))
		x->is_ours = false;
	return r;
}
