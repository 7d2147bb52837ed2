/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream, member by member: each is the one that has to come now, or the
 * stream is refused. INV-1: nothing is given to the sink beyond the size that
 * was announced to it, and that size is within its part's limit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/bundle.h"
#include "vmm/machine_state.h"
#include "vmm/ram.h"

#define PIECE	   (256u << 10)
#define IMAGE_MORE (16u << 20) /* tables of an image, at least */

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct reading {
	const struct tar_source *source; /* borrowed */
	const struct bundle_sink *sink;	 /* borrowed */
	struct snapshot_meta *meta;	 /* borrowed */
	struct err *e;
	uint8_t *piece;	 /* owned: PIECE */
	struct buf sums; /* as they should be */
	struct buf text; /* of meta.json, and of checksums */
	struct buf map;
	struct bundle_crc crc;
};

static int bad(struct reading *k, const char *name, const char *what)
{
	return err_set(k->e, -EBADMSG, "%s: %s", name, what);
}

/* --- limits ---------------------------------------------------------- */

static uint64_t limit_of(const struct reading *k, enum bundle_part part,
			 unsigned int disk)
{
	uint64_t bytes;

	switch (part) {
	case BUNDLE_META:
		return SNAPSHOT_META_BYTES;
	case BUNDLE_CONFIG:
		return SNAPSHOT_CONFIG_BYTES;
	case BUNDLE_STATE:
		return MACHINE_STATE_BYTES;
	case BUNDLE_MEMORY:
		return ram_end_of(k->meta->memory_bytes);
	case BUNDLE_DISK:
		bytes = k->meta->disk[disk].bytes;
		return MIN(bytes, INT64_MAX / 2) / 128 * 129 + IMAGE_MORE;
	default:
		return BUNDLE_SUMS_BYTES;
	}
}

/* --- data ------------------------------------------------------------ */

static int give(struct reading *k, enum bundle_part part, uint64_t at, size_t n)
{
	const struct bundle_sink *s = k->sink;

	if (part == BUNDLE_META || part == BUNDLE_SUMS)
		return buf_put(&k->text, k->piece, n)
			       ? err_sys(k->e, k->text.error, "the stream")
			       : 0;
	return s->data(s->ctx, at, k->piece, n, k->e);
}

static int read_range(struct reading *k, enum bundle_part part, uint64_t at,
		      uint64_t bytes)
{
	size_t n;
	int r = 0;

	for (; bytes && !r; bytes -= n, at += n) {
		n = MIN(bytes, PIECE);
		r = k->source->read(k->source->ctx, k->piece, n);
		if (r)
			return tar_source_failed(r, k->e);
		bundle_crc_add(&k->crc, at, k->piece, n);
		r = give(k, part, at, n);
	}
	return r;
}

static int read_sparse(struct reading *k, enum bundle_part part,
		       const struct tar_member *m)
{
	struct tar_extent *x = NULL;
	size_t count = 0, i;
	int r;

	buf_reset(&k->map);
	r = tar_read_map(k->source, m, &k->map, &x, &count, k->e);
	for (i = 0; i < count && !r; i++)
		r = read_range(k, part, x[i].at, x[i].bytes);
	free(x);
	return r;
}

static int skip_padding(struct reading *k, const struct tar_member *m)
{
	int r = k->source->read(k->source->ctx, k->piece,
				tar_padding(m->bytes));

	return r ? tar_source_failed(r, k->e) : 0;
}

static int read_data(struct reading *k, enum bundle_part part,
		     const struct tar_member *m)
{
	int r;

	bundle_crc_begin(&k->crc);
	r = m->is_sparse ? read_sparse(k, part, m)
			 : read_range(k, part, 0, m->bytes);
	if (!r)
		r = skip_padding(k, m);
	bundle_crc_add(&k->crc, m->real_bytes, NULL, 0);
	if (!r && part != BUNDLE_SUMS &&
	    buf_printf(&k->sums, "%08x %" PRIu64 " %s\n", k->crc.crc,
		       m->real_bytes, m->name))
		r = err_sys(k->e, k->sums.error, "checksums");
	return r;
}

/* --- members --------------------------------------------------------- */

