/* SPDX-License-Identifier: Apache-2.0 */
/* Starting threads. No state; any thread. */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *thread, size_t stack_bytes, int open,
		 void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t mask, old;
	int r;

	sigfillset(&mask);
	if (open)
		sigdelset(&mask, open);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes);
	/* The thread inherits the mask, from its first instruction on. */
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	r = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}
