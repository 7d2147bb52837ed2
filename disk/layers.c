/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit, stream and rebase. Order makes them safe: data is where it goes to,
 * and flushed, before a header or a table is changed. One thread.
 */
#include "disk/layers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/kill_point.h"
#include "disk/copy.h"
#include "disk/lock.h"
#include "disk/paths.h"
#include "disk/qcow2_disk.h"
#include "disk/qcow2_snapshots.h"
#include "disk/stream.h"

#define PIECE_BYTES (1u << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct job {
	struct layer_job *j;
	struct disk *top, *other; /* other: the base, or the new backing */
	struct ioq *q;
	uint8_t *memory[2]; /* owned; a rebase compares */
	struct err *e;
};

static struct chain *chain_of(const struct disk *d)
{
	return &qcow2_disk(d)->chain;
}

static int open_top(struct job *k, bool is_alone)
{
	struct disk_config config = *k->j->config;
	int r;

	config.is_alone = is_alone;
	r = disk_open(&k->top, &config, k->e);
	if (r)
		return r;
	if (k->top->info.format != DISK_QCOW2)
		return err_set(k->e, -EINVAL, "%s is no qcow2 image",
			       disk_path(k->top));
	return ioq_open(&k->q, IOQ_AUTO, 64, NULL, k->e);
}

/* Internal snapshots show the backing file, too: it must not change. */
static int has_no_snapshots(const struct job *k)
{
	if (!top_of(k->top)->h.snapshots)
		return 0;
	return err_set(k->e, -EINVAL,
		       "%s has internal snapshots, which its backing file "
		       "belongs to",
		       disk_path(k->top));
}

static int needs_backing(const struct job *k)
{
	int r = has_no_snapshots(k);

	if (r || chain_of(k->top)->depth > 1)
		return r;
	return err_set(k->e, -EINVAL, "%s has no backing file",
		       disk_path(k->top));
}

static void close_all(struct job *k)
{
	disk_close(k->other);
	disk_close(k->top);
	ioq_close(k->q);
	free(k->memory[0]);
	free(k->memory[1]);
}

static int copy(struct job *k, struct copy_plan *plan)
{
	int r;

	plan->q = k->q;
	plan->ctx = k;
	plan->progress = k->j->progress;
	plan->progress_ctx = k->j->ctx;
	disk_attach(plan->to, k->q);
	r = copy_run(plan, k->e);
	if (r)
		return disk_explain(k->top,
				    err_prefix(k->e, "%s", disk_path(plan->to)),
				    k->e);
	r = copy_request(plan->to, k->q, DISK_FLUSH, 0, 0);
	return r ? err_sys(k->e, r, "%s: flush", disk_path(plan->to)) : 0;
}

/* --- commit ---------------------------------------------------------- */

static int look_top(void *ctx, uint64_t at, uint64_t left, uint64_t *n,
		    enum copy_what *what)
{
	struct job *k = ctx;
	struct qcow2_extent x;
	int r = qcow2_map(top_of(k->top), at, left, &x);

	*n = x.bytes;
	*what = x.kind == QCOW2_NONE	 ? COPY_SKIP
		: x.kind == QCOW2_ZEROES ? COPY_ZERO
					 : COPY_DATA;
	return r;
}

static int peek_top(void *ctx, void *out, uint64_t n, uint64_t at)
{
	struct job *k = ctx;

	return disk_peek(k->top, out, n, at);
}

/* Only the top is read from now on: the base may change its tables. */
static int open_base(struct job *k)
{
	struct layer *l = &chain_of(k->top)->layer[1];
	const struct disk_config config = {
		.path = l->path,
		.format = l->format,
		.allow_backing = k->j->config->allow_backing,
	};

	image_unlock(l->fd);
	return disk_open(&k->other, &config, k->e);
}

