/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File operations that fail as a test wants: which one, how, how often; and
 * that count what was asked for. One queue's thread calls them, the test's
 * thread sets them.
 */
#ifndef AMBER_TESTS_UNIT_VBLK_FAULT_H
#define AMBER_TESTS_UNIT_VBLK_FAULT_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/fault_file.h"

#define FAULT_ALWAYS (-1)

struct fault {
	struct fault_file file;
	struct file_ops ops;
	_Atomic int error[FAULT_CALLS]; /* errno or FAULT_SHORT; 0: none */
	_Atomic int times[FAULT_CALLS]; /* left; FAULT_ALWAYS */
	_Atomic unsigned int calls[FAULT_CALLS];
	pthread_mutex_t gate; /* held by the test: operations wait */
};

static inline void fault_set(struct fault *f, enum fault_call call, int error,
			     int times)
{
	atomic_store(&f->times[call], times);
	atomic_store(&f->error[call], error);
}

static inline int fault_take(void *owner, enum fault_call call)
{
	struct fault *f = owner;
	int left, error = atomic_load(&f->error[call]);

	atomic_fetch_add(&f->calls[call], 1);
	pthread_mutex_lock(&f->gate);
	pthread_mutex_unlock(&f->gate);
	if (!error)
		return 0;
	left = atomic_load(&f->times[call]);
	if (!left)
		return 0;
	if (left > 0)
		atomic_fetch_sub(&f->times[call], 1);
	return error;
}

static inline void fault_init(struct fault *f)
{
	*f = (struct fault){ .file = { fault_take, f },
			     .gate = PTHREAD_MUTEX_INITIALIZER };
	f->ops = fault_file_ops(&f->file);
}

#endif