static int check_member(struct reading *k, const struct tar_member *m,
			const char *name, uint64_t limit, bool is_memory)
{
	char text[64];

	if (strcmp(m->name, name) != 0)
		return err_set(k->e, -EBADMSG,
			       "the stream has '%s' where %s has to be",
			       m->name, name);
	if (m->is_sparse && !is_memory)
		return bad(k, name, "is sparse");
	if (is_memory && m->real_bytes != limit) {
		snprintf(text, sizeof(text), "is not of %" PRIu64 " bytes",
			 limit);
		return bad(k, name, text);
	}
	if (m->real_bytes <= limit && m->bytes <= limit + TAR_MAP_BYTES)
		return 0;
	snprintf(text, sizeof(text), "is larger than %" PRIu64 " bytes", limit);
	return bad(k, name, text);
}

static int read_member(struct reading *k, enum bundle_part part,
		       unsigned int disk)
{
	const struct bundle_sink *s = k->sink;
	bool is_ours = part == BUNDLE_META || part == BUNDLE_SUMS;
	char name[TAR_NAME_MAX + 1];
	struct tar_member m;
	int r = tar_read_header(k->source, &m, k->e);

	bundle_name(part, k->meta->disk[disk].id, name);
	if (!r)
		return bad(k, name, "is missing: the stream ends before");
	r = r < 0 ? r
		  : check_member(k, &m, name, limit_of(k, part, disk),
				 part == BUNDLE_MEMORY);
	if (!r && !is_ours)
		r = s->begin(s->ctx, part, disk, m.real_bytes, k->e);
	if (!r)
		r = read_data(k, part, &m);
	if (!r && !is_ours)
		r = s->end(s->ctx, k->e);
	return r;
}

static int read_meta(struct reading *k)
{
	int r = read_member(k, BUNDLE_META, 0);

	if (!r)
		r = snapshot_meta_parse(k->meta, (const char *)k->text.data,
					k->text.len, k->e);
	buf_reset(&k->text);
	return r;
}

/* The name in the first line that is another one. */
static int name_damaged(struct reading *k)
{
	const char *is = buf_text(&k->text), *want = buf_text(&k->sums);
	char name[TAR_NAME_MAX + 1] = "checksums";
	const char *line = want;
	size_t i;

	for (i = 0; want[i] && want[i] == is[i]; i++)
		if (want[i] == '\n')
			line = want + i + 1;
	sscanf(line, "%*s %*s %79s", name);
	return bad(k, name, "the checksum is wrong");
}

static int read_sums(struct reading *k)
{
	int r = read_member(k, BUNDLE_SUMS, 0);

	if (r)
		return r;
	if (k->text.len == k->sums.len &&
	    !memcmp(k->text.data, k->sums.data, k->sums.len))
		return 0;
	return name_damaged(k);
}

static int read_end(struct reading *k)
{
	struct tar_member m;
	int r = tar_read_header(k->source, &m, k->e);

	return r > 0 ? bad(k, m.name, "is behind the end") : r;
}

static int read_all(struct reading *k)
{
	static const enum bundle_part parts[] = { BUNDLE_CONFIG, BUNDLE_STATE,
						  BUNDLE_MEMORY };
	unsigned int i;
	int r = read_meta(k);

	for (i = 0; i < 3 && !r; i++)
		if (bundle_has(k->meta, parts[i], 0))
			r = read_member(k, parts[i], 0);
	for (i = 0; i < k->meta->disks && !r; i++)
		if (bundle_has(k->meta, BUNDLE_DISK, i))
			r = read_member(k, BUNDLE_DISK, i);
	if (!r)
		r = read_sums(k);
	return r ? r : read_end(k);
}

int bundle_read(const struct tar_source *source, const struct bundle_sink *sink,
		struct snapshot_meta *meta, struct err *e)
{
	struct reading k = {
		.source = source, .sink = sink, .meta = meta, .e = e
	};
	int r;

	memset(meta, 0, sizeof(*meta));
	buf_init(&k.sums, BUNDLE_SUMS_BYTES);
	buf_init(&k.text, SNAPSHOT_META_BYTES);
	buf_init(&k.map, TAR_MAP_BYTES);
	k.piece = malloc(PIECE);
	r = k.piece ? read_all(&k) : err_sys(e, -ENOMEM, "the stream");
	free(k.piece);
	buf_fini(&k.sums);
	buf_fini(&k.text);
	buf_fini(&k.map);
	return r;
}