static int grow_base(struct job *k)
{
	uint64_t bytes = k->top->info.bytes;

	disk_attach(k->other, k->q);
	if (k->other->info.bytes >= bytes)
		return 0;
	return disk_resize(k->other, k->q, bytes, k->e);
}

static int commit(struct job *k)
{
	struct copy_plan plan = { .look = look_top, .peek = peek_top };
	int r = needs_backing(k);

	if (!r)
		r = open_base(k);
	if (!r)
		r = grow_base(k);
	if (r)
		return r;
	plan.to = k->other;
	plan.bytes = k->top->info.bytes;
	r = copy(k, &plan);
	if (r)
		return r;
	disk_close(k->other);
	k->other = NULL;
	KILL_POINT("commit-copied");
	r = qcow2_clear(top_of(k->top));
	return r ? err_sys(k->e, r, "%s: emptying it", disk_path(k->top)) : 0;
}

int layers_commit(struct layer_job *job, struct err *e)
{
	struct job k = { .j = job, .e = e };
	int r = open_top(&k, false);

	if (!r)
		r = commit(&k);
	close_all(&k);
	return r;
}

/* --- stream ---------------------------------------------------------- */

struct streaming {
	struct stream s; /* first: over() gets it */
	bool is_over;
	int error;
};

static void streamed(struct stream *s, int error)
{
	struct streaming *t = (struct streaming *)s;

	t->is_over = true;
	t->error = error;
}

static int drive(struct job *k, struct streaming *t)
{
	const struct layer_job *j = k->j;
	int r;

	while (!t->is_over) {
		r = ioq_run(k->q, IOQ_FOREVER);
		if (r < 0)
			return err_sys(k->e, r, "%s", disk_path(k->top));
		if (j->progress && !t->is_over &&
		    j->progress(j->ctx,
				(unsigned int)(t->s.done /
					       (t->s.bytes / 1000 + 1))))
			stream_cancel(&t->s);
	}
	if (t->error)
		*k->e = t->s.err;
	return disk_explain(k->top, t->error, k->e);
}

/* The layer that base is, as a file. */
static int find_base(const struct job *k, const char *base, unsigned int *layer)
{
	const struct chain *c = chain_of(k->top);
	struct stat st;

	if (stat(base, &st) < 0)
		return err_sys(k->e, -errno, "%s", base);
	for (*layer = 1; *layer < c->depth; ++*layer)
		if (c->layer[*layer].device == st.st_dev &&
		    c->layer[*layer].inode == st.st_ino)
			return 0;
	return err_set(k->e, -EINVAL, "%s is not behind %s", base,
		       disk_path(k->top));
}

static int stream(struct job *k, const char *base)
{
	struct streaming t = { .s = { .disk = k->top, .over = streamed } };
	unsigned int layer = chain_of(k->top)->depth;
	int r = needs_backing(k);

	if (!r && base)
		r = find_base(k, base, &layer);
	if (!r && layer == 1)
		return 0; /* it stands on it already */
	if (r)
		return r;
	disk_attach(k->top, k->q);
	t.s.last = layer - 1;
	r = stream_start(&t.s, k->e);
	return r ? r : drive(k, &t);
}

int layers_stream(struct layer_job *job, const char *base, struct err *e)
{
	struct job k = { .j = job, .e = e };
	int r = open_top(&k, false);

	if (!r)
		r = stream(&k, base);
	close_all(&k);
	return r;
}

/* --- rebase ---------------------------------------------------------- */

/* What the new backing shows; zeroes behind its end, or without one. */
static int peek_new(struct job *k, void *out, uint64_t n, uint64_t at)
{
	uint64_t bytes = k->other ? k->other->info.bytes : 0, have;
	int r = 0;

	have = at < bytes ? MIN(n, bytes - at) : 0;
	if (have)
		r = disk_peek(k->other, out, have, at);
	memset((uint8_t *)out + have, 0, n - have);
	return r;
}

