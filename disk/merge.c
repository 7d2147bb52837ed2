/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frozen layer takes in the one behind it, while the disk that both belong
 * to goes on through what it knows of them: nothing that it can see moves.
 * The layer is opened a second time, to be written; when it stands for both
 * the disk looks at it anew. The queue's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/lock.h"
#include "disk/qcow2_disk.h"
#include "disk/stream.h"

static struct chain *chain_of(const struct merge *m)
{
	return &qcow2_disk(m->disk)->chain;
}

/* Its number changes when layers are put on top. */
static unsigned int find_layer(const struct merge *m)
{
	const struct chain *c = chain_of(m);
	unsigned int i = 1;

	while (c->layer[i].device != m->device || c->layer[i].inode != m->inode)
		i++;
	return i;
}

/* --- the end --------------------------------------------------------- */

static void tell(struct io *io, int error)
{
	struct merge *m = IO_OWNER(io, struct merge, conclusion);

	m->over(m, error);
}

static void quiet(struct disk_hold *h)
{
	struct merge *m = IO_OWNER(h, struct merge, hold);
	unsigned int i = find_layer(m);
	struct layer *l = &chain_of(m)->layer[i];
	struct err e = ERR_NONE;
	int r;

	KILL_POINT("merge-written");
	r = chain_reload(chain_of(m), i, &e);

	/* Not looked at anew it keeps growing, for all that is known. */
	if (!r && !m->error)
		r = chain_cut(chain_of(m), i + 1, i + 1, &e);
	if (!m->error && r) {
		m->error = r;
		m->stream.err = e;
	}
	image_lock_to_read(l->fd);
	m->disk->job = m->error && m->is_renamed ? DISK_UNSURE : DISK_IDLE;
	disk_let_go(m->disk, h);
	m->conclusion.done = tell;
	ioq_conclude(m->disk->q, &m->conclusion, m->error);
}

/* The stream is over: nothing of `into` is in flight. */
static void merged(struct stream *s, int error)
{
	struct merge *m = IO_OWNER(s, struct merge, stream);

	m->error = error;
	m->is_renamed = top_of(m->into)->is_renamed;
	disk_close(m->into);
	m->into = NULL;
	m->hold.quiet = quiet;
	disk_hold(m->disk, &m->hold);
}

/* --- the beginning --------------------------------------------------- */

static int check(const struct merge *m, struct err *e)
{
	const struct disk *d = m->disk;
	const struct chain *c;

	if (d->info.format != DISK_QCOW2)
		return err_set(e, -EINVAL, "%s has no layers", d->path);
	c = chain_of(m);
	if (!m->layer || m->layer + 1 >= c->depth)
		return err_set(e, -EINVAL,
			       "%s: a layer between the top and the last one "
			       "is needed, of %u: not %u",
			       d->path, c->depth, m->layer);
	return disk_check_job(d, e);
}

/*
 * Whoever owns a frozen file may lift that for a moment: no more than one
 * call lies between, for a kill there leaves it so.
 */
int frozen_open(int frozen, const char *path, struct err *e)
{
	char self[32];
	struct stat st;
	int fd, error;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", frozen);
	if (fstat(frozen, &st) < 0 || fchmod(frozen, st.st_mode | 0200) < 0)
		return err_sys(e, -errno, "%s: it can't be written", path);
	fd = open(self, O_RDWR | O_CLOEXEC);
	error = errno;
	if (fchmod(frozen, st.st_mode) < 0 && fd >= 0) {
		error = errno;
		close(fd);
		fd = -1;
	}
	return fd < 0 ? err_sys(e, -error, "%s", path) : fd;
}

static int open_to_write(struct merge *m, const struct layer *l, struct err *e)
{
	const char *const anywhere[] = { "/", NULL };
	struct disk_config config = {
		.path = l->path,
		.format = DISK_QCOW2,
		.files = m->disk->files,
		.allow_backing = anywhere, /* they are open already */
	};
	int r;

	config.locked_fd = frozen_open(l->fd, l->path, e);
	if (config.locked_fd < 0)
		return config.locked_fd;
	r = disk_open(&m->into, &config, e);
	close(config.locked_fd);
	if (!r)
		top_of(m->into)->keeps_freed = true;
	return r;
}

/* Does what stands behind the layer by its name stand behind it here? */
static bool is_neighbour(const struct merge *m)
{
	const struct chain *c = &qcow2_disk(m->into)->chain;
	const struct layer *behind = &chain_of(m)->layer[m->layer + 1];

	return c->depth > 1 && c->layer[1].inode == behind->inode &&
	       c->layer[1].device == behind->device;
}

static int begin(struct merge *m, struct layer *l, struct err *e)
{
	int r = open_to_write(m, l, e);

	if (r)
		return r;
	if (!is_neighbour(m))
		return err_set(e, -EINVAL,
			       "%s: another file has the name of its backing "
			       "file now",
			       l->path);
	disk_attach(m->into, m->disk->q);
	m->stream.disk = m->into;
	m->stream.last = 1;
	m->stream.over = merged;
	return stream_start(&m->stream, e);
}

int merge_start(struct merge *m, struct err *e)
{
	struct layer *l;
	int r = check(m, e);

	if (r)
		return r;
	l = &chain_of(m)->layer[m->layer];
	if (l->format != DISK_QCOW2)
		return err_set(e, -EINVAL, "%s is no qcow2 image", l->path);
	r = image_lock_to_write(l->fd, l->path, e);
	if (r)
		return r;
	m->device = l->device;
	m->inode = l->inode;
	m->disk->job = DISK_MERGES;
	l->q.is_growing = true;
	r = begin(m, l, e);
	KILL_POINT("merge-begun");
	if (!r)
		return 0;
	disk_close(m->into);
	m->into = NULL;
	l->q.is_growing = false;
	m->disk->job = DISK_IDLE;
	image_lock_to_read(l->fd);
	return r;
}

void merge_cancel(struct merge *m)
{
	stream_cancel(&m->stream);
}
