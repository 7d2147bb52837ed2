/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mutex that clang can reason about (-Wthread-safety): functions say which
 * lock they take, release or need, and a call without it is a warning. For
 * gcc the annotations are empty. Locks and their order: docs/threads.md.
 */
#ifndef AMBER_BASE_LOCK_H
#define AMBER_BASE_LOCK_H

#include <pthread.h>

#ifdef __clang__
#define LOCK_IS(kind)	 __attribute__((capability(kind)))
#define LOCK_TAKES(l)	 __attribute__((acquire_capability(l)))
#define LOCK_RELEASES(l) __attribute__((release_capability(l)))
/* The caller holds l: functions named *_locked. */
#define LOCK_NEEDS(l)  __attribute__((requires_capability(l)))
#define LOCK_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define LOCK_IS(kind)
#define LOCK_TAKES(l)
#define LOCK_RELEASES(l)
#define LOCK_NEEDS(l)
#define LOCK_UNCHECKED
#endif

struct LOCK_IS("mutex") lock {
	pthread_mutex_t mutex; /* for pthread_cond_wait() */
};

static inline void lock_init(struct lock *l)
{
	pthread_mutex_init(&l->mutex, NULL);
}

static inline void lock_fini(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void lock_take(struct lock *l) LOCK_TAKES(*l) LOCK_UNCHECKED;

static inline void lock_take(struct lock *l)
{
	pthread_mutex_lock(&l->mutex);
}

static inline void lock_release(struct lock *l)
	LOCK_RELEASES(*l) LOCK_UNCHECKED;

static inline void lock_release(struct lock *l)
{
	pthread_mutex_unlock(&l->mutex);
}

#endif
