/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a VM's files on a thread of its own, so that a slow, full or hung
 * disk never holds up the loop: logs are appended, reports and state.json
 * replaced in one step. What waits is bounded; what doesn't fit is dropped,
 * counted and told. Every function is for the loop's thread; the writer's
 * thread is inside.
 */
#ifndef AMBER_CONTROL_SCRIBE_H
#define AMBER_CONTROL_SCRIBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct scribe;

/* Logs: appended, rotated when they reach their limit (one old one). */
enum scribe_log { SCRIBE_CONSOLE, SCRIBE_JOURNAL, SCRIBE_LOG_COUNT };

/* Files that are replaced as a whole; a later text overtakes an earlier. */
enum scribe_file {
	SCRIBE_STATE,
	SCRIBE_POLICY,
	SCRIBE_BOOT,
	SCRIBE_CRASH,
	SCRIBE_FILE_COUNT
};

struct scribe_config {
	struct loop *loop; /* borrowed */
	int dir; /* borrowed: the VM's directory; -1: nothing is kept */
	size_t queue_bytes; /* per log, waiting; 0: LIMIT_SCRIBE_BYTES */
	uint64_t log_bytes[SCRIBE_LOG_COUNT]; /* 0: the limits' */
	/*
	 * Something could not be kept: text says what, why, how much. On the
	 * loop's thread, at most once a second. May be NULL.
	 */
	void (*trouble)(void *ctx, const char *text);
	void *ctx;
};

/* Makes the queues; the thread starts with scribe_start(). */
int scribe_create(struct scribe **out, const struct scribe_config *config,
		  struct err *e);
int scribe_start(struct scribe *s, struct err *e);

/* Neither blocks nor fails; dir -1: a no-op. */
void scribe_append(struct scribe *s, enum scribe_log log, const void *bytes,
		   size_t len);
void scribe_replace(struct scribe *s, enum scribe_file file, const void *bytes,
		    size_t len);

/* Bytes of that log that were lost since the start. */
uint64_t scribe_lost(struct scribe *s, enum scribe_log log);

/*
 * Waits until all is written, at most timeout_ms. Returns 0, or -ETIMEDOUT
 * when the disk does not answer. For the end: it blocks the loop.
 */
int scribe_flush(struct scribe *s, unsigned int timeout_ms);

/*
 * Ends the thread and frees all. A thread that hangs in the file system is
 * left behind with its memory after a second. NULL is fine.
 */
void scribe_destroy(struct scribe *s);

#endif
