/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue, the synchronisation and the limits of the guest agent's host
 * side, against a fake guest. One thread.
 */
#include "tests/unit/suite.h"

#include "tests/unit/agent_rig.h"

START_TEST(a_call_is_one_line_and_its_answer_comes_back)
{
	struct outcome o = { 0 };

	set_up();
	agent_call(g.agent, "guest-x", json_pack("{s:i}", "n", 7), 1000 * MS,
		   on_done, &o);
	fake_agent_read(&g);
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-x\","
				    "\"arguments\":{\"n\":7}}");
	fake_agent_say(&g, "{\"return\": 5}\n");
	expect_number(&o, 5);
	tear_down();
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
	const char *reply = "\r\n {\"return\": 5}\r\n";
	struct outcome o;

	set_up();
	call(&o, "guest-x", 1000 * MS);
	for (; *reply; reply++) {
		ck_assert_uint_eq(o.count, 0);
		agent_input(g.agent, reply, 1);
	}
	/* and the host's bytes too */
	expect_number(&o, 5);
	g.room = 0;
	call(&o, "guest-y", 1000 * MS);
	while (g.requests < 2) {
		g.room = 1;
		agent_writable(g.agent);
		fake_agent_read(&g);
	}
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-y\"}");
	g.room = SIZE_MAX;
	fake_agent_say(&g, "{\"return\": 6}\n");
	expect_number(&o, 6);
	tear_down();
}
END_TEST

START_TEST(calls_wait_for_each_other_in_order)
{
	struct outcome a, b;

	set_up();
	call(&a, "guest-a", 1000 * MS);
	call(&b, "guest-b", 1000 * MS);
	ck_assert_uint_eq(g.requests, 1);
	ck_assert_uint_eq(status().waiting, 2);
	fake_agent_say(&g, "{\"return\": 1}\n");
	expect_number(&a, 1);
	ck_assert_uint_eq(b.count, 0);
	fake_agent_read(&g);
	ck_assert_uint_eq(g.requests, 2);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&b, 2);
	tear_down();
}
END_TEST

START_TEST(a_late_reply_never_answers_a_later_call)
{
	struct outcome a, b;

	set_up();
	g.is_mute = true;
	call(&a, "guest-a", 5 * MS);
	call(&b, "guest-b", 5000 * MS);
	wait_for(&a);
	expect(&a, -ETIMEDOUT, "guest-a: the guest's agent did not answer");
	/* the first one's answer, then those to b's synchronisations */
	fake_agent_say(&g, "{\"return\": 1}\n");
	ck_assert_uint_eq(g.requests, 1);
	fake_agent_say_sync(&g, g.sync_id + 1); /* not the right number */
	fake_agent_say(&g, "{\"return\": 1}\n");
	ck_assert(!status().in_sync);
	fake_agent_say_sync(&g, g.sync_id);
	fake_agent_read(&g);
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-b\"}");
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&b, 2);
	tear_down();
}
END_TEST

START_TEST(a_second_answer_never_answers_a_later_call)
{
	struct outcome a, b;

	set_up();
	/* in one piece with the first one */
	call(&a, "guest-a", 5000 * MS);
	call(&b, "guest-b", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 1}\n{\"return\": 66}\n");
	expect_number(&a, 1);
	fake_agent_read(&g);
	ck_assert_uint_eq(b.count, 0);
	ck_assert_uint_gt(status().stray_bytes, 0);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&b, 2);
	/* while nobody asks */
	fake_agent_say(&g, "{\"return\": 66");
	call(&a, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 3}\n");
	expect_number(&a, 3);
	tear_down();
}
END_TEST

START_TEST(a_synchronisation_is_tried_again_with_another_number)
{
	int64_t first;
	struct err e = ERR_NONE;

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	fake_agent_init(&g, loop, 0);
	g.is_mute = true;
	agent_connected(g.agent, true);
	fake_agent_read(&g);
	first = g.sync_id;
	while (g.syncs < 3) {
		loop_step(loop, 1000);
		fake_agent_read(&g);
	}
	ck_assert(g.sync_id != first);
	fake_agent_say_sync(&g, first);
	ck_assert(!status().in_sync);
	fake_agent_say(&g, "noise \xff noise\n\xff{\"return\":1}\n\xff\xff");
	fake_agent_say_sync(&g, g.sync_id);
	ck_assert(status().in_sync);
	ck_assert_uint_gt(status().rtt_ns, 0);
	ck_assert_uint_gt(status().seen_wall_ns, 0);
	tear_down();
}
END_TEST

