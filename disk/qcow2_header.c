/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 header as a parser and a printer of bytes. Pure; any thread. */
#include "disk/qcow2_header.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct parse {
	struct qcow2_header *h;
	const uint8_t *bytes;
	size_t n;
	uint64_t file_bytes;
	const char *path;
	struct err *e;
};

uint64_t qcow2_l1_needed(uint64_t bytes, uint32_t cluster_bits, bool extended)
{
	unsigned int l2_bits = cluster_bits - (extended ? 4 : 3);
	unsigned int shift = cluster_bits + l2_bits;

	return (bytes >> shift) + ((bytes & ((UINT64_C(1) << shift) - 1)) != 0);
}

static uint64_t cluster(const struct qcow2_header *h)
{
	return UINT64_C(1) << h->cluster_bits;
}

/* --- fields ---------------------------------------------------------- */

static int read_fixed(struct parse *p)
{
	struct qcow2_header *h = p->h;
	const uint8_t *b = p->bytes;

	if (p->n < QCOW2_V2_HEADER_BYTES || get_be32(b) != QCOW2_MAGIC)
		return err_set(p->e, -EINVAL, "%s is not a qcow2 image",
			       p->path);
	h->version = get_be32(b + QCOW2_AT_VERSION);
	if (h->version != 2 && h->version != 3)
		return err_set(p->e, -ENOTSUP,
			       "%s: qcow2 version %" PRIu32 " is not 2 or 3",
			       p->path, h->version);
	h->cluster_bits = get_be32(b + QCOW2_AT_CLUSTER_BITS);
	h->bytes = get_be64(b + QCOW2_AT_SIZE);
	h->l1_entries = get_be32(b + QCOW2_AT_L1_ENTRIES);
	h->l1_offset = get_be64(b + QCOW2_AT_L1_OFFSET);
	h->rt_offset = get_be64(b + QCOW2_AT_RT_OFFSET);
	h->rt_clusters = get_be32(b + QCOW2_AT_RT_CLUSTERS);
	h->snapshots = get_be32(b + QCOW2_AT_SNAPSHOTS);
	h->snapshots_offset = get_be64(b + QCOW2_AT_SNAPSHOTS_OFFSET);
	h->refcount_order = 4;
	h->header_bytes = QCOW2_V2_HEADER_BYTES;
	if (get_be32(b + QCOW2_AT_CRYPT))
		return err_set(p->e, -ENOTSUP,
			       "%s is encrypted (method %" PRIu32
			       "), which amber does not support",
			       p->path, get_be32(b + QCOW2_AT_CRYPT));
	return 0;
}

static int read_v3(struct parse *p)
{
	struct qcow2_header *h = p->h;
	const uint8_t *b = p->bytes;

	if (h->version < 3)
		return 0;
	if (p->n < QCOW2_V3_HEADER_BYTES)
		return err_set(p->e, -EINVAL, "%s ends inside its header",
			       p->path);
	h->incompatible = get_be64(b + QCOW2_AT_INCOMPATIBLE);
	h->compatible = get_be64(b + QCOW2_AT_COMPATIBLE);
	h->autoclear = get_be64(b + QCOW2_AT_AUTOCLEAR);
	h->refcount_order = get_be32(b + QCOW2_AT_REFCOUNT_ORDER);
	h->header_bytes = get_be32(b + QCOW2_AT_HEADER_BYTES);
	if (h->header_bytes < QCOW2_V3_HEADER_BYTES || h->header_bytes % 8 ||
	    h->header_bytes > MIN(p->n, QCOW2_HEADER_BYTES_MAX))
		return err_set(p->e, -EINVAL,
			       "%s: header_length %" PRIu32
			       " is not a multiple of 8 in %d..%zu",
			       p->path, h->header_bytes, QCOW2_V3_HEADER_BYTES,
			       MIN(p->n, (size_t)QCOW2_HEADER_BYTES_MAX));
	if (h->header_bytes > QCOW2_AT_COMPRESSION)
		h->compression = b[QCOW2_AT_COMPRESSION];
	return 0;
}

/* --- features -------------------------------------------------------- */

static const char *feature_name(unsigned int bit)
{
	switch (bit) {
	case 2:
		return " (external data file)";
	default:
		return "";
	}
}

