/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a whole image: another backing file in its header, all of its
 * data given up. The image's thread; nothing is in flight.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

/* --- the backing file ------------------------------------------------ */

struct rewrite {
	struct qcow2 *q;
	uint8_t *old, *new; /* owned: the first cluster */
	size_t at;	    /* written of new */
	const char *backing, *format;
	struct err *e;
};

static int put(struct rewrite *w, const void *bytes, size_t n, size_t padded)
{
	if (w->at > w->q->cluster_bytes || padded > w->q->cluster_bytes - w->at)
		return err_set(w->e, -ENOSPC,
			       "%s: a backing file's name of %zu bytes does "
			       "not fit into its header",
			       w->q->path, strlen(w->backing));
	memcpy(w->new + w->at, bytes, n);
	w->at += padded;
	return 0;
}

static int put_extension(struct rewrite *w, uint32_t type, const void *data,
			 uint32_t n)
{
	uint8_t head[8];
	int r;

	put_be32(head, type);
	put_be32(head + 4, n);
	r = put(w, head, 8, 8);
	return r ? r : put(w, data, n, (n + 7) & ~(size_t)7);
}

/* Those of others stay as they are; open has checked their lengths. */
static int copy_extensions(struct rewrite *w)
{
	size_t at = w->q->h.header_bytes, end = w->q->cluster_bytes;
	uint64_t name = get_be64(w->old + QCOW2_AT_BACKING_OFFSET);
	uint32_t type, n;
	int r = 0;

	end = name ? (size_t)name : end;
	while (at + 8 <= end && !r) {
		type = get_be32(w->old + at);
		n = get_be32(w->old + at + 4);
		if (type == QCOW2_EXT_END)
			break;
		if (type != QCOW2_EXT_FORMAT)
			r = put_extension(w, type, w->old + at + 8, n);
		at += 8 + (((size_t)n + 7) & ~(size_t)7);
	}
	return r;
}

static int build(struct rewrite *w)
{
	static const uint8_t end[8];
	size_t n = strlen(w->backing);
	int r;

	memcpy(w->new, w->old, w->q->h.header_bytes);
	w->at = w->q->h.header_bytes;
	put_be64(w->new + QCOW2_AT_BACKING_OFFSET, 0);
	put_be32(w->new + QCOW2_AT_BACKING_BYTES, 0);
	r = copy_extensions(w);
	if (!r && *w->format)
		r = put_extension(w, QCOW2_EXT_FORMAT, w->format,
				  (uint32_t)strlen(w->format));
	if (!r)
		r = put(w, end, sizeof(end), sizeof(end));
	if (r || !n)
		return r;
	put_be64(w->new + QCOW2_AT_BACKING_OFFSET, w->at);
	put_be32(w->new + QCOW2_AT_BACKING_BYTES, (uint32_t)n);
	return put(w, w->backing, n, n);
}

static int rewrite_header(struct rewrite *w)
{
	struct qcow2 *q = w->q;
	int r = file_read_at(q->files, q->fd, w->old, q->cluster_bytes, 0);

	if (r)
		return err_sys(w->e, r, "%s: reading its header", q->path);
	r = build(w);
	if (r)
		return r;
	KILL_POINT("qcow2-backing-built");
	q->is_renamed = true;
	r = file_write_at(q->files, q->fd, w->new, w->at, 0);
	KILL_POINT("qcow2-backing-named");
	if (!r)
		r = qcow2_sync(q);
	return r ? err_sys(w->e, r, "%s: writing its header", q->path) : 0;
}

int qcow2_set_backing(struct qcow2 *q, const char *backing, const char *format,
		      struct err *e)
{
	struct rewrite w = { .q = q,
			     .backing = backing ? backing : "",
			     .format = backing ? format : "",
			     .e = e };
	int r;

	if (strlen(w.backing) > QCOW2_BACKING_MAX ||
	    strlen(w.format) >= sizeof(q->h.backing_format))
		return err_set(e, -EINVAL,
			       "a backing file's name has at most %d bytes",
			       QCOW2_BACKING_MAX);
	w.old = malloc(q->cluster_bytes);
	w.new = calloc(1, q->cluster_bytes);
	r = w.old && w.new ? rewrite_header(&w)
			   : err_sys(e, -ENOMEM, "%s", q->path);
	free(w.old);
	free(w.new);
	if (r)
		return r;
	memcpy(q->h.backing, w.backing, strlen(w.backing) + 1);
	memcpy(q->h.backing_format, w.format, strlen(w.format) + 1);
	return 0;
}

/* --- emptying -------------------------------------------------------- */

/* The pointer first; what it led to is given up by the flush. */
static int clear_l2(struct qcow2 *q, uint64_t i)
{
	uint64_t span = UINT64_C(1) << (q->l2_bits + q->cluster_bits), done;
	uint64_t table = (q->l1[i] & QCOW2_OFFSET) >> q->cluster_bits;
	bool is_ours = q->l1[i] & QCOW2_COPIED;
	uint64_t at;
	int r = 0;

	/* A shared table counts its clusters for the other one, too. */
	for (at = 0; is_ours && at < span && !r; at += done) {
		r = qcow2_zero(q, i * span + at, span - at, false, false,
			       &done);
		if (!r && qcow2_is_full(q))
			r = qcow2_flush(q);
	}
	if (r)
		return r;
	q->l1[i] = 0;
	range_add(&q->l1_dirty, i);
	return qcow2_give_up(q, table, 1, true);
}

int qcow2_clear(struct qcow2 *q)
{
	uint64_t i;
	int r = 0;

	if (q->h.snapshots)
		return -ENOTSUP;
	for (i = 0; i < q->h.l1_entries && !r; i++)
		if (q->l1[i] & QCOW2_OFFSET)
			r = clear_l2(q, i);
	KILL_POINT("qcow2-emptied");
	if (!r)
		r = qcow2_flush(q);
	return r ? r : qcow2_flush(q); /* what became free by it */
}
