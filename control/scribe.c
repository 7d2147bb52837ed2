/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scribe's side of the loop: queues, reports, start and end. Loop thread
 * only. INV-1: nothing here waits for the disk but scribe_flush() and
 * scribe_destroy(), which have a time limit.
 */
#include "control/scribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/home.h"
#include "control/limits.h"
#include "control/scribe_private.h"
#include "snapshot/policy.h"

static void kick(void *ctx)
{
	struct scribe *s = ctx;

	lock_take(&s->lock);
	s->kicked = true;
	pthread_cond_signal(&s->work);
	lock_release(&s->lock);
}

static uint64_t total_lost(struct scribe *s)
{
	uint64_t lost = 0;
	int i;

	for (i = 0; i < SCRIBE_LOG_COUNT; i++)
		lost += s->log[i].lost;
	return lost;
}

/* Tells what was lost since the last time; again at most in a second. */
static void report(void *ctx)
{
	struct scribe *s = ctx;
	char words[64] = "", text[160];
	const char *where;
	uint64_t lost;
	int why;

	lock_take(&s->lock);
	lost = total_lost(s);
	why = s->why;
	where = s->where;
	s->why = 0;
	lock_release(&s->lock);
	if (lost == s->told && why == s->told_why)
		return;
	snprintf(text, sizeof(text), "%s: %s; %llu bytes lost so far",
		 where ? where : "logs",
		 why ? strerror_r(-why, words, sizeof(words))
		     : "output came faster than it could be written",
		 (unsigned long long)lost);
	s->told = lost;
	s->told_why = why;
	if (s->cfg.trouble)
		s->cfg.trouble(s->cfg.ctx, text);
}

static void plan_report(void *ctx)
{
	struct scribe *s = ctx;

	if (!s->report.loop)
		loop_arm(s->cfg.loop, &s->report, NS_PER_S, report, s);
}

static void plan_kick(struct scribe *s, bool now)
{
	if (now)
		kick(s);
	else if (!s->linger.loop)
		loop_arm(s->cfg.loop, &s->linger,
			 LIMIT_SCRIBE_LINGER_MS * NS_PER_MS, kick, s);
}

void scribe_append(struct scribe *s, enum scribe_log which, const void *bytes,
		   size_t len)
{
	struct scribe_queue *log = &s->log[which];
	bool full, half;

	if (s->cfg.dir < 0 || !len)
		return;
	lock_take(&s->lock);
	full = buf_put(&log->waiting, bytes, len) != 0;
	if (full) {
		log->lost += len;
		log->waiting.error = 0; /* what is there stays */
		s->where = log->name;
	}
	half = log->waiting.len > log->waiting.limit / 2;
	lock_release(&s->lock);
	if (full)
		plan_report(s);
	plan_kick(s, half);
}

void scribe_replace(struct scribe *s, enum scribe_file which, const void *bytes,
		    size_t len)
{
	struct scribe_whole *w = &s->file[which];

	if (s->cfg.dir < 0 || !len)
		return;
	lock_take(&s->lock);
	buf_reset(&w->waiting);
	w->changed = buf_put(&w->waiting, bytes, len) == 0;
	lock_release(&s->lock);
	plan_kick(s, false);
}

uint64_t scribe_lost(struct scribe *s, enum scribe_log log)
{
	uint64_t lost;

	lock_take(&s->lock);
	lost = s->log[log].lost;
	lock_release(&s->lock);
	return lost;
}

static void init_tables(struct scribe *s, const struct scribe_config *cfg)
{
	size_t room = cfg->queue_bytes ? cfg->queue_bytes : LIMIT_SCRIBE_BYTES;
	int i;

	s->log[SCRIBE_CONSOLE] = (struct scribe_queue){
		.name = VMDIR_CONSOLE_LOG,
		.old_name = VMDIR_CONSOLE_LOG VMDIR_OLD_SUFFIX,
		.limit = LIMIT_CONSOLE_LOG_BYTES,
	};
	s->log[SCRIBE_JOURNAL] = (struct scribe_queue){
		.name = VMDIR_JOURNAL,
		.old_name = VMDIR_JOURNAL VMDIR_OLD_SUFFIX,
		.limit = LIMIT_JOURNAL_BYTES,
		.whole_lines = true,
	};
	for (i = 0; i < SCRIBE_LOG_COUNT; i++) {
		s->log[i].fd = -1;
		if (cfg->log_bytes[i])
			s->log[i].limit = cfg->log_bytes[i];
		buf_init(&s->log[i].waiting, room);
		buf_init(&s->log[i].writing, room);
	}
	s->file[SCRIBE_STATE].name = VMDIR_STATE;
	s->file[SCRIBE_POLICY].name = POLICY_FILE;
	s->file[SCRIBE_BOOT].name = VMDIR_BOOT_LOG;
	s->file[SCRIBE_CRASH].name = VMDIR_CRASH_LOG;
	for (i = 0; i < SCRIBE_FILE_COUNT; i++) {
		s->file[i].in_logs = i >= SCRIBE_BOOT;
		buf_init(&s->file[i].waiting, LIMIT_REPORT_BYTES);
		buf_init(&s->file[i].writing, LIMIT_REPORT_BYTES);
	}
}

