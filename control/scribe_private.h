/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the scribe, shared by its two sides. What is guarded by the
 * lock says so; the rest belongs to the side that is named.
 */
#ifndef AMBER_CONTROL_SCRIBE_PRIVATE_H
#define AMBER_CONTROL_SCRIBE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/lock.h"
#include "control/scribe.h"

struct scribe_queue {
	struct buf waiting; /* guarded by the lock */
	uint64_t lost;	    /* guarded by the lock */

	/* the writer's own */
	struct buf writing;
	int fd;
	uint64_t bytes, limit;
	const char *name, *old_name;
	bool whole_lines; /* a batch is written completely or not at all */
};

struct scribe_whole {
	struct buf waiting; /* guarded by the lock */
	bool changed;	    /* guarded by the lock */

	/* the writer's own */
	struct buf writing;
	bool in_logs;
	const char *name;
};

struct scribe {
	struct scribe_config cfg;
	struct scribe_queue log[SCRIBE_LOG_COUNT];
	struct scribe_whole file[SCRIBE_FILE_COUNT];
	struct loop_timer linger, report;
	struct loop_msg trouble_msg;

	struct lock lock;
	pthread_cond_t work, idle;
	bool kicked, busy, ending, ended; /* guarded by the lock */
	int why;			  /* guarded: last errno, negative */
	const char *where;		  /* guarded: the file's name */
	uint64_t told; /* lost bytes that were reported; loop's thread */
	int told_why;  /* loop's thread */

	pthread_t thread;
	bool started;
	int logs_fd; /* the writer's own */
};

/* scribe_writer.c: the thread's main function. */
void *scribe_writer(void *arg);

#endif
