/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scribe's thread: takes what waits and writes it. INV-1: the lock is
 * held for swapping memory only, never over a system call that may block.
 * INV-2: a byte is in `waiting`, in `writing`, written, or counted as lost.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "control/home.h"
#include "control/scribe_private.h"

#define KEEP_BYTES (64u << 10) /* larger buffers are given back */

static void failed(struct scribe *s, const char *where, int why, uint64_t lost,
		   struct scribe_queue *log)
{
	lock_take(&s->lock);
	s->why = why;
	s->where = where;
	if (log)
		log->lost += lost;
	lock_release(&s->lock);
	loop_post(s->cfg.loop, &s->trouble_msg);
}

static int open_log(struct scribe *s, struct scribe_queue *log)
{
	struct stat st;

	if (log->fd >= 0)
		return 0;
	log->fd = openat(s->logs_fd, log->name,
			 O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
				 O_NOFOLLOW | O_NONBLOCK,
			 0600);
	if (log->fd < 0)
		return -errno;
	if (fstat(log->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(log->fd);
		log->fd = -1;
		return -EINVAL;
	}
	log->bytes = (uint64_t)st.st_size;
	return 0;
}

static void rotate(struct scribe *s, struct scribe_queue *log)
{
	close(log->fd);
	log->fd = -1;
	renameat(s->logs_fd, log->name, s->logs_fd, log->old_name);
}

static void write_log(struct scribe *s, struct scribe_queue *log)
{
	size_t len = log->writing.len;
	struct stat st;
	int r;

	r = open_log(s, log);
	if (!r && log->bytes && log->bytes + len > log->limit) {
		rotate(s, log);
		r = open_log(s, log);
	}
	if (!r)
		r = file_write_all(log->fd, log->writing.data, len);
	if (!r) {
		log->bytes += len;
		return;
	}
	if (log->fd >= 0 && log->whole_lines &&
	    ftruncate(log->fd, (off_t)log->bytes) < 0)
		rotate(s, log);
	if (log->fd >= 0 && !log->whole_lines && fstat(log->fd, &st) == 0) {
		len -= (size_t)((uint64_t)st.st_size - log->bytes);
		log->bytes = (uint64_t)st.st_size;
	}
	failed(s, log->name, r, len, log);
}

static void write_whole(struct scribe *s, struct scribe_whole *w)
{
	int r = file_commit(w->in_logs ? s->logs_fd : s->cfg.dir, w->name,
			    w->writing.data, w->writing.len, FILE_ATOMIC, NULL);

	if (r)
		failed(s, w->name, r, 0, NULL);
}

static void recycle(struct buf *b)
{
	if (b->room > KEEP_BYTES)
		buf_fini(b);
	buf_reset(b);
}

static void swap(struct buf *a, struct buf *b)
{
	struct buf t = *a;

	*a = *b;
	*b = t;
}

/* Takes what waits; returns false when there is nothing. Lock held. */
static bool take_locked(struct scribe *s) LOCK_NEEDS(s->lock)
{
	bool any = false;
	int i;

	for (i = 0; i < SCRIBE_LOG_COUNT; i++) {
		if (!s->log[i].waiting.len)
			continue;
		swap(&s->log[i].waiting, &s->log[i].writing);
		any = true;
	}
	for (i = 0; i < SCRIBE_FILE_COUNT; i++) {
		if (!s->file[i].changed)
			continue;
		swap(&s->file[i].waiting, &s->file[i].writing);
		s->file[i].changed = false;
		any = true;
	}
	return any;
}

static void write_taken(struct scribe *s)
{
	int i;

	if (s->logs_fd < 0)
		s->logs_fd = file_open_dir(s->cfg.dir, VMDIR_LOGS, NULL);
	for (i = 0; i < SCRIBE_FILE_COUNT; i++) {
		if (s->file[i].writing.len)
			write_whole(s, &s->file[i]);
		recycle(&s->file[i].writing);
	}
	for (i = 0; i < SCRIBE_LOG_COUNT; i++) {
		if (s->log[i].writing.len)
			write_log(s, &s->log[i]);
		recycle(&s->log[i].writing);
	}
}

void *scribe_writer(void *arg)
{
	struct scribe *s = arg;

	lock_take(&s->lock);
	for (;;) {
		while (!s->kicked && !s->ending)
			pthread_cond_wait(&s->work, &s->lock.mutex);
		s->kicked = false;
		s->busy = take_locked(s);
		if (s->busy) {
			lock_release(&s->lock);
			write_taken(s);
			lock_take(&s->lock);
			s->busy = false;
			s->kicked = true; /* look again */
			continue;
		}
		pthread_cond_broadcast(&s->idle);
		if (s->ending)
			break;
	}
	s->ended = true;
	pthread_cond_broadcast(&s->idle);
	lock_release(&s->lock);
	return NULL;
}
