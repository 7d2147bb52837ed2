/* SPDX-License-Identifier: Apache-2.0 */
/* The table of internal snapshots, row by row. The image's thread. */
#include "disk/qcow2_snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "disk/file_io.h"

#define ROW_BYTES      40
#define EXTRA_MAX      1024
#define ROW_MAX	       (ROW_BYTES + EXTRA_MAX + 65535 + 65535)
#define AT_L1_OFFSET   0
#define AT_L1_ENTRIES  8
#define AT_ID_BYTES    12
#define AT_NAME_BYTES  14
#define AT_DATE_S      16
#define AT_DATE_NS     20
#define AT_CLOCK       24
#define AT_STATE_BYTES 32
#define AT_EXTRA_BYTES 36

struct row {
	uint64_t at; /* in the file */
	uint64_t bytes;
	uint32_t extra, id, name;
};

static void copy_text(char *out, const uint8_t *text, size_t n)
{
	size_t i;

	n = n > 255 ? 255 : n;
	for (i = 0; i < n; i++)
		out[i] = text[i] < ' ' || text[i] == 127 ? '?' : (char)text[i];
	out[n] = '\0';
}

static int check_row(const struct qcow2 *q, uint32_t i, const uint8_t *b,
		     struct row *row, struct err *e)
{
	uint64_t l1 = get_be64(b + AT_L1_OFFSET);
	uint64_t l1_bytes = (uint64_t)get_be32(b + AT_L1_ENTRIES) * 8;

	row->extra = get_be32(b + AT_EXTRA_BYTES);
	row->id = get_be16(b + AT_ID_BYTES);
	row->name = get_be16(b + AT_NAME_BYTES);
	row->bytes =
		(ROW_BYTES + (uint64_t)row->extra + row->id + row->name + 7) &
		~UINT64_C(7);
	if (row->extra > EXTRA_MAX)
		return err_set(e, -EINVAL,
			       "%s: snapshot %" PRIu32 " has %" PRIu32
			       " bytes of extra data, more than %d",
			       q->path, i, row->extra, EXTRA_MAX);
	if (l1 % q->cluster_bytes || l1_bytes > QCOW2_L1_BYTES_MAX ||
	    l1 > q->end || l1_bytes > q->end - l1)
		return err_set(e, -EINVAL,
			       "%s: the L1 table of snapshot %" PRIu32
			       " at %#" PRIx64 ", %" PRIu64
			       " bytes, is not inside the file",
			       q->path, i, l1, l1_bytes);
	return 0;
}

static void read_row(const uint8_t *b, const struct row *row,
		     struct qcow2_snapshot *s)
{
	const uint8_t *text = b + ROW_BYTES + row->extra;

	*s = (struct qcow2_snapshot){
		.l1_offset = get_be64(b + AT_L1_OFFSET),
		.l1_entries = get_be32(b + AT_L1_ENTRIES),
		.date_s = get_be32(b + AT_DATE_S),
		.date_ns = get_be32(b + AT_DATE_NS),
		.clock_ns = get_be64(b + AT_CLOCK),
		.vm_state_bytes = get_be32(b + AT_STATE_BYTES),
	};
	if (row->extra >= 8)
		s->vm_state_bytes = get_be64(b + ROW_BYTES);
	if (row->extra >= 16)
		s->disk_bytes = get_be64(b + ROW_BYTES + 8);
	copy_text(s->id, text, row->id);
	copy_text(s->name, text + row->id, row->name);
}

static int load_row(struct qcow2 *q, uint32_t i, uint8_t *b, struct row *row,
		    struct err *e)
{
	int r = file_read_at(q->files, q->fd, b, ROW_BYTES, row->at);

	if (r)
		return err_sys(e, r, "%s: its snapshot table", q->path);
	r = check_row(q, i, b, row, e);
	if (r)
		return r;
	if (row->at + row->bytes > q->end)
		return err_set(e, -EINVAL,
			       "%s: snapshot %" PRIu32
			       " is not inside the file",
			       q->path, i);
	r = file_read_at(q->files, q->fd, b + ROW_BYTES, row->bytes - ROW_BYTES,
			 row->at + ROW_BYTES);
	return r ? err_sys(e, r, "%s: its snapshot table", q->path) : 0;
}

int qcow2_each_snapshot(struct qcow2 *q,
			int (*each)(void *ctx, const struct qcow2_snapshot *s),
			void *ctx, uint64_t *table_bytes, struct err *e)
{
	struct row row = { .at = q->h.snapshots_offset };
	struct qcow2_snapshot s;
	uint8_t *b = malloc(ROW_MAX + 8);
	uint32_t i;
	int r = 0;

	if (!b)
		return err_sys(e, -ENOMEM, "%s", q->path);
	for (i = 0; i < q->h.snapshots && !r; i++) {
		r = load_row(q, i, b, &row, e);
		if (r)
			break;
		row.at += row.bytes;
		if (row.at - q->h.snapshots_offset > QCOW2_SNAPSHOTS_BYTES)
			r = err_set(e, -EINVAL,
				    "%s: its snapshot table has more than %u "
				    "bytes",
				    q->path, QCOW2_SNAPSHOTS_BYTES);
		read_row(b, &row, &s);
		if (!r && each)
			r = each(ctx, &s);
	}
	if (table_bytes)
		*table_bytes = row.at - q->h.snapshots_offset;
	free(b);
	return r;
}

/* --- one of them ----------------------------------------------------- */

struct search {
	const char *name;
	struct qcow2_snapshot *out;
	bool has_id, has_name;
};

static int compare_snapshot(void *ctx, const struct qcow2_snapshot *s)
{
	struct search *k = ctx;

	if (!k->has_id && !strcmp(s->id, k->name)) {
		k->has_id = true;
		*k->out = *s;
	} else if (!k->has_id && !k->has_name && !strcmp(s->name, k->name)) {
		k->has_name = true;
		*k->out = *s;
	}
	return 0;
}

int qcow2_find_snapshot(struct qcow2 *q, const char *name,
			struct qcow2_snapshot *out, struct err *e)
{
	struct search k = { .name = name, .out = out };
	int r = qcow2_each_snapshot(q, compare_snapshot, &k, NULL, e);

	if (r || k.has_id || k.has_name)
		return r;
	return err_set(e, -ENOENT,
		       "%s has no internal snapshot %.64s among its %" PRIu32
		       " (amber disk info %s)",
		       q->path, name, q->h.snapshots, q->path);
}

int qcow2_show_snapshot(struct qcow2 *q, const char *name, struct err *e)
{
	struct qcow2_snapshot s;
	uint64_t *l1, i, host;
	int r = qcow2_find_snapshot(q, name, &s, e);

	if (!r)
		r = qcow2_read_numbers(q, s.l1_offset, s.l1_entries, &l1,
				       "snapshot's L1 table", e);
	if (r)
		return r;
	free(q->l1);
	q->l1 = l1;
	q->h.l1_offset = s.l1_offset;
	q->h.l1_entries = s.l1_entries;
	if (s.disk_bytes)
		q->h.bytes = s.disk_bytes;
	for (i = 0; i < s.l1_entries && !r; i++) {
		host = l1[i] & QCOW2_OFFSET;
		if (host && !(host % q->cluster_bytes) && host < q->end)
			r = qcow2_set_meta(q, host, true);
	}
	return r ? err_sys(e, r, "%s: its snapshot", q->path) : 0;
}
