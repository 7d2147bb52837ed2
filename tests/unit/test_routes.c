/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher and the handlers, without a socket, over a fake VM. */
#include "tests/unit/suite.h"

#include "control/api.h"
#include "control/limits.h"
#include "control/openapi.h"
#include "tests/unit/plane.h"

static struct plane p;
static struct call call;

START_TEST(every_state_and_command_has_a_defined_answer)
{
	const struct route *routes;
	size_t count, i;
	int state;

	routes = routes_all(&count);
	for (state = 0; state < VM_STATE_COUNT; state++) {
		for (i = 0; i < count; i++) {
			char request[64];
			const struct lifecycle_rule *rule;

			if (routes[i].command == ROUTE_NO_COMMAND)
				continue;
			plane_open(&p);
			plane_state(&p, (enum vm_state)state);
			rule = lifecycle_rule(
				(enum vm_state)state,
				(enum vm_command)routes[i].command);
			snprintf(request, sizeof(request), "POST %s",
				 routes[i].path);
			plane_call(&p, &call, request, NULL);
			if (routes[i].or_stopped &&
			    (state == VM_STOPPED || state == VM_DEFINED)) {
				/* This VM has no directory for snapshots. */
				plane_expect_problem(&call, "unusable");
			} else if (rule->verdict == LIFECYCLE_REFUSE) {
				ck_assert_uint_eq(call.status, 409);
				ck_assert_ptr_nonnull(strstr(
					buf_text(&call.body),
					vm_state_text((enum vm_state)state)));
				ck_assert_ptr_nonnull(strstr(
					buf_text(&call.body), rule->help));
				/* refused before the VM was asked */
				ck_assert_uint_eq(p.control->vm->submitted, 0);
				plane_expect_problem(&call, "wrong-state");
			} else if (routes[i].handler == api_command) {
				ck_assert_uint_eq(call.status, 200);
				call_fini(&call);
			} else {
				/* This VM has no directory for snapshots. */
				plane_expect_problem(&call, "unusable");
			}
			plane_close(&p);
		}
	}
}
END_TEST

START_TEST(already_there_is_success_without_change)
{
	json_t *root;

	plane_open(&p);
	plane_state(&p, VM_PAUSED);
	plane_call(&p, &call, "POST /v1/vm/pause", "{}");
	ck_assert_uint_eq(call.status, 200);
	root = plane_json(&call);
	ck_assert(json_is_false(json_object_get(root, "changed")));
	ck_assert_str_eq(json_string_value(json_object_get(root, "state")),
			 "paused");
	json_decref(root);
	call_fini(&call);
	plane_expect_record(&p, "command", "pause: nothing to do");
	plane_close(&p);
}
END_TEST

START_TEST(every_mutating_call_leaves_its_actor_and_reason)
{
	const struct event_record *r;

	plane_open(&p);
	plane_call(&p, &call, "POST /v1/vm/start", "{\"reason\":\"because\"}");
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_expect_record(&p, "command", "start: done");
	r = events_get(p.control->events, events_next(p.control->events) - 1);
	ck_assert_ptr_nonnull(strstr(r->json,
				     "\"actor\":{\"kind\":\"api\",\"uid\":1000,"
				     "\"pid\":42},\"reason\":\"because\""));
	/* the state's own record has them too */
	r = events_get(p.control->events, events_next(p.control->events) - 2);
	ck_assert_str_eq(r->kind, "state");
	ck_assert_ptr_nonnull(strstr(r->json, "\"uid\":1000"));
	ck_assert_ptr_nonnull(strstr(r->json, "\"reason\":\"because\""));
	plane_close(&p);
}
END_TEST

