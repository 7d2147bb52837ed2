/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in the guest by its agent, and base64. One thread. */
#include "tests/unit/suite.h"

#include <stdio.h>

#include "tests/unit/fake_agent.h"

static struct loop *loop;
static struct fake_agent g;

struct outcome {
	unsigned int count;
	int code, status, signal;
	char text[ERR_TEXT_BYTES];
	char out[64], err[64];
	bool out_cut, err_cut;
};

static void on_done(void *ctx, const struct agent_exec_result *r,
		    const struct err *e)
{
	struct outcome *o = ctx;

	o->count++;
	if (e) {
		o->code = e->code;
		snprintf(o->text, sizeof(o->text), "%s", e->text);
		return;
	}
	o->status = r->status;
	o->signal = r->signal;
	o->out_cut = r->out_cut;
	o->err_cut = r->err_cut;
	snprintf(o->out, sizeof(o->out), "%.*s", (int)r->out.len,
		 r->out.len ? (const char *)r->out.data : "");
	snprintf(o->err, sizeof(o->err), "%.*s", (int)r->err.len,
		 r->err.len ? (const char *)r->err.data : "");
}

static void set_up(void)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	fake_agent_init(&g, loop, 0);
	fake_agent_open(&g);
}

static void tear_down(void)
{
	fake_agent_fini(&g);
	loop_destroy(loop);
}

static void exec_words(struct outcome *o, uint64_t timeout_ns)
{
	static const char *const words[] = { "sh", "-c", "echo \"x\"" };

	memset(o, 0, sizeof(*o));
	agent_exec(g.agent, words, 3, timeout_ns, on_done, o);
	fake_agent_read(&g);
}

/* Waits for the next request and answers it. */
static void answer(const char *command, const char *reply)
{
	unsigned int before = g.requests;

	while (!strstr(g.request, command)) {
		loop_step(loop, 1000);
		fake_agent_read(&g);
		ck_assert_uint_le(g.requests, before + 1);
	}
	g.request[0] = 0;
	fake_agent_say(&g, reply);
	fake_agent_read(&g);
}

static void begin(struct outcome *o)
{
	exec_words(o, 5000 * MS);
	answer("\"guest-exec\"", "{\"return\": {\"pid\": 77}}\n");
}

static void expect_error(struct outcome *o, int code, const char *text)
{
	ck_assert_uint_eq(o->count, 1);
	ck_assert_int_eq(o->code, code);
	ck_assert_msg(strstr(o->text, text) != NULL, "%s", o->text);
}

START_TEST(a_command_gives_status_and_both_outputs)
{
	struct outcome o;

	set_up();
	exec_words(&o, 5000 * MS);
	ck_assert_str_eq(g.request,
			 "{\"execute\":\"guest-exec\",\"arguments\":{"
			 "\"path\":\"sh\",\"arg\":[\"-c\",\"echo \\\"x\\\"\"],"
			 "\"capture-output\":true}}");
	answer("\"guest-exec\"", "{\"return\": {\"pid\": 77}}\n");
	answer("\"pid\":77", "{\"return\": {\"exited\": false}}\n");
	answer("\"pid\":77", "{\"return\": {\"exited\": false}}\n");
	ck_assert_uint_eq(o.count, 0);
	answer("guest-exec-status",
	       "{\"return\": {\"exited\": true, \"exitcode\": 3, "
	       "\"out-data\": \"aGVsbG8K\", \"err-data\": \"b29wcw==\", "
	       "\"err-truncated\": true}}\n");
	ck_assert_uint_eq(o.count, 1);
	ck_assert_int_eq(o.code, 0);
	ck_assert_int_eq(o.status, 3);
	ck_assert_int_eq(o.signal, 0);
	ck_assert_str_eq(o.out, "hello\n");
	ck_assert_str_eq(o.err, "oops");
	ck_assert(!o.out_cut && o.err_cut);
	tear_down();
}
END_TEST

START_TEST(a_command_that_a_signal_ended_says_so)
{
	struct outcome o;

	set_up();
	begin(&o);
	answer("guest-exec-status",
	       "{\"return\": {\"exited\": true, \"signal\": 9}}\n");
	ck_assert_uint_eq(o.count, 1);
	ck_assert_int_eq(o.signal, 9);
	ck_assert_str_eq(o.out, "");
	tear_down();
}
END_TEST

START_TEST(a_command_that_cannot_begin_is_an_error)
{
	struct outcome o;

	set_up();
	exec_words(&o, 5000 * MS);
	answer("\"guest-exec\"", "{\"error\": {\"desc\": \"no file\"}}\n");
	expect_error(&o, -EREMOTEIO,
		     "sh: guest-exec: the guest's agent says: no file");
	exec_words(&o, 5000 * MS);
	answer("\"guest-exec\"", "{\"return\": {\"pid\": -1}}\n");
	expect_error(&o, -EBADMSG, "no process id");
	tear_down();
}
END_TEST