static int check_features(struct parse *p)
{
	const uint64_t known = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT |
			       QCOW2_INCOMPAT_COMPRESSION |
			       QCOW2_INCOMPAT_EXTENDED_L2;
	const struct qcow2_header *h = p->h;
	uint64_t unknown = h->incompatible & ~known;
	bool says_type = h->incompatible & QCOW2_INCOMPAT_COMPRESSION;

	if (unknown)
		return err_set(
			p->e, -ENOTSUP,
			"%s uses incompatible feature bit %d%s, which "
			"amber does not support",
			p->path, __builtin_ctzll(unknown),
			feature_name((unsigned int)__builtin_ctzll(unknown)));
	if (h->compression > QCOW2_COMPRESSION_ZSTD ||
	    says_type != (h->compression != QCOW2_COMPRESSION_ZLIB))
		return err_set(p->e, -ENOTSUP,
			       "%s: compression type %" PRIu32
			       " is not zlib (0) or zstd (1, with feature bit "
			       "3)",
			       p->path, h->compression);
	return 0;
}

/* --- geometry -------------------------------------------------------- */

static int check_range(struct parse *p, const char *what, uint64_t offset,
		       uint64_t bytes)
{
	if (offset % cluster(p->h))
		return err_set(p->e, -EINVAL,
			       "%s: the %s at %#" PRIx64
			       " is not aligned to a cluster",
			       p->path, what, offset);
	if (!offset || offset > p->file_bytes || bytes > p->file_bytes - offset)
		return err_set(p->e, -EINVAL,
			       "%s: the %s at %#" PRIx64 ", %" PRIu64
			       " bytes, is not inside the file of %" PRIu64,
			       p->path, what, offset, bytes, p->file_bytes);
	return 0;
}

static int check_units(struct parse *p)
{
	const struct qcow2_header *h = p->h;
	uint32_t least = qcow2_is_extended(h) ? QCOW2_EXTENDED_BITS_MIN
					      : QCOW2_CLUSTER_BITS_MIN;

	if (h->cluster_bits < least || h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: cluster_bits %" PRIu32 " is not in %" PRIu32
			       "..%d",
			       p->path, h->cluster_bits, least,
			       QCOW2_CLUSTER_BITS_MAX);
	if (h->header_bytes > cluster(h))
		return err_set(p->e, -EINVAL,
			       "%s: header_length %" PRIu32
			       " is more than a cluster of %" PRIu64,
			       p->path, h->header_bytes, cluster(h));
	if (h->refcount_order > QCOW2_REFCOUNT_ORDER_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: refcount_order %" PRIu32 " is not in 0..%d",
			       p->path, h->refcount_order,
			       QCOW2_REFCOUNT_ORDER_MAX);
	if (h->bytes % 512 || h->bytes > INT64_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: size %" PRIu64
			       " is not a multiple of 512 below 2^63",
			       p->path, h->bytes);
	return 0;
}

static int check_tables(struct parse *p)
{
	const struct qcow2_header *h = p->h;
	uint64_t needed = qcow2_l1_needed(h->bytes, h->cluster_bits,
					  qcow2_is_extended(h));
	uint64_t rt_bytes = (uint64_t)h->rt_clusters << h->cluster_bits;
	int r = 0;

	if (h->l1_entries > QCOW2_L1_BYTES_MAX / 8 || needed > h->l1_entries)
		return err_set(p->e, -EINVAL,
			       "%s: l1_size %" PRIu32 " is not in %" PRIu64
			       "..%u, which a disk of %" PRIu64 " bytes needs",
			       p->path, h->l1_entries, needed,
			       QCOW2_L1_BYTES_MAX / 8, h->bytes);
	if (!h->rt_clusters || rt_bytes > QCOW2_RT_BYTES_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: refcount_table_clusters %" PRIu32
			       " is not in 1..%u",
			       p->path, h->rt_clusters,
			       QCOW2_RT_BYTES_MAX >> h->cluster_bits);
	if (h->snapshots > QCOW2_SNAPSHOTS_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: nb_snapshots %" PRIu32 " is more than %d",
			       p->path, h->snapshots, QCOW2_SNAPSHOTS_MAX);
	if (h->snapshots_offset & (cluster(h) - 1) ||
	    h->snapshots_offset > INT64_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: the snapshot table at %#" PRIx64
			       " is not the start of a cluster",
			       p->path, h->snapshots_offset);
	if (h->l1_entries)
		r = check_range(p, "L1 table", h->l1_offset,
				(uint64_t)h->l1_entries * 8);
	if (!r)
		r = check_range(p, "refcount table", h->rt_offset, rt_bytes);
	if (!r && h->snapshots)
		r = check_range(p, "snapshot table", h->snapshots_offset, 40);
	return r;
}

