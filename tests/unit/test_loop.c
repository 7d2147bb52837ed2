/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: timers, descriptors, messages between threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "tests/unit/suite.h"

static struct loop *l;
static char order[16]; /* one letter per handler that ran */

static void setup(void)
{
	struct err e = ERR_NONE;

	memset(order, 0, sizeof(order));
	ck_assert_msg(!loop_create(&l, &e), "%s", e.text);
}

static void note(char letter)
{
	size_t n = strlen(order);

	if (n < sizeof(order) - 1)
		order[n] = letter;
}

/* --- timers -------------------------------------------------------------- */

struct tick {
	struct loop_timer timer;
	char letter;
	struct tick *disarms; /* another timer that the handler disarms */
	int rearms;	      /* how often it arms itself again */
};

static void fired(void *ctx)
{
	struct tick *t = ctx;

	note(t->letter);
	if (t->disarms)
		loop_disarm(&t->disarms->timer);
	if (t->rearms-- > 0)
		loop_arm(l, &t->timer, 0, fired, t);
}

static void arm(struct tick *t, char letter, uint64_t delay_ns)
{
	t->letter = letter;
	loop_arm(l, &t->timer, delay_ns, fired, t);
}

/* Runs rounds until count handlers have left their letter. */
static void run_until(size_t count)
{
	uint64_t end = clock_mono_ns() + 10 * NS_PER_S;

	while (strlen(order) < count && clock_mono_ns() < end)
		ck_assert_int_eq(loop_step(l, 1000), 0);
}

START_TEST(timers_fire_in_the_order_of_their_time)
{
	struct tick a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	setup();
	arm(&c, 'c', 3 * NS_PER_MS);
	arm(&a, 'a', 1 * NS_PER_MS);
	arm(&d, 'd', 4 * NS_PER_MS);
	arm(&b, 'b', 2 * NS_PER_MS);
	run_until(4);
	ck_assert_str_eq(order, "abcd");
	loop_destroy(l);
}
END_TEST

START_TEST(a_timer_never_fires_early_and_fires_once)
{
	struct tick a = { 0 };
	uint64_t start;

	setup();
	start = clock_mono_ns();
	arm(&a, 'a', 20 * NS_PER_MS);
	run_until(1);
	ck_assert_uint_ge(clock_mono_ns() - start, 20 * NS_PER_MS);
	ck_assert_ptr_null(a.timer.loop);
	loop_step(l, 5);
	ck_assert_str_eq(order, "a");
	loop_destroy(l);
}
END_TEST

START_TEST(arming_again_moves_a_timer)
{
	struct tick a = { 0 }, b = { 0 };

	setup();
	arm(&a, 'a', 1 * NS_PER_MS);
	arm(&b, 'b', 2 * NS_PER_MS);
	arm(&a, 'a', 4 * NS_PER_MS);
	run_until(2);
	ck_assert_str_eq(order, "ba");
	loop_destroy(l);
}
END_TEST

START_TEST(a_handler_may_disarm_a_timer_that_is_due)
{
	struct tick a = { 0 }, b = { 0 }, c = { 0 };

	setup();
	arm(&a, 'a', 0);
	arm(&b, 'b', 0);
	arm(&c, 'c', 1 * NS_PER_MS);
	a.disarms = &b;
	run_until(2);
	ck_assert_str_eq(order, "ac");
	loop_disarm(&b.timer);
	loop_destroy(l);
}
END_TEST

START_TEST(a_handler_may_arm_its_own_timer)
{
	struct tick a = { .rearms = 3 };

	setup();
	arm(&a, 'a', 0);
	run_until(4);
	ck_assert_str_eq(order, "aaaa");
	loop_destroy(l);
}
END_TEST

/* --- descriptors --------------------------------------------------------- */

struct source {
	struct loop_fd watch;
	int fd; /* an eventfd that is readable */
	char letter;
	struct source *removes;
};

static void ready(void *ctx, uint32_t events)
{
	struct source *s = ctx;

	ck_assert_uint_eq(events, EPOLLIN);
	note(s->letter);
	if (s->removes)
		loop_remove(&s->removes->watch);
}

static void add(struct source *s, char letter)
{
	s->letter = letter;
	s->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(s->fd, 0);
	ck_assert_int_eq(loop_add(l, &s->watch, s->fd, EPOLLIN, ready, s), 0);
}

static void drop(struct source *s)
{
	loop_remove(&s->watch);
	loop_remove(&s->watch); /* not watched: fine */
	close(s->fd);
}

START_TEST(a_readable_descriptor_is_reported_each_round)
{
	struct source a = { 0 };

	setup();
	add(&a, 'a');
	loop_step(l, 1000);
	loop_step(l, 1000);
	ck_assert_str_eq(order, "aa");
	ck_assert_int_eq(loop_modify(&a.watch, 0), 0);
	loop_step(l, 1);
	ck_assert_str_eq(order, "aa");
	ck_assert_int_eq(loop_modify(&a.watch, EPOLLIN), 0);
	loop_step(l, 1000);
	ck_assert_str_eq(order, "aaa");
	drop(&a);
	ck_assert_int_eq(a.watch.fd, -1);
	ck_assert_int_lt(loop_modify(&a.watch, EPOLLIN), 0);
	loop_destroy(l);
}
END_TEST

START_TEST(a_source_removed_in_a_round_gets_no_more_of_it)
{
	struct source a = { 0 }, b = { 0 };

	setup();
	add(&a, 'a');
	add(&b, 'b');
	a.removes = &b;
	b.removes = &a;
	loop_step(l, 1000);
	loop_step(l, 1000);
	ck_assert_uint_eq(strlen(order), 2);
	ck_assert_int_eq(order[0], order[1]); /* whoever came first stays */
	drop(&a);
	drop(&b);
	loop_destroy(l);
}
END_TEST