START_TEST(a_result_that_is_none_is_an_error)
{
	static const char *const bad[] = {
		"{\"return\": 1}\n",
		"{\"return\": {\"exited\": 1}}\n",
		"{\"return\": {\"exited\": true, \"exitcode\": \"0\"}}\n",
		"{\"return\": {\"exited\": true, \"exitcode\": 1e3}}\n",
		"{\"return\": {\"exited\": true, \"signal\": 4294967296}}\n",
		"{\"return\": {\"exited\": true, \"out-data\": 1}}\n",
		"{\"return\": {\"exited\": true, \"out-data\": \"a\"}}\n",
		"{\"return\": {\"exited\": true, \"err-data\": \"a===\"}}\n",
	};
	struct outcome o;
	size_t i;

	set_up();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(&o);
		answer("guest-exec-status", bad[i]);
		expect_error(&o, -EBADMSG, "sh: ");
	}
	tear_down();
}
END_TEST

START_TEST(a_command_that_is_not_over_in_time_runs_on)
{
	struct outcome o;

	set_up();
	exec_words(&o, 50 * MS);
	answer("\"guest-exec\"", "{\"return\": {\"pid\": 77}}\n");
	while (!o.count) {
		if (strstr(g.request, "guest-exec-status"))
			answer("guest-exec-status",
			       "{\"return\": {\"exited\": false}}\n");
		loop_step(loop, 1000);
		fake_agent_read(&g);
	}
	expect_error(&o, -ETIMEDOUT, "runs on in the guest as process 77");
	tear_down();
}
END_TEST

START_TEST(a_port_closed_between_two_polls_ends_it_at_once)
{
	struct outcome o;

	set_up();
	begin(&o);
	ck_assert_uint_eq(o.count, 0);
	agent_connected(g.agent, false);
	expect_error(&o, -ECONNRESET, "sh: the guest's agent went away");
	exec_words(&o, 5000 * MS);
	expect_error(&o, -ENOTCONN, "sh: ");
	fake_agent_open(&g);
	exec_words(&o, 5000 * MS);
	agent_connected(g.agent, false);
	expect_error(&o, -ECONNRESET, "sh: the guest's agent went away");
	tear_down();
}
END_TEST

START_TEST(who_is_forgotten_hears_nothing_of_his_command)
{
	struct outcome o, p;

	set_up();
	begin(&o);
	agent_forget(g.agent, &o); /* between two polls */
	exec_words(&o, 5000 * MS);
	agent_forget(g.agent, &o); /* while it begins */
	exec_words(&p, 5000 * MS);
	agent_forget(g.agent, &p); /* in the queue: not begun at all */
	fake_agent_say(&g, "{\"return\": {\"pid\": 77}}\n");
	fake_agent_read(&g);
	ck_assert_uint_eq(g.requests, 2);
	ck_assert_uint_eq(o.count + p.count, 0);
	tear_down();
}
END_TEST

START_TEST(the_number_of_commands_is_bounded)
{
	struct outcome o[LIMIT_AGENT_EXECS + 1];
	size_t i;

	set_up();
	for (i = 0; i < LIMIT_AGENT_EXECS; i++) {
		exec_words(&o[i], 5000 * MS);
		ck_assert_uint_eq(o[i].count, 0);
	}
	exec_words(&o[i], 5000 * MS);
	expect_error(&o[i], -EBUSY, "8 commands run in the guest already");
	fake_agent_fini(&g); /* ends all that wait */
	for (i = 0; i < LIMIT_AGENT_EXECS; i++)
		expect_error(&o[i], -ECANCELED, "ends");
	loop_destroy(loop);
}
END_TEST

START_TEST(base64_of_any_bytes_comes_back)
{
	uint8_t bytes[256];
	struct buf text, back;
	size_t len, i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	buf_init(&text, 1024);
	buf_init(&back, 1024);
	for (len = 0; len <= sizeof(bytes); len++) {
		buf_reset(&text);
		buf_reset(&back);
		ck_assert_int_eq(base64_encode(&text, bytes, len), 0);
		ck_assert_int_eq(
			base64_decode(&back, buf_text(&text), text.len), 0);
		ck_assert_uint_eq(back.len, len);
		ck_assert(!len || !memcmp(back.data, bytes, len));
	}
	buf_reset(&text);
	base64_encode(&text, "light w", 7);
	ck_assert_str_eq(buf_text(&text), "bGlnaHQgdw==");
	buf_fini(&text);
	buf_fini(&back);
}
END_TEST

START_TEST(what_is_no_base64_is_refused_and_nothing_kept)
{
	static const char *const bad[] = {
		"a",	"ab",	"abc",	    "a===", "====",	"ab=c",
		"abc*", "ab==", "AAAAab==", "abd=", "AA==AAAA", "AAA\n",
	};
	struct buf to;
	size_t i;

	buf_init(&to, 1024);
	buf_puts(&to, "x");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(base64_decode(&to, bad[i], strlen(bad[i])),
				 -EINVAL);
		ck_assert_uint_eq(to.len, 1);
	}
	buf_fini(&to);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_command_gives_status_and_both_outputs,
		a_command_that_a_signal_ended_says_so,
		a_command_that_cannot_begin_is_an_error,
		a_result_that_is_none_is_an_error,
		a_command_that_is_not_over_in_time_runs_on,
		a_port_closed_between_two_polls_ends_it_at_once,
		who_is_forgotten_hears_nothing_of_his_command,
		the_number_of_commands_is_bounded,
		base64_of_any_bytes_comes_back,
		what_is_no_base64_is_refused_and_nothing_kept,
	};

	return SUITE_RUN("agent_exec", tests);
}
