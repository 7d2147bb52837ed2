/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest agent's commands that are more than a line and its answer: ping,
 * set-time, shutdown. One thread.
 */
#include "tests/unit/suite.h"

#include "tests/unit/agent_rig.h"

START_TEST(a_ping_measures_and_a_heartbeat_pings_when_idle)
{
	struct err e = ERR_NONE;
	struct outcome o = { 0 };

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	fake_agent_init(&g, loop, 5 * MS);
	fake_agent_open(&g);
	while (!g.requests) {
		loop_step(loop, 1000);
		fake_agent_read(&g);
	}
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-ping\"}");
	fake_agent_say(&g, "{\"return\": {}}\n");
	agent_ping(g.agent, 5000 * MS, on_done, &o);
	fake_agent_read(&g);
	fake_agent_say(&g, "{\"return\": {}}\n");
	expect(&o, 0, "");
	ck_assert_uint_gt(status().rtt_ns, 0);
	ck_assert_uint_lt(status().rtt_ns, 5000 * MS);
	tear_down();
}
END_TEST

START_TEST(set_time_sends_the_time_of_sending)
{
	struct outcome a, b = { 0 };
	uint64_t before, told;

	set_up();
	call(&a, "guest-a", 5000 * MS);
	agent_set_time(g.agent, 5000 * MS, on_done, &b);
	loop_step(loop, 2);
	before = clock_wall_ns();
	fake_agent_say(&g, "{\"return\": 1}\n");
	expect_number(&a, 1);
	fake_agent_read(&g);
	ck_assert_ptr_nonnull(strstr(g.request, "guest-set-time"));
	told = strtoull(strstr(g.request, "\"time\":") + 7, NULL, 10);
	ck_assert_uint_ge(told, before);
	ck_assert_uint_le(told, clock_wall_ns());
	fake_agent_say(&g, "{\"return\": {}}\n");
	expect(&b, 0, "");
	tear_down();
}
END_TEST

/* --- shutdown ----------------------------------------------------------- */

static void shut_down(struct outcome *o, uint64_t timeout_ns)
{
	memset(o, 0, sizeof(*o));
	g.is_mute = true;
	agent_shutdown(g.agent, AGENT_REBOOT, timeout_ns, on_done, o);
	fake_agent_read(&g);
}

START_TEST(a_shutdown_is_delivered_when_the_agent_has_gone_past_it)
{
	struct outcome o;

	set_up();
	shut_down(&o, 5000 * MS);
	ck_assert_str_eq(g.request, "{\"execute\":\"guest-shutdown\","
				    "\"arguments\":{\"mode\":\"reboot\"}}");
	ck_assert_uint_eq(o.count, 0);
	fake_agent_say_sync(&g, g.sync_id);
	expect(&o, 0, "");
	call(&o, "guest-b", 5000 * MS);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	tear_down();
}
END_TEST

START_TEST(a_shutdown_is_delivered_when_the_port_is_closed_behind_it)
{
	struct outcome o;

	set_up();
	shut_down(&o, 5000 * MS);
	agent_connected(g.agent, false);
	expect(&o, 0, "");
	g.is_mute = false;
	fake_agent_open(&g);
	g.room = 10; /* not all of it was taken */
	shut_down(&o, 5000 * MS);
	agent_connected(g.agent, false);
	expect(&o, -ECONNRESET, "");
	tear_down();
}
END_TEST

START_TEST(a_refused_or_unanswered_shutdown_is_an_error)
{
	struct outcome o;

	set_up();
	shut_down(&o, 5000 * MS);
	fake_agent_say(&g, "{\"error\": {\"desc\": \"no\"}}\n");
	expect(&o, -EREMOTEIO, "guest-shutdown: the guest's agent says: no");
	/* its synchronisation answers no later call */
	call(&o, "guest-b", 5000 * MS);
	ck_assert_uint_eq(g.requests, 1);
	fake_agent_say_sync(&g, g.sync_id);
	fake_agent_read(&g);
	fake_agent_say(&g, "{\"return\": 2}\n");
	expect_number(&o, 2);
	shut_down(&o, 5 * MS);
	wait_for(&o);
	expect(&o, -ETIMEDOUT, "guest-shutdown");
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_ping_measures_and_a_heartbeat_pings_when_idle,
		set_time_sends_the_time_of_sending,
		a_shutdown_is_delivered_when_the_agent_has_gone_past_it,
		a_shutdown_is_delivered_when_the_port_is_closed_behind_it,
		a_refused_or_unanswered_shutdown_is_an_error,
	};

	return SUITE_RUN("agent_calls", tests);
}
