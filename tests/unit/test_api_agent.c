/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's routes over a fake VM with a fake agent in it. One thread. */
#include "tests/unit/suite.h"

#include "tests/unit/client.h"
#include "tests/unit/fake_agent.h"

static struct plane p;
static struct fake_agent g;
static struct call call;

static void set_up(void)
{
	plane_open(&p);
	plane_state(&p, VM_RUNNING);
	fake_agent_init(&g, p.loop, 0);
	p.control->agent = g.agent; /* its owner now */
	fake_agent_open(&g);
	plane_finished = 0;
}

static void tear_down(void)
{
	plane_close(&p);
	buf_fini(&g.got);
}

static void ask(const char *request, const char *body)
{
	plane_call(&p, &call, request, body);
	fake_agent_read(&g);
}

static json_t *answered(void)
{
	ck_assert_uint_eq(plane_finished, 1);
	ck_assert_uint_eq(call.status, 200);
	plane_finished = 0;
	return plane_json(&call);
}

static uint64_t records(void)
{
	return events_next(p.control->events);
}

START_TEST(the_state_of_the_agent_is_shown)
{
	json_t *root;

	set_up();
	ask("GET /v1/vm/agent", NULL);
	root = plane_json(&call);
	ck_assert(json_is_true(json_object_get(root, "connected")));
	ck_assert(json_is_true(json_object_get(root, "in_sync")));
	ck_assert_str_eq(json_string_value(json_object_get(root, "version")),
			 "7.2.22");
	ck_assert(json_is_string(json_object_get(root, "last_seen")));
	ck_assert(json_is_integer(json_object_get(root, "rtt_us")));
	json_decref(root);
	call_fini(&call);
	agent_connected(g.agent, false);
	ask("GET /v1/vm/agent", NULL);
	root = plane_json(&call);
	ck_assert(json_is_false(json_object_get(root, "connected")));
	ck_assert(json_is_null(json_object_get(root, "version")));
	json_decref(root);
	call_fini(&call);
	tear_down();
}
END_TEST

START_TEST(every_question_is_asked_and_answered)
{
	static const struct {
		const char *route, *command, *member;
		bool recorded;
	} rows[] = {
		{ "ping", "guest-ping", "rtt_us", false },
		{ "info", "guest-info", "info", false },
		{ "osinfo", "guest-get-osinfo", "osinfo", false },
		{ "interfaces", "guest-network-get-interfaces", "interfaces",
		  false },
		{ "fsfreeze", "guest-fsfreeze-freeze", "filesystems", true },
		{ "fsthaw", "guest-fsfreeze-thaw", "filesystems", true },
		{ "set-time", "guest-set-time", "duration_us", true },
	};
	char request[64], text[64];
	uint64_t before;
	json_t *root;
	size_t i;

	set_up();
	g.is_mute = true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		before = records();
		snprintf(request, sizeof(request), "POST /v1/vm/agent/%s",
			 rows[i].route);
		ask(request, "{\"reason\":\"why\"}");
		ck_assert_int_eq(call.kind, CALL_OPEN);
		ck_assert_ptr_nonnull(strstr(g.request, rows[i].command));
		fake_agent_say(&g, "{\"return\": 3}\n");
		root = answered();
		ck_assert_ptr_nonnull(json_object_get(root, rows[i].member));
		json_decref(root);
		call_fini(&call);
		ck_assert_uint_eq(records() - before, rows[i].recorded);
		if (!rows[i].recorded)
			continue;
		snprintf(text, sizeof(text), "agent/%s: done", rows[i].route);
		plane_expect_record(&p, "command", text);
	}
	tear_down();
}
END_TEST

START_TEST(a_command_is_executed_and_its_output_shown)
{
	json_t *root;

	set_up();
	ask("POST /v1/vm/agent/exec", "{\"command\":[\"ls\",\"-l\"]}");
	ck_assert_ptr_nonnull(strstr(g.request, "\"path\":\"ls\""));
	fake_agent_say(&g, "{\"return\": {\"pid\": 7}}\n");
	while (!strstr(g.request, "guest-exec-status")) {
		loop_step(p.loop, 1000);
		fake_agent_read(&g);
	}
	fake_agent_say(&g, "{\"return\": {\"exited\": true, \"exitcode\": 3, "
			   "\"out-data\": \"aGVsbG8K\", "
			   "\"err-data\": \"AP8=\"}}\n");
	root = answered();
	ck_assert_int_eq(json_integer_value(json_object_get(root, "status")),
			 3);
	ck_assert_str_eq(json_string_value(json_object_get(root, "stdout")),
			 "hello\n");
	ck_assert_str_eq(
		json_string_value(json_object_get(root, "stderr_base64")),
		"AP8=");
	json_decref(root);
	call_fini(&call);
	plane_expect_record(&p, "command", "agent/exec ls: exit status 3");
	tear_down();
}
END_TEST

