/* SPDX-License-Identifier: Apache-2.0 */
/* Work that a waiting thread is given, and the loop that expects its end. */
#include <semaphore.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hand.h"
#include "base/loop.h"
#include "tests/unit/suite.h"

#define ROUNDS 2000

static struct hand *hand;
static unsigned int done; /* the hand's, until it has said so */
static sem_t ended;

static void set_up(void)
{
	struct err e = ERR_NONE;

	done = 0;
	sem_init(&ended, 0, 0);
	ck_assert_msg(!hand_create(&hand, 128u << 10, &e), "%s", e.text);
}

static void work(void *arg)
{
	done += *(unsigned int *)arg;
	sem_post(&ended);
}

START_TEST(each_piece_of_work_is_done_once_warned_of_or_not)
{
	unsigned int one = 1, i;

	set_up();
	for (i = 0; i < ROUNDS; i++) {
		if (i % 3)
			hand_warn(hand);
		if (i % 5 == 1)
			usleep(20);
		hand_give(hand, work, &one);
		while (sem_wait(&ended) < 0)
			;
		ck_assert_uint_eq(done, i + 1);
	}
	hand_destroy(hand);
	ck_assert_uint_eq(done, ROUNDS);
}
END_TEST

START_TEST(what_was_given_is_done_before_the_end)
{
	unsigned int one = 1, i;

	for (i = 0; i < ROUNDS / 20; i++) {
		set_up();
		hand_give(hand, work, &one);
		hand_destroy(hand);
		ck_assert_uint_eq(done, 1);
	}
}
END_TEST

START_TEST(a_warning_that_nothing_follows_costs_nothing_more)
{
	set_up();
	hand_warn(hand);
	hand_destroy(hand);
	ck_assert_uint_eq(done, 0);
	hand_destroy(NULL);
}
END_TEST

struct reply {
	struct loop *loop;
	struct loop_msg msg;
	unsigned int got; /* the loop's */
};

static void on_reply(void *ctx)
{
	((struct reply *)ctx)->got++;
}

static void send_reply(void *arg)
{
	struct reply *r = arg;

	loop_post(r->loop, &r->msg);
}

START_TEST(loop_gets_what_it_expects_and_what_comes_too_late)
{
	struct reply r = { .msg = { .run = on_reply, .ctx = &r } };
	unsigned int i;

	set_up();
	ck_assert_int_eq(loop_create(&r.loop, NULL), 0);
	for (i = 0; i < ROUNDS; i++) {
		hand_give(hand, send_reply, &r);
		loop_expect(r.loop, i % 2 ? 100 * NS_PER_US : 1);
		while (r.got == i)
			ck_assert_int_eq(loop_step(r.loop, 1000), 0);
		ck_assert_uint_eq(r.got, i + 1);
	}
	hand_destroy(hand);
	loop_destroy(r.loop);
}
END_TEST

static void on_due(void *ctx)
{
	*(uint64_t *)ctx = clock_mono_ns();
}

START_TEST(loop_that_expects_something_is_not_late_for_its_timers)
{
	uint64_t began = clock_mono_ns(), fired = 0;
	struct loop_timer timer = { .due_ns = 0 };
	struct loop *loop;

	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	loop_arm(loop, &timer, NS_PER_MS, on_due, &fired);
	loop_expect(loop, 60 * NS_PER_S);
	while (!fired)
		ck_assert_int_eq(loop_step(loop, -1), 0);
	ck_assert_uint_lt(fired - began, 10 * NS_PER_S);
	loop_destroy(loop);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		each_piece_of_work_is_done_once_warned_of_or_not,
		what_was_given_is_done_before_the_end,
		a_warning_that_nothing_follows_costs_nothing_more,
		loop_gets_what_it_expects_and_what_comes_too_late,
		loop_that_expects_something_is_not_late_for_its_timers,
	};

	return SUITE_RUN("hand", tests);
}