START_TEST(a_handler_may_remove_itself)
{
	struct source a = { 0 };

	setup();
	add(&a, 'a');
	a.removes = &a;
	loop_step(l, 1000);
	loop_step(l, 1);
	ck_assert_str_eq(order, "a");
	drop(&a);
	loop_destroy(l);
}
END_TEST

START_TEST(a_bad_descriptor_is_an_error)
{
	struct loop_fd w = { .fd = -1 };

	setup();
	ck_assert_int_eq(loop_add(l, &w, -1, EPOLLIN, ready, NULL), -EBADF);
	loop_remove(&w);
	loop_destroy(l);
	loop_destroy(NULL);
}
END_TEST

/* --- messages ------------------------------------------------------------ */

struct mail {
	struct loop_msg msg;
	char letter;
	int posts; /* how often the handler posts it again */
};

static void arrived(void *ctx)
{
	struct mail *m = ctx;

	note(m->letter);
	if (m->posts-- > 0)
		loop_post(l, &m->msg);
}

static struct mail mail(char letter)
{
	return (struct mail){ .letter = letter };
}

static void post(struct mail *m)
{
	m->msg.run = arrived;
	m->msg.ctx = m;
	loop_post(l, &m->msg);
}

START_TEST(messages_run_in_order_and_once)
{
	struct mail a = mail('a'), b = mail('b'), c = mail('c');

	setup();
	post(&a);
	post(&b);
	post(&a); /* still queued: no second time */
	post(&c);
	loop_step(l, 1000);
	loop_step(l, 0);
	ck_assert_str_eq(order, "abc");
	post(&a);
	loop_step(l, 1000);
	ck_assert_str_eq(order, "abca");
	loop_destroy(l);
}
END_TEST

START_TEST(a_message_taken_back_does_not_run)
{
	struct mail a = mail('a'), b = mail('b'), c = mail('c');

	setup();
	post(&a);
	post(&b);
	post(&c);
	loop_unpost(l, &b.msg);
	loop_unpost(l, &c.msg);
	loop_unpost(l, &c.msg);
	post(&b);
	loop_step(l, 1000);
	ck_assert_str_eq(order, "ab");
	loop_destroy(l);
}
END_TEST

START_TEST(a_handler_may_post_its_own_message)
{
	struct mail a = { .letter = 'a', .posts = 2 };

	setup();
	post(&a);
	run_until(3);
	ck_assert_str_eq(order, "aaa");
	loop_destroy(l);
}
END_TEST

/* The letters are few: a timer that comes after 100,000 messages has none. */
START_TEST(messages_posted_for_ever_do_not_starve_timers)
{
	struct mail a = { .letter = 'a', .posts = 100000 };
	struct tick t = { 0 };
	int i;

	setup();
	arm(&t, 't', 0);
	post(&a);
	for (i = 0; i < 3 && !strchr(order, 't'); i++)
		loop_step(l, 1000);
	ck_assert_ptr_nonnull(strchr(order, 't'));
	loop_destroy(l);
}
END_TEST

#define POSTERS 3
#define CHANGES 30000

struct changes {
	struct loop_msg msg;
	atomic_uint made;
	unsigned int seen;
	atomic_uint posters; /* still running */
};

static void see_changes(void *ctx)
{
	struct changes *c = ctx;

	c->seen = atomic_load(&c->made);
	if (c->seen == POSTERS * CHANGES && !atomic_load(&c->posters))
		loop_stop(l);
}

static void *make_changes(void *ctx)
{
	struct changes *c = ctx;
	int i;

	for (i = 0; i < CHANGES; i++) {
		atomic_fetch_add(&c->made, 1);
		loop_post(l, &c->msg);
	}
	atomic_fetch_sub(&c->posters, 1);
	loop_post(l, &c->msg);
	return NULL;
}

START_TEST(no_change_posted_by_threads_is_missed)
{
	struct changes c = { .posters = POSTERS };
	pthread_t thread[POSTERS];
	int i;

	setup();
	c.msg.run = see_changes;
	c.msg.ctx = &c;
	for (i = 0; i < POSTERS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, make_changes, &c), 0);
	ck_assert_int_eq(loop_run(l), 0);
	for (i = 0; i < POSTERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(c.seen, POSTERS * CHANGES);
	loop_unpost(l, &c.msg);
	loop_destroy(l);
}
END_TEST

static void *stop(void *ctx)
{
	loop_stop(ctx);
	return NULL;
}

START_TEST(another_thread_stops_a_waiting_loop)
{
	pthread_t thread;

	setup();
	ck_assert_int_eq(pthread_create(&thread, NULL, stop, l), 0);
	ck_assert_int_eq(loop_run(l), 0);
	pthread_join(thread, NULL);
	loop_stop(l); /* also before it runs, and again */
	ck_assert_int_eq(loop_run(l), 0);
	loop_destroy(l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		timers_fire_in_the_order_of_their_time,
		a_timer_never_fires_early_and_fires_once,
		arming_again_moves_a_timer,
		a_handler_may_disarm_a_timer_that_is_due,
		a_handler_may_arm_its_own_timer,
		a_readable_descriptor_is_reported_each_round,
		a_source_removed_in_a_round_gets_no_more_of_it,
		a_handler_may_remove_itself,
		a_bad_descriptor_is_an_error,
		messages_run_in_order_and_once,
		a_message_taken_back_does_not_run,
		a_handler_may_post_its_own_message,
		messages_posted_for_ever_do_not_starve_timers,
		no_change_posted_by_threads_is_missed,
		another_thread_stops_a_waiting_loop,
	};

	return SUITE_RUN("loop", tests);
}