START_TEST(a_command_is_checked_before_it_is_sent)
{
	static const char *const bad[] = {
		"{\"command\":[]}",    "{\"command\":\"ls\"}",
		"{\"command\":[1]}",   "{\"command\":[\"ls\",null]}",
		"{\"command\":{}}",    "{\"reason\":\"x\"}",
		"{\"timeout_ms\":-1}",
	};
	size_t i;

	set_up();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask("POST /v1/vm/agent/exec", bad[i]);
		plane_expect_problem(&call, "bad-value");
	}
	ck_assert_uint_eq(g.requests, 0);
	plane_expect_record(&p, "refused", "agent/exec: bad-value");
	tear_down();
}
END_TEST

START_TEST(words_of_128_fit_and_129_do_not)
{
	char body[1024] = "{\"command\":[\"x\"";
	size_t i;

	set_up();
	for (i = 1; i < LIMIT_AGENT_EXEC_WORDS; i++)
		strcat(body, ",\"\"");
	strcat(body, "]}");
	ask("POST /v1/vm/agent/exec", body);
	ck_assert_int_eq(call.kind, CALL_OPEN);
	call.cancel(&call);
	call_fini(&call);
	snprintf(strchr(body, ']'), 8, ",\"\"]}");
	ask("POST /v1/vm/agent/exec", body);
	plane_expect_problem(&call, "bad-value");
	tear_down();
}
END_TEST

START_TEST(only_an_admin_executes)
{
	set_up();
	plane_call_as(&p, &call, VM_ROLE_OPERATOR, "POST /v1/vm/agent/exec",
		      "{\"command\":[\"ls\"]}");
	plane_expect_problem(&call, "forbidden");
	plane_call_as(&p, &call, VM_ROLE_VIEWER, "POST /v1/vm/agent/ping",
		      NULL);
	plane_expect_problem(&call, "forbidden");
	plane_call_as(&p, &call, VM_ROLE_VIEWER, "GET /v1/vm/agent", NULL);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	tear_down();
}
END_TEST

START_TEST(without_a_port_or_an_agent_the_answer_says_so)
{
	plane_open(&p);
	plane_state(&p, VM_RUNNING);
	plane_call(&p, &call, "GET /v1/vm/agent", NULL);
	plane_expect_problem(&call, "no-agent");
	plane_call(&p, &call, "POST /v1/vm/agent/ping", NULL);
	plane_expect_problem(&call, "no-agent");
	plane_call(&p, &call, "POST /v1/vm/agent/exec",
		   "{\"command\":[\"ls\"]}");
	plane_expect_problem(&call, "no-agent");
	plane_close(&p);
	set_up();
	agent_connected(g.agent, false);
	ask("POST /v1/vm/agent/ping", NULL);
	ck_assert_ptr_nonnull(strstr(buf_text(&call.body), "qemu-guest-agent"));
	plane_expect_problem(&call, "no-agent");
	tear_down();
}
END_TEST

START_TEST(a_guest_that_does_not_run_is_not_asked)
{
	static const struct {
		enum vm_state state;
		const char *help;
	} rows[] = {
		{ VM_PAUSED, "\"help\":\"resume\"" },
		{ VM_STOPPED, "\"help\":\"start\"" },
		{ VM_CRASHED, "\"help\":\"reset\"" },
		{ VM_STARTING, "\"help\":\"wait\"" },
	};
	size_t i;

	set_up();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		plane_state(&p, rows[i].state);
		ask("POST /v1/vm/agent/ping", NULL);
		ck_assert_ptr_nonnull(
			strstr(buf_text(&call.body), rows[i].help));
		plane_expect_problem(&call, "wrong-state");
	}
	ck_assert_uint_eq(g.requests, 0);
	tear_down();
}
END_TEST

START_TEST(what_goes_wrong_has_its_code)
{
	set_up();
	ask("POST /v1/vm/agent/osinfo", NULL);
	fake_agent_say(&g, "{\"error\": {\"desc\": \"no way\"}}\n");
	ck_assert_ptr_nonnull(strstr(buf_text(&call.body), "no way"));
	plane_expect_problem(&call, "agent-error");
	ask("POST /v1/vm/agent/osinfo", NULL);
	fake_agent_say(&g, "nonsense\n");
	plane_expect_problem(&call, "agent-error");
	fake_agent_read(&g);
	ask("POST /v1/vm/agent/osinfo", "{\"timeout_ms\":5}");
	plane_finished = 0;
	while (!plane_finished)
		loop_step(p.loop, 1000);
	plane_expect_problem(&call, "agent-timeout");
	fake_agent_read(&g);
	ask("POST /v1/vm/agent/fsfreeze", NULL);
	agent_connected(g.agent, false);
	plane_expect_problem(&call, "no-agent");
	plane_expect_record(&p, "command",
			    "agent/fsfreeze: failed: the guest's agent went "
			    "away");
	tear_down();
}
END_TEST

