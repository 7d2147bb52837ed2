/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's members, written one after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "snapshot/bundle.h"
#include "snapshot/store.h"

#define PIECE	    (256u << 10)
#define HEAD_BYTES  (16u << 10)
#define FIRST_GAP   4096
#define EXTENTS_MAX (TAR_EXTENTS_MAX - 1)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* --- names ----------------------------------------------------------- */

const char *bundle_name(enum bundle_part part, const char *disk,
			char name[TAR_NAME_MAX + 1])
{
	static const char *const names[] = { STORE_META,    STORE_CONFIG,
					     STORE_STATE,   STORE_MEMORY,
					     "disk-.qcow2", "checksums" };

	if (part == BUNDLE_DISK)
		snprintf(name, TAR_NAME_MAX + 1, "disk-%s.qcow2", disk);
	else
		snprintf(name, TAR_NAME_MAX + 1, "%s", names[part]);
	return name;
}

bool bundle_has(const struct snapshot_meta *m, enum bundle_part part,
		unsigned int disk)
{
	switch (part) {
	case BUNDLE_STATE:
	case BUNDLE_MEMORY:
		return m->kind != SNAPSHOT_DISK;
	case BUNDLE_DISK:
		return disk < m->disks && m->disk[disk].layer;
	default:
		return true;
	}
}

/* --- bytes ----------------------------------------------------------- */

void bundle_begin(struct bundle_writer *w, int fd, uint64_t changed_s)
{
	*w = (struct bundle_writer){ .fd = fd, .changed_s = changed_s };
	buf_init(&w->sums, BUNDLE_SUMS_BYTES);
}

void bundle_fini(struct bundle_writer *w)
{
	buf_fini(&w->sums);
}

static int put(struct bundle_writer *w, const void *bytes, size_t len,
	       struct err *e)
{
	int r = file_write_all(w->fd, bytes, len);

	w->written += len;
	return r ? err_sys(e, r, "writing the stream") : 0;
}

/* Of a file, at that place of it. */
static int put_data(struct bundle_writer *w, uint64_t at, const void *bytes,
		    size_t len, struct err *e)
{
	bundle_crc_add(&w->crc, at, bytes, len);
	return put(w, bytes, len, e);
}

static int put_header(struct bundle_writer *w, struct tar_member *m,
		      struct err *e)
{
	struct buf head;
	int r;

	bundle_crc_begin(&w->crc);
	m->changed_s = w->changed_s;
	buf_init(&head, HEAD_BYTES);
	r = tar_put_header(&head, m);
	r = r ? err_sys(e, r, "%s", m->name) : put(w, head.data, head.len, e);
	buf_fini(&head);
	return r;
}

static int end_member(struct bundle_writer *w, const struct tar_member *m,
		      struct err *e)
{
	static const uint8_t zeroes[TAR_BLOCK];

	bundle_crc_add(&w->crc, m->real_bytes, NULL, 0);
	if (buf_printf(&w->sums, "%08x %" PRIu64 " %s\n", w->crc.crc,
		       m->real_bytes, m->name))
		return err_sys(e, w->sums.error, "%s", m->name);
	return put(w, zeroes, tar_padding(m->bytes), e);
}

/* --- members --------------------------------------------------------- */

static void name_member(struct tar_member *m, const char *name)
{
	*m = (struct tar_member){ .bytes = 0 };
	snprintf(m->name, sizeof(m->name), "%s", name);
}

int bundle_put_bytes(struct bundle_writer *w, const char *name,
		     const void *bytes, size_t len, struct err *e)
{
	struct tar_member m;
	int r;

	name_member(&m, name);
	m.bytes = m.real_bytes = len;
	r = put_header(w, &m, e);
	if (!r)
		r = put_data(w, 0, bytes, len, e);
	return r ? r : end_member(w, &m, e);
}

