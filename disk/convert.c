/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a disk into a new image, in which what reads as zeroes is not
 * written, and comparing two disks. One thread.
 */
#include "disk/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "disk/copy.h"
#include "disk/disk_pack.h"
#include "disk/format.h"

#define PIECE_BYTES (1u << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct conversion {
	struct disk *from, *to;
	struct ioq *q;
	struct convert *c;
	struct err *e;
};

static const struct file_ops *files_of(const struct convert *c)
{
	return c->files ? c->files : &file_ops_real;
}

static int look(void *ctx, uint64_t at, uint64_t left, uint64_t *n,
		enum copy_what *what)
{
	struct disk_place place = { .bytes = 0 };
	int r = disk_look(ctx, at, left, &place);

	*n = place.bytes;
	*what = place.is_zero ? COPY_ZERO : COPY_DATA;
	return r;
}

static int peek(void *ctx, void *out, uint64_t n, uint64_t at)
{
	return disk_peek(ctx, out, n, at);
}

/* --- the new image --------------------------------------------------- */

static int open_new(struct conversion *k, const struct new_file *f)
{
	struct disk_config config = { .format = k->c->format,
				      .files = k->c->files };
	int r;

	config.locked_fd = f->fd; /* nobody else knows it yet */
	config.path = f->path;
	r = disk_open(&k->to, &config, k->e);
	if (!r)
		r = ioq_open(&k->q, IOQ_SYNC, 64, k->c->files, k->e);
	if (!r)
		disk_attach(k->to, k->q);
	return r;
}

static int make_new(struct conversion *k, const struct new_file *f)
{
	uint64_t bytes = disk_get_info(k->from)->bytes;

	if (k->c->format == DISK_RAW)
		return ftruncate(f->fd, (off_t)bytes) < 0
			       ? err_sys(k->e, -errno, "%s", f->path)
			       : 0;
	k->c->options.bytes = bytes;
	return qcow2_create(f->fd, &k->c->options, files_of(k->c), k->e);
}

/* What is written when it is closed could fail without a word. */
static int flush(struct conversion *k)
{
	int r = copy_request(k->to, k->q, DISK_FLUSH, 0, 0);

	return r ? err_sys(k->e, r, "writing its tables") : 0;
}

static int copy_plain(struct conversion *k)
{
	struct copy_plan plan = {
		.to = k->to,
		.q = k->q,
		.bytes = disk_get_info(k->from)->bytes,
		.to_is_empty = true,
		.ctx = k->from,
		.look = look,
		.peek = peek,
		.progress = k->c->progress,
		.progress_ctx = k->c->ctx,
	};

	return copy_run(&plan, k->e);
}

/* Where the file system can share what both have, nothing is copied. */
static bool share(const struct conversion *k, const struct new_file *f)
{
	return k->c->format == DISK_RAW &&
	       disk_get_info(k->from)->format == DISK_RAW &&
	       !ioctl(f->fd, FICLONE, k->from->fd);
}

static int fill(struct conversion *k, const struct new_file *f)
{
	int r;

	if (share(k, f))
		return 0;
	r = make_new(k, f);
	if (r || !disk_get_info(k->from)->bytes)
		return r;
	r = open_new(k, f);
	if (!r)
		r = k->c->compresses
			    ? disk_pack(k->from, k->to, k->q, k->c->progress,
					k->c->ctx, k->e)
			    : copy_plain(k);
	if (!r)
		r = flush(k);
	if (r)
		err_prefix(k->e, "%s", f->path);
	disk_close(k->to);
	ioq_close(k->q);
	return r;
}

int disk_convert(struct disk *from, const char *path, struct convert *c,
		 struct err *e)
{
	struct conversion k = { .from = from, .c = c, .e = e };
	struct new_file f;
	int r = new_file_open(&f, path, e);

	if (r)
		return r;
	r = disk_explain(from, fill(&k, &f), e);
	if (!r)
		r = new_file_publish(&f, files_of(c), e);
	new_file_close(&f);
	return r;
}

