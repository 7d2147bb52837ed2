/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of devices. Created, started and joined by the machine's thread. */
#include "devices/io_thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sched.h"
#include "base/thread.h"

#define STACK_BYTES (128 << 10)
#define NAME_BYTES  16 /* of a thread, for people: top -H */

struct io_thread {
	struct loop *loop; /* owned */
	pthread_t thread;
	bool has_thread;
	char name[NAME_BYTES];
};

int io_thread_create(struct io_thread **out, const char *name, struct err *e)
{
	struct io_thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_sys(e, -ENOMEM, "thread of %s", name);
	snprintf(t->name, sizeof(t->name), "%s", name);
	r = loop_create(&t->loop, e);
	if (r) {
		free(t);
		return r;
	}
	*out = t;
	return 0;
}

struct loop *io_thread_loop(struct io_thread *t)
{
	return t->loop;
}

static void *run(void *arg)
{
	struct io_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	sched_be_prompt();
	loop_run(t->loop);
	return NULL;
}

int io_thread_start(struct io_thread *t, struct err *e)
{
	int r = thread_start(&t->thread, STACK_BYTES, 0, run, t);

	if (r)
		return err_sys(e, r, "thread of %s", t->name);
	t->has_thread = true;
	return 0;
}

void io_thread_join(struct io_thread *t)
{
	if (!t->has_thread)
		return;
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	t->has_thread = false;
}

void io_thread_destroy(struct io_thread *t)
{
	if (!t)
		return;
	io_thread_join(t);
	loop_destroy(t->loop);
	free(t);
}