/* --- extensions and backing name ------------------------------------- */

/* [Bitmaps extension] */
static int read_bitmaps(struct parse *p, const uint8_t *data, uint32_t bytes)
{
	struct qcow2_header *h = p->h;

	if (bytes != 24)
		return err_set(p->e, -EINVAL,
			       "%s: the bitmaps extension has %" PRIu32
			       " bytes, not 24",
			       p->path, bytes);
	h->bitmaps = get_be32(data);
	h->bitmaps_bytes = get_be64(data + 8);
	h->bitmaps_offset = get_be64(data + 16);
	return 0;
}

static int read_extension(struct parse *p, uint32_t type, const uint8_t *data,
			  uint32_t bytes)
{
	struct qcow2_header *h = p->h;

	switch (type) {
	case QCOW2_EXT_FORMAT:
		if (bytes >= sizeof(h->backing_format) ||
		    memchr(data, 0, bytes))
			return err_set(p->e, -EINVAL,
				       "%s: the backing format has %" PRIu32
				       " bytes or a NUL in it",
				       p->path, bytes);
		memcpy(h->backing_format, data, bytes);
		h->backing_format[bytes] = '\0';
		return 0;
	case QCOW2_EXT_BITMAPS:
		return read_bitmaps(p, data, bytes);
	case QCOW2_EXT_CRYPT:
		return err_set(p->e, -ENOTSUP,
			       "%s has an encryption header, which amber does "
			       "not support",
			       p->path);
	default: /* unknown ones stay where they are */
		return 0;
	}
}

static int read_extensions(struct parse *p, uint64_t end)
{
	uint64_t at = p->h->header_bytes;
	unsigned int i;
	uint32_t bytes;
	int r;

	for (i = 0; i < QCOW2_EXTENSIONS_MAX; i++) {
		if (at + 8 > end)
			return 0;
		if (get_be32(p->bytes + at) == QCOW2_EXT_END)
			return 0;
		bytes = get_be32(p->bytes + at + 4);
		if (bytes > end - at - 8)
			return err_set(p->e, -EINVAL,
				       "%s: the header extension at %" PRIu64
				       " has %" PRIu32 " bytes of %" PRIu64,
				       p->path, at, bytes, end - at - 8);
		r = read_extension(p, get_be32(p->bytes + at),
				   p->bytes + at + 8, bytes);
		if (r)
			return r;
		at += 8 + (((uint64_t)bytes + 7) & ~UINT64_C(7));
	}
	return err_set(p->e, -EINVAL, "%s has more than %d header extensions",
		       p->path, QCOW2_EXTENSIONS_MAX);
}

static int read_backing(struct parse *p, uint64_t *end)
{
	uint64_t offset = get_be64(p->bytes + QCOW2_AT_BACKING_OFFSET);
	uint32_t bytes = get_be32(p->bytes + QCOW2_AT_BACKING_BYTES);

	*end = MIN(p->n, cluster(p->h));
	if (!offset)
		return 0;
	if (bytes > QCOW2_BACKING_MAX)
		return err_set(p->e, -EINVAL,
			       "%s: its backing file's name has %" PRIu32
			       " bytes, more than %d",
			       p->path, bytes, QCOW2_BACKING_MAX);
	if (offset < p->h->header_bytes || offset > *end ||
	    bytes > *end - offset)
		return err_set(p->e, -EINVAL,
			       "%s: its backing file's name at %#" PRIx64
			       " is not in the first cluster after the header",
			       p->path, offset);
	if (memchr(p->bytes + offset, 0, bytes))
		return err_set(p->e, -EINVAL,
			       "%s: its backing file's name has a NUL in it",
			       p->path);
	/* Of no bytes: there is none. */
	memcpy(p->h->backing, p->bytes + offset, bytes);
	p->h->backing[bytes] = '\0';
	*end = offset;
	return 0;
}

