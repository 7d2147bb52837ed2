/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INV-1: news is posted after each change of work, is_warned and is_ending;
 * a post too many costs a look at them.
 */
#include "base/hand.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sched.h"
#include "base/thread.h"

struct hand {
	pthread_t thread;
	sem_t news;
	void (*_Atomic work)(void *arg); /* NULL: none */
	void *arg;			 /* written before work is */
	_Atomic bool is_warned, is_ending;
};

static void look(struct hand *h)
{
	uint64_t end = clock_mono_ns() + HAND_LOOK_NS;

	while (!h->work && !h->is_ending && clock_mono_ns() < end)
		sched_yield(); /* who is to give it may need this CPU */
}

/* False: it is over, and all is done. */
static bool await(struct hand *h)
{
	while (!h->work && !h->is_ending) {
		if (atomic_exchange(&h->is_warned, false))
			look(h);
		else
			sem_wait(&h->news);
	}
	return h->work;
}

static void *hand_main(void *ctx)
{
	struct hand *h = ctx;

	sched_be_prompt();
	while (await(h)) {
		void (*work)(void *arg) = h->work;
		void *arg = h->arg;

		h->work = NULL; /* it may be given more at the end of this */
		work(arg);
	}
	return NULL;
}

int hand_create(struct hand **out, size_t stack_bytes, struct err *e)
{
	struct hand *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_sys(e, -ENOMEM, "a thread");
	sem_init(&h->news, 0, 0);
	r = thread_start(&h->thread, stack_bytes, 0, hand_main, h);
	if (r) {
		sem_destroy(&h->news);
		free(h);
		return err_sys(e, r, "a thread");
	}
	*out = h;
	return 0;
}

void hand_warn(struct hand *h)
{
	h->is_warned = true;
	sem_post(&h->news);
}

void hand_give(struct hand *h, void (*work)(void *arg), void *arg)
{
	h->arg = arg;
	h->work = work;
	sem_post(&h->news);
}

void hand_destroy(struct hand *h)
{
	if (!h)
		return;
	h->is_ending = true;
	sem_post(&h->news);
	pthread_join(h->thread, NULL);
	sem_destroy(&h->news);
	free(h);
}