START_TEST(a_guest_that_takes_nothing_is_not_sent_more_and_more)
{
	struct err e = ERR_NONE;
	struct outcome o;
	int i;

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	fake_agent_init(&g, loop, 0);
	g.room = 10;
	agent_connected(g.agent, true);
	call(&o, "guest-a", 100 * MS);
	for (i = 0; i < 20; i++)
		loop_step(loop, 10);
	ck_assert_uint_eq(g.got.len, 10);
	ck_assert_uint_eq(status().syncs, 1);
	wait_for(&o);
	expect(&o, -ETIMEDOUT, "guest-a");
	ck_assert_uint_eq(g.requests, 0);
	tear_down();
}
END_TEST

START_TEST(garbage_fails_the_call_and_only_that_one)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{ "garbage\n", -EBADMSG },
		{ "{}\n", -EBADMSG },
		{ "[]\n", -EBADMSG },
		{ "{\"return\": 1, \"error\": {}}\n", -EBADMSG },
		{ "{\"error\": 1}\n", -EBADMSG },
		{ "{\"return\": 1} {\"return\": 2}\n", -EBADMSG },
		{ "{\"return\": \"\xfe\"}\n", -EBADMSG },
		{ "{\"return\": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}\n",
		  -EFBIG },
	};
	struct outcome o;
	size_t i;

	set_up();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		call(&o, "guest-a", 5000 * MS);
		fake_agent_say(&g, rows[i].text);
		expect(&o, rows[i].code, "guest-a: ");
		ck_assert_uint_eq(status().bad_replies, i + 1);
		fake_agent_read(&g); /* synchronised again */
		call(&o, "guest-b", 5000 * MS);
		fake_agent_say(&g, "{\"return\": 2}\n");
		expect_number(&o, 2);
	}
	tear_down();
}
END_TEST