int qcow2_header_parse(struct qcow2_header *h, const uint8_t *bytes, size_t n,
		       uint64_t file_bytes, const char *path, struct err *e)
{
	struct parse p = { h, bytes, n, file_bytes, path, e };
	uint64_t end = 0;
	int r;

	memset(h, 0, sizeof(*h));
	r = read_fixed(&p);
	if (!r)
		r = read_v3(&p);
	if (!r)
		r = check_features(&p);
	if (!r)
		r = check_units(&p);
	if (!r)
		r = check_tables(&p);
	if (!r)
		r = read_backing(&p, &end);
	return r ? r : read_extensions(&p, end);
}

/* --- a new header ---------------------------------------------------- */

/* [Feature name table]: so that others can name what they lack. */
static const struct {
	uint8_t kind, bit;
	const char *name;
} features[] = {
	{ 0, 0, "dirty bit" },	      { 0, 1, "corrupt bit" },
	{ 0, 3, "compression type" }, { 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },   { 2, 0, "bitmaps" },
};

#define FEATURES      (sizeof(features) / sizeof(features[0]))
#define FEATURE_BYTES 48

static size_t put_extension(uint8_t *out, uint32_t type, const void *data,
			    size_t bytes)
{
	put_be32(out, type);
	put_be32(out + 4, (uint32_t)bytes);
	memcpy(out + 8, data, bytes);
	return 8 + ((bytes + 7) & ~(size_t)7);
}

static size_t put_features(uint8_t *out)
{
	uint8_t table[FEATURES * FEATURE_BYTES] = { 0 };
	size_t i;

	for (i = 0; i < FEATURES; i++) {
		uint8_t *row = table + i * FEATURE_BYTES;

		row[0] = features[i].kind;
		row[1] = features[i].bit;
		memcpy(row + 2, features[i].name, strlen(features[i].name));
	}
	return put_extension(out, QCOW2_EXT_FEATURES, table, sizeof(table));
}

static void put_fixed(const struct qcow2_header *h, uint8_t *out)
{
	put_be32(out, QCOW2_MAGIC);
	put_be32(out + QCOW2_AT_VERSION, h->version);
	put_be32(out + QCOW2_AT_CLUSTER_BITS, h->cluster_bits);
	put_be64(out + QCOW2_AT_SIZE, h->bytes);
	put_be32(out + QCOW2_AT_L1_ENTRIES, h->l1_entries);
	put_be64(out + QCOW2_AT_L1_OFFSET, h->l1_offset);
	put_be64(out + QCOW2_AT_RT_OFFSET, h->rt_offset);
	put_be32(out + QCOW2_AT_RT_CLUSTERS, h->rt_clusters);
	put_be32(out + QCOW2_AT_SNAPSHOTS, h->snapshots);
	put_be64(out + QCOW2_AT_SNAPSHOTS_OFFSET, h->snapshots_offset);
	if (h->version < 3)
		return;
	put_be64(out + QCOW2_AT_INCOMPATIBLE, h->incompatible);
	put_be64(out + QCOW2_AT_COMPATIBLE, h->compatible);
	put_be64(out + QCOW2_AT_AUTOCLEAR, h->autoclear);
	put_be32(out + QCOW2_AT_REFCOUNT_ORDER, h->refcount_order);
	put_be32(out + QCOW2_AT_HEADER_BYTES, QCOW2_HEADER_BYTES);
	out[QCOW2_AT_COMPRESSION] = (uint8_t)h->compression;
}

int qcow2_header_encode(const struct qcow2_header *h, uint8_t *out, size_t n,
			struct err *e)
{
	size_t name = strlen(h->backing), format = strlen(h->backing_format);
	size_t at = h->version < 3 ? QCOW2_V2_HEADER_BYTES : QCOW2_HEADER_BYTES;
	size_t table = 8 + FEATURES * FEATURE_BYTES;
	bool has_table = h->version >= 3 && at + table + 8 + 32 + name <= n;

	if (at + (has_table ? table : 0) + 8 + 8 + format + 8 + name > n)
		return err_set(e, -ENOSPC,
			       "the backing file's name, %zu bytes, does not "
			       "fit into a cluster of %zu",
			       name, n);
	put_fixed(h, out);
	if (format)
		at += put_extension(out + at, QCOW2_EXT_FORMAT,
				    h->backing_format, format);
	if (has_table)
		at += put_features(out + at);
	at += 8; /* QCOW2_EXT_END */
	if (name) {
		put_be64(out + QCOW2_AT_BACKING_OFFSET, at);
		put_be32(out + QCOW2_AT_BACKING_BYTES, (uint32_t)name);
		memcpy(out + at, h->backing, name);
	}
	return 0;
}