int disk_convert_into(struct disk *from, int fd, const char *path,
		      struct convert *c, struct err *e)
{
	struct conversion k = { .from = from, .c = c, .e = e };
	char *name = strdup(path);
	struct new_file f = { .fd = fd, .path = name };
	int r = name ? fill(&k, &f) : err_sys(e, -ENOMEM, "%s", path);

	free(name);
	return disk_explain(from, r, e);
}

/* --- comparing ------------------------------------------------------- */

struct pair {
	struct disk *disk[2];
	uint8_t *memory[2];
	struct err *e;
};

static int look_both(struct pair *p, uint64_t at, uint64_t *n, bool *both_zero)
{
	struct disk_place place;
	uint64_t bytes;
	int i, r;

	*both_zero = true;
	for (i = 0; i < 2; i++) {
		bytes = disk_get_info(p->disk[i])->bytes;
		if (at >= bytes)
			continue; /* zeroes */
		r = disk_look(p->disk[i], at, MIN(*n, bytes - at), &place);
		if (r)
			return err_sys(p->e, r, "%s: looking at %" PRIu64,
				       disk_path(p->disk[i]), at);
		*n = place.bytes;
		*both_zero &= place.is_zero;
	}
	return 0;
}

static int read_both(struct pair *p, uint64_t at, uint64_t n)
{
	uint64_t bytes;
	int i, r;

	for (i = 0; i < 2; i++) {
		bytes = disk_get_info(p->disk[i])->bytes;
		if (at >= bytes) {
			memset(p->memory[i], 0, n);
			continue;
		}
		r = disk_peek(p->disk[i], p->memory[i], n, at);
		if (r)
			return err_sys(p->e, r, "%s: reading at %" PRIu64,
				       disk_path(p->disk[i]), at);
	}
	return 0;
}

static uint64_t first_difference(const struct pair *p, uint64_t n)
{
	uint64_t at = 0;

	while (at < n && !memcmp(p->memory[0] + at, p->memory[1] + at,
				 MIN(n - at, DISK_SECTOR_BYTES)))
		at += DISK_SECTOR_BYTES;
	return at;
}

static int compare_all(struct pair *p, uint64_t *at,
		       int (*progress)(void *ctx, unsigned int permille),
		       void *ctx)
{
	uint64_t a = disk_get_info(p->disk[0])->bytes;
	uint64_t b = disk_get_info(p->disk[1])->bytes, n, same;
	uint64_t bytes = a > b ? a : b;
	bool both_zero;
	int r;

	for (*at = 0; *at < bytes; *at += n) {
		n = bytes - *at;
		r = look_both(p, *at, &n, &both_zero);
		if (r)
			return r;
		if (!both_zero) {
			n = MIN(n, PIECE_BYTES);
			r = read_both(p, *at, n);
			if (r)
				return r;
			same = first_difference(p, n);
			*at += same < n ? same : 0;
			if (same < n)
				return 1;
		}
		if (progress &&
		    progress(ctx, (unsigned int)(*at / (bytes / 1000 + 1))))
			return err_set(p->e, -ECANCELED, "cancelled");
	}
	return 0;
}

int disk_compare(struct disk *a, struct disk *b, uint64_t *at,
		 int (*progress)(void *ctx, unsigned int permille), void *ctx,
		 struct err *e)
{
	struct pair p = { .disk = { a, b }, .e = e };
	int r;

	p.memory[0] = malloc(PIECE_BYTES);
	p.memory[1] = malloc(PIECE_BYTES);
	if (p.memory[0] && p.memory[1])
		r = disk_explain(
			b,
			disk_explain(a, compare_all(&p, at, progress, ctx), e),
			e);
	else
		r = err_sys(e, -ENOMEM, "memory for a comparison");
	free(p.memory[0]);
	free(p.memory[1]);
	return r;
}
