/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is right behind an image goes into it, of a disk that no guest uses.
 * The image may be a frozen layer. Any thread; it blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/layers.h"
#include "disk/lock.h"
#include "disk/stream.h"

#define DEPTH 64

struct merging {
	struct stream s; /* first: over() gets it */
	const struct layer_job *job;
	struct disk *into; /* owned */
	struct ioq *q;	   /* owned */
	int fd;		   /* owned: into's, locked */
	bool is_over;
	int error;
};

static void over(struct stream *s, int error)
{
	struct merging *m = (struct merging *)s;

	m->is_over = true;
	m->error = error;
}

static int open_file(struct merging *m, const char *path, struct err *e)
{
	int frozen = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (frozen < 0)
		return err_sys(e, -errno, "%s", path);
	r = image_lock(frozen, true, path, e);
	if (!r)
		r = m->fd = frozen_open(frozen, path, e);
	close(frozen);
	if (r < 0)
		return r;
	r = image_lock(m->fd, true, path, e);
	return r;
}

static int open_image(struct merging *m, struct err *e)
{
	struct disk_config config = *m->job->config;
	int r = open_file(m, config.path, e);

	if (r)
		return r;
	config.locked_fd = m->fd;
	r = disk_open(&m->into, &config, e);
	if (!r)
		r = ioq_open(&m->q, IOQ_AUTO, DEPTH, NULL, e);
	if (!r)
		disk_attach(m->into, m->q);
	return r;
}

static int ask(const struct merging *m)
{
	const struct layer_job *j = m->job;

	return j->progress
		       ? j->progress(j->ctx,
				     (unsigned int)(m->s.done /
						    (m->s.bytes / 1000 + 1)))
		       : 0;
}

static int drive(struct merging *m, struct err *e)
{
	int r = stream_start(&m->s, e);

	if (r)
		return r;
	while (!m->is_over) {
		r = ioq_run(m->q, IOQ_FOREVER);
		if (r < 0)
			return err_sys(e, r, "%s", m->job->config->path);
		if (!m->is_over && ask(m))
			stream_cancel(&m->s);
	}
	if (m->error && e)
		*e = m->s.err;
	return m->error;
}

static void close_all(struct merging *m)
{
	disk_close(m->into);
	ioq_close(m->q);
	if (m->fd >= 0)
		close(m->fd);
}

int layers_merge_below(struct layer_job *job, struct err *e)
{
	struct merging m = { .s = { .last = 1, .over = over },
			     .job = job,
			     .fd = -1 };
	int r = open_image(&m, e);

	m.s.disk = m.into;
	if (!r)
		r = drive(&m, e);
	KILL_POINT("layer-merged");
	close_all(&m);
	return r;
}