/* Where the top says nothing both are read, and compared. */
static int look_different(void *ctx, uint64_t at, uint64_t left, uint64_t *n,
			  enum copy_what *what)
{
	struct job *k = ctx;
	int r = look_top(ctx, at, left, n, what);

	if (r || *what != COPY_SKIP) {
		*what = COPY_SKIP;
		return r;
	}
	/* One unit of the top at a time: no more is copied than differs. */
	*n = MIN(*n,
		 MIN(PIECE_BYTES, UINT64_C(1) << top_of(k->top)->unit_bits));
	r = chain_read(chain_of(k->top), 1, k->memory[0], *n, at);
	if (!r)
		r = peek_new(k, k->memory[1], *n, at);
	/* As data, zeroes too: those that are no data depend on what is
	 * behind, and that is what changes. */
	if (!r && memcmp(k->memory[0], k->memory[1], *n))
		*what = COPY_DATA;
	return r;
}

static int check_format(const char *backing, const char *format, struct err *e)
{
	int kind = backing ? disk_format_parse(format) : DISK_RAW;

	if (kind == DISK_RAW || kind == DISK_QCOW2)
		return 0;
	return err_set(e, -EINVAL,
		       "the backing file's format %s is neither raw nor qcow2",
		       format);
}

/* By its name, or another one of it. */
static int is_other_file(struct job *k, const char *backing)
{
	char *path = disk_backing_path(disk_path(k->top), backing);
	struct stat other, top;
	int r = 0;

	if (!path || fstat(k->top->fd, &top) < 0)
		r = err_sys(k->e, path ? -errno : -ENOMEM, "%s", backing);
	else if (!stat(path, &other) && other.st_dev == top.st_dev &&
		 other.st_ino == top.st_ino)
		r = err_set(k->e, -ELOOP, "%s can't stand on itself",
			    disk_path(k->top));
	free(path);
	return r;
}

static int open_new(struct job *k, const char *backing, const char *format)
{
	struct disk_config config = { .read_only = true };
	char *path = disk_backing_path(disk_path(k->top), backing);
	int r;

	if (!path)
		return err_sys(k->e, -ENOMEM, "%s", backing);
	config.path = path;
	config.format = (enum disk_format)disk_format_parse(format);
	config.allow_backing = k->j->config->allow_backing;
	r = disk_open(&k->other, &config, k->e);
	free(path);
	return r;
}

static int copy_differences(struct job *k)
{
	struct copy_plan plan = { .look = look_different, .peek = peek_top };

	k->memory[0] = malloc(PIECE_BYTES);
	k->memory[1] = malloc(PIECE_BYTES);
	if (!k->memory[0] || !k->memory[1])
		return err_sys(k->e, -ENOMEM, "memory for a comparison");
	plan.to = k->top;
	plan.bytes = k->top->info.bytes;
	return copy(k, &plan);
}

int layers_rebase(struct layer_job *job, const char *backing,
		  const char *format, bool is_unsafe, struct err *e)
{
	struct job k = { .j = job, .e = e };
	int r = check_format(backing, format, e);

	if (!r)
		r = open_top(&k, is_unsafe);
	if (!r && backing)
		r = is_other_file(&k, backing);
	if (!r && !is_unsafe)
		r = has_no_snapshots(&k);
	if (!r && backing && !is_unsafe)
		r = open_new(&k, backing, format);
	if (!r && !is_unsafe && chain_of(k.top)->depth + !!backing > 1)
		r = copy_differences(&k);
	if (!r)
		r = qcow2_set_backing(top_of(k.top), backing, format, e);
	close_all(&k);
	return r;
}

/* --- internal snapshots ---------------------------------------------- */

int layers_apply(struct layer_job *job, const char *snapshot, struct err *e)
{
	const struct qcow2_progress progress = { job->progress, job->ctx };
	struct job k = { .j = job, .e = e };
	int r = open_top(&k, true);

	if (!r)
		r = qcow2_apply_snapshot(top_of(k.top), snapshot, &progress, e);
	close_all(&k);
	return r;
}
