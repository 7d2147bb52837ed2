/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an empty qcow2 image: header, refcount table, refcount blocks, L1
 * table, in this order. The header is written last, so that a file that was
 * begun and not finished is no image. Any thread.
 */
#include "disk/qcow2_create.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

const struct qcow2_options qcow2_defaults = {
	.version = 3,
	.cluster_bits = 16,
	.refcount_order = 4,
};

struct layout {
	uint64_t rt, blocks, l1, all; /* clusters */
	uint64_t l1_entries;
};

static int check_version(const struct qcow2_options *o, struct err *e)
{
	if (o->version != 2 && o->version != 3)
		return err_set(e, -EINVAL, "version %" PRIu32 " is not 2 or 3",
			       o->version);
	if (o->version == 2 && (o->is_extended || o->is_lazy ||
				o->compression || o->refcount_order != 4))
		return err_set(e, -EINVAL,
			       "version 2 (compat=0.10) has 16-bit refcounts, "
			       "zlib and neither extended L2 entries nor lazy "
			       "refcounts");
	return 0;
}

static int check_options(const struct qcow2_options *o, struct err *e)
{
	uint32_t least = o->is_extended ? QCOW2_EXTENDED_BITS_MIN
					: QCOW2_CLUSTER_BITS_MIN;

	if (o->cluster_bits < least || o->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return err_set(e, -EINVAL,
			       "the cluster size is not a power of two in "
			       "%u..%u",
			       1U << least, 1U << QCOW2_CLUSTER_BITS_MAX);
	if (o->refcount_order > QCOW2_REFCOUNT_ORDER_MAX)
		return err_set(e, -EINVAL,
			       "refcounts have 1, 2, 4, 8, 16, 32 or 64 bits");
	if (o->compression > QCOW2_COMPRESSION_ZSTD)
		return err_set(e, -EINVAL, "compression type %" PRIu32,
			       o->compression);
	if (o->bytes % 512 || o->bytes > INT64_MAX)
		return err_set(e, -EINVAL,
			       "the size %" PRIu64
			       " is not a multiple of 512 below 2^63",
			       o->bytes);
	return check_version(o, e);
}

static uint64_t divide_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

static int plan(const struct qcow2_options *o, struct layout *l, struct err *e)
{
	uint64_t per_table = UINT64_C(1) << (o->cluster_bits - 3);
	uint64_t per_block = UINT64_C(1)
			     << (o->cluster_bits + 3 - o->refcount_order);
	uint64_t before = 0;

	l->l1_entries =
		qcow2_l1_needed(o->bytes, o->cluster_bits, o->is_extended);
	if (l->l1_entries > QCOW2_L1_BYTES_MAX / 8)
		return err_set(e, -EINVAL,
			       "a disk of %" PRIu64
			       " bytes needs larger clusters than %u: at most "
			       "%" PRIu64 " bytes fit",
			       o->bytes, 1U << o->cluster_bits,
			       (uint64_t)QCOW2_L1_BYTES_MAX / 8 *
					       (per_table >> o->is_extended)
				       << o->cluster_bits);
	l->l1 = divide_up(l->l1_entries, per_table);
	l->rt = l->blocks = 1;
	do {
		before = l->rt + l->blocks;
		l->all = 1 + l->rt + l->blocks + l->l1;
		l->blocks = divide_up(l->all, per_block);
		l->rt = divide_up(l->blocks, per_table);
	} while (l->rt + l->blocks != before);
	return 0;
}

/* What is written of a table: the rest of the file is a hole. */
static size_t used_part(uint64_t used, size_t bytes)
{
	return used + 4096 < bytes ? (size_t)(used + 4096) & ~(size_t)4095
				   : bytes;
}

static int write_blocks(int fd, const struct qcow2_options *o,
			const struct layout *l, uint8_t *cluster,
			const struct file_ops *files)
{
	uint64_t per_block = UINT64_C(1)
			     << (o->cluster_bits + 3 - o->refcount_order);
	size_t bytes = (size_t)1 << o->cluster_bits;
	uint64_t b, n;
	int r = 0;

	for (b = 0; b < l->blocks && !r; b++) {
		n = l->all - b * per_block;
		qcow2_count_ones(cluster, bytes, n, o->refcount_order);
		r = file_write_at(files, fd, cluster,
				  used_part(n << o->refcount_order >> 3, bytes),
				  (1 + l->rt + b) << o->cluster_bits);
	}
	return r;
}

static int write_table(int fd, const struct qcow2_options *o,
		       const struct layout *l, uint8_t *cluster,
		       const struct file_ops *files)
{
	size_t bytes = (size_t)1 << o->cluster_bits, i;
	uint64_t per_table = bytes / 8, t, b = 0;
	int r = 0;

	for (t = 0; t < l->rt && !r; t++) {
		memset(cluster, 0, bytes);
		for (i = 0; i < per_table && b < l->blocks; i++, b++)
			put_be64(cluster + 8 * i, (1 + l->rt + b)
							  << o->cluster_bits);
		r = file_write_at(files, fd, cluster, used_part(8 * i, bytes),
				  (1 + t) << o->cluster_bits);
	}
	return r;
}

static void describe(const struct qcow2_options *o, const struct layout *l,
		     struct qcow2_header *h)
{
	*h = (struct qcow2_header){
		.version = o->version,
		.cluster_bits = o->cluster_bits,
		.bytes = o->bytes,
		.l1_offset = (1 + l->rt + l->blocks) << o->cluster_bits,
		.l1_entries = (uint32_t)l->l1_entries,
		.rt_offset = UINT64_C(1) << o->cluster_bits,
		.rt_clusters = (uint32_t)l->rt,
		.incompatible =
			(o->is_extended ? QCOW2_INCOMPAT_EXTENDED_L2 : 0) |
			(o->compression ? QCOW2_INCOMPAT_COMPRESSION : 0),
		.compatible = o->is_lazy ? QCOW2_COMPAT_LAZY : 0,
		.refcount_order = o->refcount_order,
		.compression = o->compression,
	};
}

static int set_backing(const struct qcow2_options *o, struct qcow2_header *h,
		       struct err *e)
{
	const char *format = o->backing_format ? o->backing_format : "";

	if (!o->backing)
		return 0;
	if (!*o->backing || strlen(o->backing) > QCOW2_BACKING_MAX ||
	    strlen(format) >= sizeof(h->backing_format))
		return err_set(e, -EINVAL,
			       "the backing file's name has 1..%d bytes, its "
			       "format at most %zu",
			       QCOW2_BACKING_MAX,
			       sizeof(h->backing_format) - 1);
	memcpy(h->backing, o->backing, strlen(o->backing) + 1);
	memcpy(h->backing_format, format, strlen(format) + 1);
	return 0;
}

static int write_header(int fd, const struct qcow2_options *o,
			const struct layout *l, uint8_t *cluster,
			const struct file_ops *files, struct err *e)
{
	size_t bytes = (size_t)1 << o->cluster_bits;
	struct qcow2_header h;
	int r;

	describe(o, l, &h);
	r = set_backing(o, &h, e);
	if (r)
		return r;
	memset(cluster, 0, bytes);
	r = qcow2_header_encode(&h, cluster, bytes, e);
	if (r)
		return r;
	r = file_write_at(files, fd, cluster, bytes, 0);
	return r ? err_sys(e, r, "writing the image") : 0;
}

int qcow2_create(int fd, const struct qcow2_options *o,
		 const struct file_ops *files, struct err *e)
{
	struct layout l = { 0 };
	uint8_t *cluster;
	int r = check_options(o, e);

	if (!r)
		r = plan(o, &l, e);
	if (r)
		return r;
	cluster = malloc((size_t)1 << o->cluster_bits);
	if (!cluster)
		return err_sys(e, -ENOMEM, "the image's tables");
	if (ftruncate(fd, (off_t)(l.all << o->cluster_bits)) < 0)
		r = -errno;
	if (!r)
		r = write_blocks(fd, o, &l, cluster, files);
	if (!r)
		r = write_table(fd, o, &l, cluster, files);
	KILL_POINT("create-tables-written");
	if (r)
		err_sys(e, r, "writing the image");
	else
		r = write_header(fd, o, &l, cluster, files, e);
	free(cluster);
	return r;
}