START_TEST(roles_are_checked_before_the_handler)
{
	plane_open(&p);
	plane_call_as(&p, &call, VM_ROLE_VIEWER, "POST /v1/vm/start", NULL);
	plane_expect_problem(&call, "forbidden");
	ck_assert_uint_eq(p.control->vm->submitted, 0);
	plane_expect_record(&p, "refused", "start: forbidden");
	plane_call_as(&p, &call, VM_ROLE_VIEWER, "GET /v1/vm", NULL);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_call_as(&p, &call, VM_ROLE_NONE, "GET /v1/vm", NULL);
	plane_expect_problem(&call, "forbidden");
	plane_call_as(&p, &call, VM_ROLE_OPERATOR, "POST /v1/vm/start", NULL);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(what_does_not_exist_says_so)
{
	plane_open(&p);
	plane_call(&p, &call, "GET /v2/vm", NULL);
	plane_expect_problem(&call, "not-found");
	plane_call(&p, &call, "GET /v1/vm/", NULL);
	plane_expect_problem(&call, "not-found");
	plane_call(&p, &call, "DELETE /v1/vm", NULL);
	ck_assert_str_eq(call.allow, "GET");
	plane_expect_problem(&call, "method-not-allowed");
	plane_call(&p, &call, "GET /v1/vm/pause", NULL);
	ck_assert_str_eq(call.allow, "POST");
	plane_expect_problem(&call, "method-not-allowed");
	plane_close(&p);
}
END_TEST

struct bad {
	const char *request, *body, *code;
};

START_TEST(parameters_are_checked_one_by_one)
{
	static const struct bad bad[] = {
		{ "GET /v1/vm?x=1", NULL, "unknown-field" },
		{ "GET /v1/vm", "{}", "bad-request" },
		{ "GET /v1/vm/ready?wait=1&wait=1", NULL, "bad-request" },
		{ "GET /v1/vm/ready?wait=", NULL, "bad-value" },
		{ "GET /v1/vm/ready?wait", NULL, "bad-value" },
		{ "GET /v1/vm/ready?wait=-1", NULL, "bad-value" },
		{ "GET /v1/vm/ready?wait=3601", NULL, "bad-value" },
		{ "GET /v1/vm/ready?Wait=1", NULL, "unknown-field" },
		{ "GET /v1/vm/console?since=18446744073709551616", NULL,
		  "bad-value" },
		{ "GET /v1/journal?limit=1025", NULL, "bad-value" },
		{ "GET /v1/vm/console/attach?readonly=yes", NULL, "bad-value" },
		{ "POST /v1/vm/start?paused=1", NULL, "unknown-field" },
		{ "POST /v1/vm/start", "{\"force\":true}", "unknown-field" },
		{ "POST /v1/vm/start", "{\"paused\":1}", "bad-value" },
		{ "POST /v1/vm/start", "{\"reason\":7}", "bad-value" },
		{ "POST /v1/vm/shutdown", "{\"timeout_ms\":\"1\"}",
		  "bad-value" },
		{ "POST /v1/vm/shutdown", "{\"timeout_ms\":-1}", "bad-value" },
		{ "POST /v1/vm/shutdown", "{\"timeout_ms\":1.0}", "bad-value" },
		{ "POST /v1/vm/shutdown", "{\"timeout_ms\":86400001}",
		  "bad-value" },
		{ "POST /v1/vm/start", "[]", "bad-json" },
		{ "POST /v1/vm/start", "{", "bad-json" },
		{ "POST /v1/vm/start", "null", "bad-json" },
		{ "POST /v1/vm/start", "{} {}", "bad-json" },
		{ "POST /v1/vm/start", "{\"reason\":NaN}", "bad-json" },
		{ "POST /v1/vm/shutdown", "{\"timeout_ms\":1e999}",
		  "bad-json" },
		{ "POST /v1/vm/start", "{\"reason\":\"\\ud800\"}", "bad-json" },
		{ "POST /v1/vm/start", "{\"reason\":\"\\u0000\"}", "bad-json" },
		{ "POST /v1/vm/start", "{\"reason\":\"\xc0\x80\"}",
		  "bad-json" },
		{ "POST /v1/vm/start", "{\"paused\":true,\"paused\":true}",
		  "bad-json" },
	};
	size_t i;

	plane_open(&p);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		plane_call(&p, &call, bad[i].request, bad[i].body);
		plane_expect_problem(&call, bad[i].code);
	}
	ck_assert_uint_eq(p.control->vm->submitted, 0);
	plane_call(&p, &call, "POST /v1/vm/stop", "{\"reason\":\"-0 is 0\"}");
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(a_reason_of_255_bytes_fits_and_256_do_not)
{
	char body[300], reason[257];

	plane_open(&p);
	memset(reason, 'r', sizeof(reason));
	reason[255] = 0;
	snprintf(body, sizeof(body), "{\"reason\":\"%s\"}", reason);
	plane_call(&p, &call, "POST /v1/vm/start", body);
	ck_assert_uint_eq(call.status, 200);
	ck_assert_str_eq(p.control->vm->reason, reason);
	call_fini(&call);
	reason[255] = 'r';
	reason[256] = 0;
	snprintf(body, sizeof(body), "{\"reason\":\"%s\"}", reason);
	plane_call(&p, &call, "POST /v1/vm/stop", body);
	plane_expect_problem(&call, "bad-value");
	plane_close(&p);
}
END_TEST

START_TEST(json_of_16_levels_is_looked_at_and_of_17_refused)
{
	char body[128] = "{\"x\":";
	size_t at = strlen(body), i;

	plane_open(&p);
	for (i = 0; i < LIMIT_JSON_DEPTH - 1; i++) {
		body[at + i] = '[';
		body[at + LIMIT_JSON_DEPTH - 1 + i] = ']';
	}
	body[at + 2 * (LIMIT_JSON_DEPTH - 1)] = '}';
	plane_call(&p, &call, "POST /v1/vm/start", body);
	plane_expect_problem(&call, "unknown-field");
	memmove(body + at + 1, body + at, strlen(body + at) + 1);
	body[at + 2 * (LIMIT_JSON_DEPTH - 1)] = ']';
	snprintf(body + at + 2 * LIMIT_JSON_DEPTH - 1, 3, "]}");
	plane_call(&p, &call, "POST /v1/vm/start", body);
	ck_assert_ptr_nonnull(strstr(buf_text(&call.body), "deeper"));
	plane_expect_problem(&call, "bad-json");
	plane_close(&p);
}
END_TEST

START_TEST(errors_of_the_vm_have_their_code)
{
	static const struct {
		int error;
		const char *request, *code;
	} rows[] = {
		{ -ENOENT, "POST /v1/vm/start", "start-failed" },
		{ -ETIMEDOUT, "POST /v1/vm/shutdown", "shutdown-timeout" },
		{ -ECANCELED, "POST /v1/vm/shutdown", "superseded" },
		{ -EBUSY, "POST /v1/vm/pause", "busy" },
		{ -ENXIO, "POST /v1/vm/pause", "internal" },
		{ -EIO, "POST /v1/vm/pause", "io-error" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		plane_open(&p);
		plane_state(&p, i ? VM_RUNNING : VM_DEFINED);
		p.control->vm->next_error = rows[i].error;
		plane_call(&p, &call, rows[i].request, NULL);
		plane_expect_problem(&call, rows[i].code);
		plane_close(&p);
	}
}
END_TEST

START_TEST(a_later_answer_finds_its_call)
{
	plane_open(&p);
	plane_state(&p, VM_RUNNING);
	p.control->vm->hold = true;
	plane_finished = 0;
	plane_call(&p, &call, "POST /v1/vm/pause", NULL);
	ck_assert_int_eq(call.kind, CALL_OPEN);
	ck_assert_uint_eq(plane_finished, 0);
	fake_vm_release(p.control->vm);
	ck_assert_uint_eq(plane_finished, 1);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(waiting_for_ready_ends_with_the_event)
{
	json_t *root;

	plane_open(&p);
	plane_state(&p, VM_RUNNING);
	plane_call(&p, &call, "GET /v1/vm/ready", NULL);
	root = plane_json(&call);
	ck_assert(json_is_false(json_object_get(root, "ready")));
	json_decref(root);
	call_fini(&call);
	plane_finished = 0;
	plane_call(&p, &call, "GET /v1/vm/ready?wait=60", NULL);
	ck_assert_int_eq(call.kind, CALL_OPEN);
	p.control->vm->ready = true;
	fake_vm_emit(p.control->vm, VM_EVENT_READY, "", 0);
	ck_assert_uint_eq(plane_finished, 1);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(waiting_for_ready_ends_in_time_or_with_the_vm)
{
	struct call second;

	plane_open(&p);
	plane_state(&p, VM_RUNNING);
	plane_finished = 0;
	plane_call(&p, &call, "GET /v1/vm/ready?wait=1", NULL);
	plane_call(&p, &second, "GET /v1/vm/ready?wait=60", NULL);
	while (!plane_finished)
		loop_step(p.loop, 2000);
	plane_expect_problem(&call, "not-ready");
	plane_state(&p, VM_CRASHED);
	ck_assert_uint_eq(plane_finished, 2);
	plane_expect_problem(&second, "wrong-state");
	plane_call(&p, &call, "GET /v1/vm/ready?wait=60", NULL);
	ck_assert_int_eq(call.kind, CALL_OPEN);
	call.cancel(&call); /* its client went away */
	ck_assert_ptr_null(p.control->ready_calls);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(status_has_every_member)
{
	static const char *const members[] = {
		"name",	  "uuid",      "state",	       "since",
		"cause",  "actor",     "reason",       "uptime_ms",
		"ready",  "milestone", "boots",	       "restarts",
		"pid",	  "cpus",      "vcpus_parked", "memory_bytes",
		"labels",
	};
	json_t *root;
	size_t i;

	plane_open(&p);
	plane_call(&p, &call, "GET /v1/vm", NULL);
	root = plane_json(&call);
	ck_assert_uint_eq(json_object_size(root),
			  sizeof(members) / sizeof(members[0]));
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		ck_assert_ptr_nonnull(json_object_get(root, members[i]));
	ck_assert(json_is_null(json_object_get(root, "milestone")));
	json_decref(root);
	call_fini(&call);
	plane_call(&p, &call, "GET /v1/vm/stats", NULL);
	root = plane_json(&call);
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_object_get(root, "exits"), "io")),
			 7);
	json_decref(root);
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(reports_are_there_or_not_found)
{
	plane_open(&p);
	plane_call(&p, &call, "GET /v1/vm/crash", NULL);
	plane_expect_problem(&call, "not-found");
	p.control->vm->crash_report = "rip=0\n";
	plane_call(&p, &call, "GET /v1/vm/crash", NULL);
	ck_assert_str_eq(buf_text(&call.body), "rip=0\n");
	call_fini(&call);
	plane_call(&p, &call, "GET /v1/vm/boot", NULL);
	plane_expect_problem(&call, "not-found");
	plane_call(&p, &call, "GET /v1/vm/devices", NULL);
	ck_assert_str_eq(buf_text(&call.body), "fake\n");
	call_fini(&call);
	plane_close(&p);
}
END_TEST

START_TEST(history_is_cut_where_asked)
{
	static const struct {
		const char *request, *text, *position, *dropped;
	} rows[] = {
		{ "GET /v1/vm/console", "0123456789", "10", "0" },
		{ "GET /v1/vm/console?since=4", "456789", "10", "0" },
		{ "GET /v1/vm/console?since=4&max=3", "456", "7", "0" },
		{ "GET /v1/vm/console?max=3", "789", "10", "0" },
		{ "GET /v1/vm/console?since=10", "", "10", "0" },
		{ "GET /v1/vm/console?since=99", "", "10", "0" },
	};
	size_t i;
	char *text;

	plane_open(&p);
	fake_vm_output(p.control->vm, "0123456789", 10);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		plane_call(&p, &call, rows[i].request, NULL);
		ck_assert_int_eq(call.kind, CALL_STREAM);
		ck_assert_uint_eq(call.stream.bytes, strlen(rows[i].text));
		text = plane_read(&call);
		ck_assert_str_eq(text, rows[i].text);
		ck_assert_str_eq(call.header[0].name, "Amber-Position");
		ck_assert_str_eq(call.header[0].value, rows[i].position);
		ck_assert_str_eq(call.header[1].value, rows[i].dropped);
		free(text);
		plane_end_stream(&call);
	}
	plane_close(&p);
}
END_TEST

START_TEST(history_that_is_overwritten_meanwhile_breaks_off)
{
	char block[4096] = { 'x' }, to[16];
	size_t i;

	plane_open(&p);
	fake_vm_output(p.control->vm, block, sizeof(block));
	plane_call(&p, &call, "GET /v1/vm/console", NULL);
	ck_assert_int_eq(call.stream.read(call.stream.ctx, to, sizeof(to)), 16);
	for (i = 0; i < CONSOLE_HISTORY_BYTES / sizeof(block); i++)
		fake_vm_output(p.control->vm, block, sizeof(block));
	ck_assert_int_eq(call.stream.read(call.stream.ctx, to, sizeof(to)),
			 -EPIPE);
	plane_end_stream(&call);
	/* and what was lost before is told */
	plane_call(&p, &call, "GET /v1/vm/console?since=0", NULL);
	ck_assert_str_eq(call.header[1].name, "Amber-Dropped");
	ck_assert_str_eq(call.header[1].value, "4096");
	plane_end_stream(&call);
	plane_close(&p);
}
END_TEST

START_TEST(attaching_takes_an_upgrade)
{
	plane_open(&p);
	plane_call(&p, &call, "GET /v1/vm/console/attach", NULL);
	plane_expect_problem(&call, "upgrade-required");
	ck_assert(!p.control->has_writer);
	plane_close(&p);
}
END_TEST

START_TEST(openapi_is_valid_json_with_every_route)
{
	const struct route *routes;
	json_t *root, *paths;
	struct buf out;
	size_t count, i;

	buf_init(&out, 1 << 20);
	ck_assert_int_eq(openapi_print(&out), 0);
	root = json_loadb((const char *)out.data, out.len,
			  JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(root);
	ck_assert_str_eq(json_string_value(json_object_get(root, "openapi")),
			 "3.0.3");
	paths = json_object_get(root, "paths");
	routes = routes_all(&count);
	ck_assert_uint_eq(json_object_size(paths), count);
	for (i = 0; i < count; i++) {
		json_t *path = json_object_get(paths, routes[i].path);

		ck_assert_ptr_nonnull(json_object_get(
			path, routes[i].method[0] == 'G' ? "get" : "post"));
	}
	json_decref(root);
	buf_fini(&out);
}
END_TEST

START_TEST(the_list_of_problems_is_closed_and_complete)
{
	static const char *const codes[] = {
		"bad-request",
		"bad-json",
		"unknown-field",
		"bad-value",
		"forbidden",
		"not-found",
		"method-not-allowed",
		"header-timeout",
		"wrong-state",
		"console-busy",
		"io-error",
		"superseded",
		"no-agent",
		"exists",
		"unusable",
		"pause-too-long",
		"quota",
		"too-large",
		"start-failed",
		"upgrade-required",
		"headers-too-large",
		"internal",
		"agent-error",
		"too-many-connections",
		"busy",
		"ending",
		"not-ready",
		"shutdown-timeout",
		"agent-timeout",
	};
	size_t i;

	ck_assert_uint_eq(sizeof(codes) / sizeof(codes[0]), PROBLEM_COUNT);
	for (i = 0; i < PROBLEM_COUNT; i++) {
		const struct problem_row *row =
			problem_row((enum problem_code)i);

		ck_assert_str_eq(row->code, codes[i]);
		ck_assert_uint_ge(row->status, 400);
		ck_assert_uint_lt(row->status, 600);
		ck_assert_ptr_nonnull(row->title);
		ck_assert_ptr_nonnull(row->meaning);
	}
}
END_TEST

START_TEST(every_row_fits_the_call)
{
	const struct route *routes;
	size_t count, i;

	routes = routes_all(&count);
	for (i = 0; i < count; i++) {
		ck_assert_uint_le(routes[i].param_count, CALL_PARAMS_MAX);
		ck_assert_ptr_nonnull(routes[i].handler);
		ck_assert_int_ge(routes[i].role, VM_ROLE_VIEWER);
		/* what changes something is no viewer's */
		if (strcmp(routes[i].method, "POST") == 0)
			ck_assert_int_ge(routes[i].role, VM_ROLE_OPERATOR);
	}
}
END_TEST

START_TEST(a_flood_of_refusals_is_summed_up)
{
	uint64_t before;
	int i;

	plane_open(&p);
	for (i = 0; i < 500; i++) {
		plane_call_as(&p, &call, VM_ROLE_VIEWER, "POST /v1/vm/stop",
			      NULL);
		call_fini(&call);
	}
	before = events_next(p.control->events);
	ck_assert_uint_le(before, 64);
	while (events_next(p.control->events) == before)
		loop_step(p.loop, 2000);
	plane_expect_record(&p, "refused", "480 more requests were refused");
	plane_close(&p);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_state_and_command_has_a_defined_answer,
		already_there_is_success_without_change,
		every_mutating_call_leaves_its_actor_and_reason,
		roles_are_checked_before_the_handler,
		what_does_not_exist_says_so,
		parameters_are_checked_one_by_one,
		a_reason_of_255_bytes_fits_and_256_do_not,
		json_of_16_levels_is_looked_at_and_of_17_refused,
		errors_of_the_vm_have_their_code,
		a_later_answer_finds_its_call,
		waiting_for_ready_ends_with_the_event,
		waiting_for_ready_ends_in_time_or_with_the_vm,
		status_has_every_member,
		reports_are_there_or_not_found,
		history_is_cut_where_asked,
		history_that_is_overwritten_meanwhile_breaks_off,
		attaching_takes_an_upgrade,
		openapi_is_valid_json_with_every_route,
		the_list_of_problems_is_closed_and_complete,
		every_row_fits_the_call,
		a_flood_of_refusals_is_summed_up,
	};

	return SUITE_RUN("routes", tests);
}