int scribe_create(struct scribe **out, const struct scribe_config *config,
		  struct err *e)
{
	struct scribe *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return err_sys(e, -ENOMEM, "log writer");
	s->cfg = *config;
	s->logs_fd = -1;
	s->trouble_msg.run = plan_report;
	s->trouble_msg.ctx = s;
	init_tables(s, config);
	lock_init(&s->lock);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &attr);
	pthread_cond_init(&s->idle, &attr);
	pthread_condattr_destroy(&attr);
	*out = s;
	return 0;
}

int scribe_start(struct scribe *s, struct err *e)
{
	pthread_attr_t attr;
	int r;

	if (s->cfg.dir < 0)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LIMIT_SCRIBE_STACK);
	r = pthread_create(&s->thread, &attr, scribe_writer, s);
	pthread_attr_destroy(&attr);
	if (r)
		return err_sys(e, -r, "log writer: thread");
	s->started = true;
	return 0;
}

static struct timespec deadline(unsigned int timeout_ms)
{
	uint64_t due = clock_mono_ns() + timeout_ms * NS_PER_MS;

	return (struct timespec){ .tv_sec = (time_t)(due / NS_PER_S),
				  .tv_nsec = (long)(due % NS_PER_S) };
}

/* Is there anything that was not written? Lock held. */
static bool is_idle_locked(const struct scribe *s) LOCK_NEEDS(s->lock)
{
	int i;

	if (s->busy)
		return false;
	for (i = 0; i < SCRIBE_LOG_COUNT; i++)
		if (s->log[i].waiting.len)
			return false;
	for (i = 0; i < SCRIBE_FILE_COUNT; i++)
		if (s->file[i].changed)
			return false;
	return true;
}

int scribe_flush(struct scribe *s, unsigned int timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	int r = 0;

	if (!s->started)
		return 0;
	lock_take(&s->lock);
	s->kicked = true;
	pthread_cond_signal(&s->work);
	while (!is_idle_locked(s) && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&s->idle, &s->lock.mutex, &until);
	r = is_idle_locked(s) ? 0 : -ETIMEDOUT;
	lock_release(&s->lock);
	return r;
}

/* Returns false when the thread hangs and everything must stay. */
static bool end_thread(struct scribe *s)
{
	struct timespec until = deadline(1000);
	bool ended;
	int r = 0;

	if (!s->started)
		return true;
	lock_take(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->work);
	while (!s->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&s->idle, &s->lock.mutex, &until);
	ended = s->ended;
	lock_release(&s->lock);
	if (ended)
		pthread_join(s->thread, NULL);
	else
		pthread_detach(s->thread);
	return ended;
}

void scribe_destroy(struct scribe *s)
{
	int i;

	if (!s)
		return;
	loop_disarm(&s->linger);
	loop_disarm(&s->report);
	if (!end_thread(s))
		return;
	loop_unpost(s->cfg.loop, &s->trouble_msg);
	for (i = 0; i < SCRIBE_LOG_COUNT; i++) {
		if (s->log[i].fd >= 0)
			close(s->log[i].fd);
		buf_fini(&s->log[i].waiting);
		buf_fini(&s->log[i].writing);
	}
	for (i = 0; i < SCRIBE_FILE_COUNT; i++) {
		buf_fini(&s->file[i].waiting);
		buf_fini(&s->file[i].writing);
	}
	if (s->logs_fd >= 0)
		close(s->logs_fd);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->idle);
	lock_fini(&s->lock);
	free(s);
}
