/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of our own: with a small stack, and deaf to signals, which are for
 * the main thread.
 */
#ifndef AMBER_BASE_THREAD_H
#define AMBER_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/*
 * Starts run(arg). Every signal is blocked in the new thread but `open` (0:
 * none); the caller's own mask is as before when this returns. Any thread.
 * Returns 0 or a negative errno.
 */
int thread_start(pthread_t *thread, size_t stack_bytes, int open,
		 void *(*run)(void *arg), void *arg);

#endif