START_TEST(a_client_that_goes_away_leaves_nothing_behind)
{
	struct call other;

	set_up();
	ask("POST /v1/vm/agent/fsfreeze", NULL);
	plane_call(&p, &other, "POST /v1/vm/agent/fsthaw", NULL);
	ck_assert_int_eq(other.kind, CALL_OPEN);
	call.cancel(&call);
	ck_assert_uint_eq(plane_finished, 1);
	plane_expect_record(&p, "command",
			    "agent/fsfreeze: nobody waits for its end any "
			    "more");
	call_fini(&call);
	memset(&call, 0, sizeof(call));
	fake_agent_say(&g, "{\"return\": 1}\n");
	fake_agent_read(&g);
	fake_agent_say(&g, "{\"return\": 2}\n");
	ck_assert_uint_eq(other.status, 200);
	call_fini(&other);
	/* in the middle of a command */
	ask("POST /v1/vm/agent/exec", "{\"command\":[\"ls\"]}");
	call.cancel(&call);
	call_fini(&call);
	fake_agent_say(&g, "{\"return\": {\"pid\": 7}}\n");
	loop_step(p.loop, 30);
	tear_down();
}
END_TEST

/* Runs a command to its end with this output, as base64, on both streams. */
static void execute_with(const char *code)
{
	struct buf text;

	buf_init(&text, LIMIT_AGENT_REPLY_BYTES + 256);
	buf_printf(&text,
		   "{\"return\": {\"exited\": true, \"exitcode\": 0, "
		   "\"out-data\": \"%s\", \"err-data\": \"%s\"}}\n",
		   code, code);
	ask("POST /v1/vm/agent/exec", "{\"command\":[\"x\"]}");
	fake_agent_say(&g, "{\"return\": {\"pid\": 7}}\n");
	while (!strstr(g.request, "guest-exec-status")) {
		loop_step(p.loop, 1000);
		fake_agent_read(&g);
	}
	fake_agent_say(&g, buf_text(&text));
	buf_fini(&text);
}

START_TEST(the_largest_output_fits_the_answer)
{
	static const size_t sizes[] = { LIMIT_AGENT_TEXT_BYTES,
					LIMIT_AGENT_TEXT_BYTES + 1, 2600000 };
	static const char *const keys[] = { "stdout", "stdout_base64",
					    "stdout_base64" };
	char *bytes = malloc(2600000);
	struct buf code;
	json_t *root;
	size_t i;

	set_up();
	/* each byte takes six as JSON */
	memset(bytes, 1, 2600000);
	buf_init(&code, LIMIT_AGENT_REPLY_BYTES);
	for (i = 0; i < 3; i++) {
		buf_reset(&code);
		base64_encode(&code, bytes, sizes[i]);
		execute_with(buf_text(&code));
		ck_assert_int_eq(call.body.error, 0);
		root = answered();
		ck_assert_uint_eq(
			json_string_length(json_object_get(root, keys[i])),
			i ? code.len : sizes[i]);
		json_decref(root);
		call_fini(&call);
	}
	buf_fini(&code);
	free(bytes);
	tear_down();
}
END_TEST

#define PING_REQUEST                                         \
	"POST /v1/vm/agent/ping HTTP/1.1\r\nHost: amber\r\n" \
	"Content-Length: 0\r\n\r\n"

static unsigned int waiting(void)
{
	struct agent_status s;

	agent_status(g.agent, &s);
	return s.waiting;
}

START_TEST(a_dead_client_and_the_end_of_the_vm_end_a_call_on_a_socket)
{
	static struct desk d;
	struct client c, b;

	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	fake_agent_init(&g, d.plane.loop, 0);
	d.plane.control->agent = g.agent;
	fake_agent_open(&g);
	client_open(&c, &d);
	client_send(&c, PING_REQUEST);
	while (!waiting())
		desk_step(&d);
	client_open(&b, &d);
	client_send(&b, PING_REQUEST);
	while (waiting() < 2)
		desk_step(&d);
	client_close(&b); /* its call was not sent yet */
	while (waiting() > 1)
		desk_step(&d);
	control_drain(d.plane.control);
	server_drain(d.server);
	ck_assert(client_await(&c, &d, "no-agent"));
	while (!d.drained)
		desk_step(&d);
	client_close(&c);
	desk_close(&d);
	buf_fini(&g.got);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_state_of_the_agent_is_shown,
		every_question_is_asked_and_answered,
		a_command_is_executed_and_its_output_shown,
		a_command_is_checked_before_it_is_sent,
		words_of_128_fit_and_129_do_not,
		only_an_admin_executes,
		without_a_port_or_an_agent_the_answer_says_so,
		a_guest_that_does_not_run_is_not_asked,
		what_goes_wrong_has_its_code,
		a_client_that_goes_away_leaves_nothing_behind,
		the_largest_output_fits_the_answer,
		a_dead_client_and_the_end_of_the_vm_end_a_call_on_a_socket,
	};

	return SUITE_RUN("api_agent", tests);
}