START_TEST(a_sentinel_begins_a_line_anew)
{
	struct outcome o;

	set_up();
	call(&o, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 1\xff{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

/* `digits` of one number as the answer: a line of digits + 12 bytes. */
static void say_long(size_t bytes)
{
	char *text = malloc(bytes + 1);

	memset(text, ' ', bytes);
	memcpy(text, "{\"return\": \"", 12);
	memset(text + 12, 'x', bytes - 14);
	memcpy(text + bytes - 2, "\"}", 2);
	agent_input(g.agent, text, bytes);
	free(text);
}

START_TEST(an_answer_of_7_mib_fits_and_one_byte_more_does_not)
{
	struct outcome o;

	set_up();
	call(&o, "guest-a", 5000 * MS);
	say_long(LIMIT_AGENT_REPLY_BYTES);
	fake_agent_say(&g, "\n");
	ck_assert_uint_eq(json_string_length(o.ret),
			  LIMIT_AGENT_REPLY_BYTES - 14);
	expect(&o, 0, "");
	call(&o, "guest-a", 5000 * MS);
	say_long(LIMIT_AGENT_REPLY_BYTES + 1);
	expect(&o, -EFBIG, "longer than the limit of 7340032 bytes");
	fake_agent_say(&g, "\n");
	fake_agent_read(&g);
	call(&o, "guest-b", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

START_TEST(a_flood_costs_no_memory_and_no_later_call)
{
	static char block[1 << 16];
	struct outcome o;
	int i;

	set_up();
	memset(block, 'x', sizeof(block));
	for (i = 0; i < 1024; i++)
		agent_input(g.agent, block, sizeof(block));
	memset(block, 0xff, sizeof(block));
	for (i = 0; i < 1024; i++)
		agent_input(g.agent, block, sizeof(block));
	ck_assert_uint_eq(status().stray_bytes, 2048 * sizeof(block));
	g.is_mute = true;
	call(&o, "guest-a", 5000 * MS);
	/* out of sync, too */
	memset(block, '\n', sizeof(block));
	for (i = 0; i < 1024; i++)
		agent_input(g.agent, block, sizeof(block));
	fake_agent_say_sync(&g, g.sync_id);
	fake_agent_read(&g);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	struct outcome o[LIMIT_AGENT_QUEUE + 2];
	size_t i;

	set_up();
	for (i = 0; i <= LIMIT_AGENT_QUEUE; i++) {
		call(&o[i], "guest-a", 5000 * MS);
		ck_assert_uint_eq(o[i].count, 0);
	}
	call(&o[i], "guest-a", 5000 * MS);
	expect(&o[i], -EBUSY, "32 calls wait");
	agent_connected(g.agent, false);
	for (i = 0; i <= LIMIT_AGENT_QUEUE; i++)
		expect(&o[i], -ECONNRESET, "went away");
	tear_down();
}
END_TEST

START_TEST(a_request_beyond_the_limit_is_not_sent)
{
	char *text = malloc(LIMIT_AGENT_REQUEST_BYTES + 1);
	struct outcome o = { 0 };

	set_up();
	memset(text, 'x', LIMIT_AGENT_REQUEST_BYTES);
	text[LIMIT_AGENT_REQUEST_BYTES] = 0;
	agent_call(g.agent, "guest-a", json_pack("{s:s}", "a", text), 1000 * MS,
		   on_done, &o);
	expect(&o, -E2BIG, "131072 bytes");
	ck_assert_uint_eq(g.got.len, 0);
	call(&o, "guest-b", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	free(text);
	tear_down();
}
END_TEST

START_TEST(without_an_agent_a_call_fails_at_once)
{
	struct outcome o;

	set_up();
	agent_connected(g.agent, false);
	call(&o, "guest-a", 5000 * MS);
	expect(&o, -ENOTCONN, "qemu-guest-agent");
	ck_assert(!status().connected);
	ck_assert_str_eq(status().version, "");
	fake_agent_say(&g, "{\"return\": 2}\n");
	fake_agent_open(&g);
	call(&o, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

START_TEST(a_port_closed_in_the_middle_of_an_answer_ends_the_call)
{
	struct outcome o;

	set_up();
	call(&o, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"return\": ");
	agent_connected(g.agent, false);
	expect(&o, -ECONNRESET, "went away");
	fake_agent_say(&g, "1}\n");
	fake_agent_open(&g);
	call(&o, "guest-b", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

START_TEST(the_agents_refusal_is_told_in_its_words)
{
	struct outcome o;

	set_up();
	call(&o, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"error\": {\"class\": \"GenericError\", "
			   "\"desc\": \"no such thing\"}}\n");
	expect(&o, -EREMOTEIO,
	       "guest-a: the guest's agent says: no such thing");
	call(&o, "guest-a", 5000 * MS);
	fake_agent_say(&g, "{\"error\": {}}\n");
	expect(&o, -EREMOTEIO, "an error without a text");
	tear_down();
}
END_TEST

START_TEST(who_is_forgotten_hears_nothing_and_the_queue_goes_on)
{
	struct outcome a, b, c;

	set_up();
	call(&a, "guest-a", 5000 * MS);
	call(&b, "guest-b", 5000 * MS);
	call(&c, "guest-c", 5000 * MS);
	agent_forget(g.agent, &a);
	agent_forget(g.agent, &b);
	fake_agent_say(&g, "{\"return\": 1}\n");
	fake_agent_read(&g);
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-c\"}");
	fake_agent_say(&g, "{\"return\": 3}\n");
	expect_number(&c, 3);
	ck_assert_uint_eq(a.count + b.count, 0);
	tear_down();
}
END_TEST

static void call_again(void *ctx, const json_t *ret, const struct err *e)
{
	on_done(ctx, ret, e);
	agent_ping(g.agent, 1000 * MS, NULL, &g);
	agent_forget(g.agent, &g);
}

START_TEST(a_done_may_call_the_agent)
{
	struct outcome o = { 0 };

	set_up();
	agent_ping(g.agent, 1000 * MS, call_again, &o);
	fake_agent_read(&g);
	fake_agent_say(&g, "{\"return\": {}}\n");
	expect(&o, 0, "");
	agent_ping(g.agent, 1 * MS, call_again, &o);
	memset(&o, 0, sizeof(o));
	wait_for(&o);
	expect(&o, -ETIMEDOUT, "guest-ping");
	memset(&o, 0, sizeof(o));
	agent_ping(g.agent, 1000 * MS, call_again, &o);
	agent_connected(g.agent, false);
	expect(&o, -ECONNRESET, "");
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_call_is_one_line_and_its_answer_comes_back,
		bytes_may_come_one_by_one,
		calls_wait_for_each_other_in_order,
		a_late_reply_never_answers_a_later_call,
		a_second_answer_never_answers_a_later_call,
		a_synchronisation_is_tried_again_with_another_number,
		a_guest_that_takes_nothing_is_not_sent_more_and_more,
		garbage_fails_the_call_and_only_that_one,
		a_sentinel_begins_a_line_anew,
		an_answer_of_7_mib_fits_and_one_byte_more_does_not,
		a_flood_costs_no_memory_and_no_later_call,
		the_queue_is_bounded,
		a_request_beyond_the_limit_is_not_sent,
		without_an_agent_a_call_fails_at_once,
		a_port_closed_in_the_middle_of_an_answer_ends_the_call,
		the_agents_refusal_is_told_in_its_words,
		who_is_forgotten_hears_nothing_and_the_queue_goes_on,
		a_done_may_call_the_agent,
	};

	return SUITE_RUN("agent", tests);
}