static int copy_range(struct bundle_writer *w, int fd, uint64_t at,
		      uint64_t bytes, struct err *e)
{
	uint8_t *piece = malloc(PIECE);
	ssize_t n;
	int r = piece ? 0 : err_sys(e, -ENOMEM, "a copy");

	while (!r && bytes) {
		n = pread(fd, piece, MIN(bytes, PIECE), (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n ? err_sys(e, -errno, "reading")
			      : err_set(e, -EIO, "it became shorter");
			break;
		}
		r = put_data(w, at, piece, (size_t)n, e);
		at += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	free(piece);
	return r;
}

int bundle_put_file(struct bundle_writer *w, const char *name, int fd,
		    struct err *e)
{
	struct tar_member m;
	struct stat st;
	int r;

	name_member(&m, name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", name);
	m.bytes = m.real_bytes = (uint64_t)st.st_size;
	r = put_header(w, &m, e);
	if (!r)
		r = copy_range(w, fd, 0, m.bytes, e);
	if (r)
		return err_prefix(e, "%s", name);
	return end_member(w, &m, e);
}

/* --- sparse ones ----------------------------------------------------- */

struct extents {
	struct tar_extent *x; /* owned: EXTENTS_MAX */
	size_t count;
	uint64_t real_bytes, bytes;
};

/* What follows without a gap, or with a small one, goes with it. */
static bool add_extent(struct extents *s, uint64_t at, uint64_t end,
		       uint64_t gap)
{
	struct tar_extent *last = s->count ? &s->x[s->count - 1] : NULL;

	if (last && at - (last->at + last->bytes) < gap) {
		last->bytes = end - last->at;
		return true;
	}
	if (s->count == EXTENTS_MAX)
		return false;
	s->x[s->count++] = (struct tar_extent){ at, end - at };
	return true;
}

/* Holes of less than gap count as data. False: there are too many extents. */
static bool find_extents(struct extents *s, int fd, uint64_t gap)
{
	off_t at = 0, end = (off_t)s->real_bytes, hole;

	s->count = 0;
	while (at < end) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 || at >= end)
			break; /* only a hole is left */
		hole = lseek(fd, at, SEEK_HOLE);
		if (hole < 0 || hole > end)
			hole = end;
		if (!add_extent(s, (uint64_t)at, (uint64_t)hole, gap))
			return false;
		at = hole;
	}
	return true;
}

static int read_extents(struct extents *s, int fd, struct err *e)
{
	uint64_t gap = FIRST_GAP;
	struct stat st;
	size_t i;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "looking at it");
	s->real_bytes = (uint64_t)st.st_size;
	s->x = calloc(EXTENTS_MAX, sizeof(*s->x));
	if (!s->x)
		return err_sys(e, -ENOMEM, "a map");
	while (!find_extents(s, fd, gap))
		gap *= 2;
	for (i = 0; i < s->count; i++)
		s->bytes += s->x[i].bytes;
	return 0;
}

static int put_extents(struct bundle_writer *w, struct tar_member *m,
		       const struct extents *s, int fd, struct err *e)
{
	struct buf map;
	size_t i;
	int r;

	buf_init(&map, TAR_MAP_BYTES);
	r = tar_put_map(&map, s->x, s->count, s->real_bytes);
	m->is_sparse = true;
	m->real_bytes = s->real_bytes;
	m->bytes = map.len + s->bytes;
	r = r ? err_sys(e, r, "a map") : put_header(w, m, e);
	if (!r)
		r = put(w, map.data, map.len, e);
	for (i = 0; i < s->count && !r; i++)
		r = copy_range(w, fd, s->x[i].at, s->x[i].bytes, e);
	buf_fini(&map);
	return r;
}

int bundle_put_sparse(struct bundle_writer *w, const char *name, int fd,
		      struct err *e)
{
	struct extents s = { .count = 0 };
	struct tar_member m;
	int r = read_extents(&s, fd, e);

	name_member(&m, name);
	if (!r)
		r = put_extents(w, &m, &s, fd, e);
	free(s.x);
	if (r)
		return err_prefix(e, "%s", name);
	return end_member(w, &m, e);
}

/* --- the end --------------------------------------------------------- */

int bundle_put_end(struct bundle_writer *w, struct err *e)
{
	char name[TAR_NAME_MAX + 1];
	struct buf sums, end;
	int r;

	buf_init(&end, 4 * TAR_BLOCK);
	buf_init(&sums, BUNDLE_SUMS_BYTES);
	r = buf_put(&sums, w->sums.data, w->sums.len);
	r = r ? err_sys(e, r, "checksums")
	      : bundle_put_bytes(w, bundle_name(BUNDLE_SUMS, NULL, name),
				 sums.data, sums.len, e);
	if (!r) {
		tar_put_end(&end);
		r = put(w, end.data, end.len, e);
	}
	buf_fini(&sums);
	buf_fini(&end);
	return r;
}
