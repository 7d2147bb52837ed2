/* SPDX-License-Identifier: Apache-2.0 */
/* The server's limits, each on both sides, over real sockets. */
#include "tests/unit/suite.h"

#include <sys/resource.h>

#include "tests/unit/client.h"

static struct desk d;
static struct client c;

static bool status_is_answered(void)
{
	uint64_t began = clock_mono_ns();
	bool fine = desk_answers(&d, STATUS_REQUEST, "\"labels\":{}}");

	/* Less than any limit: nobody was waited for. */
	return fine &&
	       clock_mono_ns() - began < desk_limits.request_ms * NS_PER_MS / 2;
}

START_TEST(a_connection_serves_many_requests)
{
	int i;

	desk_open(&d);
	client_open(&c, &d);
	for (i = 0; i < 100; i++) {
		client_clear(&c);
		client_send(&c, STATUS_REQUEST);
		ck_assert(client_await(&c, &d, "\"labels\":{}}\n"));
		ck_assert_int_eq(strncmp(c.text, "HTTP/1.1 200", 12), 0);
	}
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
	desk_open(&d);
	client_open(&c, &d);
	client_send(&c,
		    STATUS_REQUEST POST(
			    "/v1/vm/start",
			    "2") "{}" STATUS_REQUEST REQUEST("GET /nowhere"));
	ck_assert(client_await(&c, &d, "not-found"));
	ck_assert(strstr(c.text, "\"defined\"") <
		  strstr(c.text, "\"changed\":true"));
	ck_assert(strstr(c.text, "\"changed\":true") <
		  strstr(c.text, "\"state\":\"running\",\"since\""));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(a_silent_connection_is_closed_in_time)
{
	desk_open_hasty(&d);
	client_open(&c, &d);
	ck_assert(client_await(&c, &d, "header-timeout"));
	ck_assert_int_eq(strncmp(c.text, "HTTP/1.1 408", 12), 0);
	ck_assert(client_await_end(&c, &d));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(one_byte_now_and_then_does_not_win_time)
{
	static const char request[] = STATUS_REQUEST;
	uint64_t began = clock_mono_ns(), next = began;
	size_t at = 0;

	desk_open_hasty(&d);
	client_open(&c, &d);
	while (!c.ended && clock_mono_ns() - began < PATIENCE_MS * NS_PER_MS) {
		if (clock_mono_ns() >= next && at < sizeof(request) - 3) {
			client_push(&c, request + at++, 1);
			next += 20 * NS_PER_MS;
		}
		desk_step(&d);
		client_receive(&c);
	}
	ck_assert(c.ended);
	ck_assert_ptr_nonnull(strstr(c.text, "header-timeout"));
	/* Not only when no more came: the last byte was never sent. */
	ck_assert_uint_lt(at, sizeof(request) - 3);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(a_slow_body_does_not_win_time_either)
{
	uint64_t began = clock_mono_ns();

	desk_open_hasty(&d);
	client_open(&c, &d);
	client_send(&c, POST("/v1/vm/start", "60000") "{");
	while (!c.ended && clock_mono_ns() - began < PATIENCE_MS * NS_PER_MS) {
		client_push(&c, " ", 1);
		desk_step(&d);
		client_receive(&c);
	}
	ck_assert_ptr_nonnull(strstr(c.text, "header-timeout"));
	ck_assert_uint_eq(d.plane.control->vm->submitted, 0);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(an_idle_connection_is_closed_after_its_answer)
{
	desk_open_hasty(&d);
	client_open(&c, &d);
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	client_clear(&c);
	ck_assert(client_await_end(&c, &d));
	ck_assert_uint_eq(c.len, 0); /* without a word */
	ck_assert_uint_eq(server_connections(d.server), 0);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(half_a_request_and_gone_leaves_nothing)
{
	int i;

	desk_open(&d);
	for (i = 0; i < 50; i++) {
		client_open(&c, &d);
		client_send(&c, POST("/v1/vm/start", "20") "{\"reason\":");
		desk_step(&d);
		client_close(&c);
	}
	while (server_connections(d.server))
		desk_step(&d);
	ck_assert_uint_eq(d.plane.control->vm->submitted, 0);
	ck_assert(status_is_answered());
	desk_close(&d);
}
END_TEST

START_TEST(many_idle_connections_keep_nobody_out)
{
	struct client idle[300];
	size_t i, open = 0;

	desk_open(&d);
	for (i = 0; i < 300; i++) {
		client_open(&idle[i], &d);
		if (i % 16 == 0)
			desk_step(&d);
		if (i % 50 == 0)
			ck_assert(status_is_answered());
	}
	ck_assert(status_is_answered());
	for (i = 0; i < 300; i++) {
		client_receive(&idle[i]);
		open += !idle[i].ended;
	}
	ck_assert_uint_le(open, desk_limits.connections_per_uid);
	/* those who had to go were told why */
	ck_assert_ptr_nonnull(strstr(idle[0].text, "too-many-connections"));
	for (i = 0; i < 300; i++)
		client_close(&idle[i]);
	desk_close(&d);
}
END_TEST

START_TEST(a_proven_client_outlives_a_flood_of_idle_ones)
{
	struct client idle[100];
	size_t i;

	desk_open(&d);
	client_open(&c, &d);
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	for (i = 0; i < 100; i++) {
		client_open(&idle[i], &d);
		if (i % 16 == 0)
			desk_step(&d);
	}
	client_clear(&c);
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	for (i = 0; i < 100; i++)
		client_close(&idle[i]);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(when_all_are_busy_the_next_one_is_refused)
{
	struct client busy[16];
	size_t i;

	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	for (i = 0; i < 16; i++) {
		client_open(&busy[i], &d);
		client_send(&busy[i], REQUEST("GET /v1/vm/ready?wait=60"));
		desk_step(&d);
	}
	client_open(&c, &d);
	ck_assert(client_await(&c, &d, "too-many-connections"));
	ck_assert_int_eq(strncmp(c.text, "HTTP/1.1 503", 12), 0);
	client_close(&c);
	client_close(&busy[7]); /* one goes: there is room again */
	while (server_connections(d.server) == 16)
		desk_step(&d);
	ck_assert(status_is_answered());
	d.plane.control->vm->ready = true;
	fake_vm_emit(d.plane.control->vm, VM_EVENT_READY, "", 0);
	ck_assert(client_await(&busy[0], &d, "\"ready\":true"));
	for (i = 0; i < 16; i++)
		client_close(&busy[i]);
	desk_close(&d);
}
END_TEST

/* A start request with a body of exactly len bytes. */
static void send_body(size_t len)
{
	char head[128];
	char *body = malloc(len);
	size_t sent = 0;
	ssize_t n;

	snprintf(head, sizeof(head),
		 "POST /v1/vm/start HTTP/1.1\r\nHost: a\r\n"
		 "Content-Length: %zu\r\n\r\n",
		 len);
	client_send(&c, head);
	memset(body, ' ', len);
	memcpy(body, "{}", 2);
	while (sent < len && !c.ended) {
		n = client_push(&c, body + sent, len - sent);
		if (n < 0 && n != -EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		desk_step(&d);
		client_receive(&c);
	}
	free(body);
}

START_TEST(a_body_of_64_kib_fits_and_one_byte_more_does_not)
{
	desk_open(&d);
	client_open(&c, &d);
	send_body(64 << 10);
	ck_assert(client_await(&c, &d, "\"changed\":true"));
	client_close(&c);
	client_open(&c, &d);
	send_body((64 << 10) + 1);
	ck_assert(client_await(&c, &d, "too-large"));
	ck_assert_int_eq(strncmp(c.text, "HTTP/1.1 413", 12), 0);
	ck_assert(client_await_end(&c, &d));
	ck_assert_uint_eq(d.plane.control->vm->submitted, 1);
	plane_expect_record(&d.plane, "refused", "start: too-large");
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(an_endless_body_is_cut_off)
{
	static const char chunk[] = "1000\r\n";
	char data[4096 + 2];
	struct rusage before, after;
	size_t sent = 0;

	memset(data, ' ', sizeof(data));
	memcpy(data + 4096, "\r\n", 2);
	desk_open(&d);
	client_open(&c, &d);
	client_send(&c, "POST /v1/vm/start HTTP/1.1\r\nHost: a\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	getrusage(RUSAGE_SELF, &before);
	while (!c.ended && sent < (64 << 20)) {
		if (client_push(&c, chunk, sizeof(chunk) - 1) == -EPIPE ||
		    client_push(&c, data, sizeof(data)) == -EPIPE)
			c.ended = true;
		sent += 4096;
		desk_step(&d);
	}
	getrusage(RUSAGE_SELF, &after);
	ck_assert_uint_lt(sent, 1 << 20);
	client_receive(&c);
	ck_assert_ptr_nonnull(strstr(c.text, "too-large"));
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss,
			 1024 * SUITE_MEMORY_FACTOR);
	client_close(&c);
	ck_assert(status_is_answered());
	desk_close(&d);
}
END_TEST

/* A status request whose line and headers have about so many bytes. */
static void send_head(size_t len)
{
	char *text = calloc(1, len + 64);
	int at = snprintf(text, 64, "GET /v1/vm HTTP/1.1\r\nHost: a\r\nX: ");

	memset(text + at, 'x', len - (size_t)at - 4);
	memcpy(text + len - 4, "\r\n\r\n", 4);
	client_send(&c, text);
	free(text);
}

START_TEST(headers_of_8_kib_fit_and_more_do_not)
{
	desk_open(&d);
	client_open(&c, &d);
	send_head(8 << 10);
	ck_assert(client_await(&c, &d, "\"labels\":{}}\n"));
	client_close(&c);
	client_open(&c, &d);
	send_head((8 << 10) + 1);
	ck_assert(client_await(&c, &d, "headers-too-large"));
	client_close(&c);
	client_open(&c, &d);
	send_head(100 << 10); /* the library's own words */
	ck_assert(client_await(&c, &d, "HTTP/1.1 4"));
	ck_assert(client_await_end(&c, &d));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(what_is_not_http_is_turned_away)
{
	static const char *const bad[] = {
		"hello\r\n\r\n",
		"GET\r\n\r\n",
		"GET /v1/vm HTTP/9.9\r\nHost: a\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"POST /v1/vm/start HTTP/1.1\r\nHost: a\r\n"
		"Content-Length: 99999999999999999999999\r\n\r\n",
		"POST /v1/vm/start HTTP/1.1\r\nHost: a\r\n"
		"Content-Length: -1\r\n\r\n",
	};
	size_t i;

	desk_open_hasty(&d);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		client_open(&c, &d);
		client_send(&c, bad[i]);
		ck_assert(client_await_end(&c, &d));
		ck_assert_ptr_null(strstr(c.text, "HTTP/1.1 200"));
		client_close(&c);
	}
	ck_assert_uint_eq(d.plane.control->vm->submitted, 0);
	ck_assert(status_is_answered());
	desk_close(&d);
}
END_TEST

START_TEST(paths_are_decoded_without_losing_a_nul)
{
	desk_open(&d);
	ck_assert(desk_answers(&d, REQUEST("GET /v1/v%6d"), "labels"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/vm%00"), "not-found"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/vm%zz"), "not-found"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/vm%"), "not-found"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/../v1/vm"), "not-found"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/vm/ready?wait=%00"),
			       "bad-value"));
	ck_assert(desk_answers(&d, REQUEST("GET /v1/vm?a&b&c&d&e&f&g&h&i"),
			       "more than 8 query parameters"));
	desk_close(&d);
}
END_TEST

START_TEST(status_is_answered_while_a_command_hangs)
{
	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	d.plane.control->vm->hold = true;
	client_open(&c, &d);
	client_send(&c, POST("/v1/vm/pause", "0"));
	desk_step(&d);
	ck_assert(status_is_answered());
	ck_assert_uint_eq(c.len, 0);
	fake_vm_release(d.plane.control->vm);
	ck_assert(client_await(&c, &d, "\"changed\":true"));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(a_command_goes_on_when_its_client_dies)
{
	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	d.plane.control->vm->hold = true;
	client_open(&c, &d);
	client_send(&c, POST("/v1/vm/pause", "0"));
	desk_step(&d);
	client_close(&c);
	desk_step(&d);
	fake_vm_release(d.plane.control->vm);
	ck_assert_int_eq(d.plane.control->vm->state, VM_PAUSED);
	plane_expect_record(&d.plane, "command", "pause: done");
	while (server_connections(d.server))
		desk_step(&d);
	desk_close(&d);
}
END_TEST

START_TEST(a_wait_ends_when_its_client_dies)
{
	desk_open(&d);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/vm/ready?wait=3600"));
	desk_step(&d);
	desk_step(&d);
	ck_assert_ptr_nonnull(d.plane.control->ready_calls);
	client_close(&c);
	while (server_connections(d.server))
		desk_step(&d);
	ck_assert_ptr_null(d.plane.control->ready_calls);
	desk_close(&d);
}
END_TEST

START_TEST(an_answer_that_nobody_takes_ends_in_time)
{
	char *block = calloc(1, 1 << 20);
	uint64_t began;

	desk_open_hasty(&d);
	fake_vm_output(d.plane.control->vm, block, 1 << 20);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/vm/console"));
	began = clock_mono_ns();
	while (server_connections(d.server) &&
	       clock_mono_ns() - began < PATIENCE_MS * NS_PER_MS)
		desk_step(&d);
	ck_assert_uint_eq(server_connections(d.server), 0);
	client_close(&c);
	free(block);
	desk_close(&d);
}
END_TEST

/* --- the end ------------------------------------------------------------ */

START_TEST(draining_waits_for_answers_and_no_longer)
{
	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	d.plane.control->vm->hold = true;
	client_open(&c, &d);
	client_send(&c, POST("/v1/vm/stop", "0"));
	desk_step(&d);
	desk_step(&d);
	control_drain(d.plane.control);
	server_drain(d.server);
	desk_step(&d);
	ck_assert(!d.drained);
	fake_vm_release(d.plane.control->vm);
	ck_assert(client_await(&c, &d, "\"state\":\"stopped\""));
	while (!d.drained)
		desk_step(&d);
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(destroying_breaks_off_whatever_is_under_way)
{
	struct client all[5];
	size_t i;

	desk_open(&d);
	plane_state(&d.plane, VM_RUNNING);
	d.plane.control->vm->hold = true;
	for (i = 0; i < 5; i++)
		client_open(&all[i], &d);
	client_send(&all[0], POST("/v1/vm/stop", "0"));
	client_send(&all[1], REQUEST("GET /v1/vm/ready?wait=60"));
	client_send(&all[2], REQUEST("GET /v1/events?since=0"));
	client_send(&all[3], ATTACH(""));
	client_send(&all[4], "GET /v1");
	for (i = 0; i < 10; i++)
		desk_step(&d);
	desk_close(&d);
	for (i = 0; i < 5; i++)
		client_close(&all[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_connection_serves_many_requests,
		pipelined_requests_are_answered_in_order,
		a_silent_connection_is_closed_in_time,
		one_byte_now_and_then_does_not_win_time,
		a_slow_body_does_not_win_time_either,
		an_idle_connection_is_closed_after_its_answer,
		half_a_request_and_gone_leaves_nothing,
		many_idle_connections_keep_nobody_out,
		a_proven_client_outlives_a_flood_of_idle_ones,
		when_all_are_busy_the_next_one_is_refused,
		a_body_of_64_kib_fits_and_one_byte_more_does_not,
		an_endless_body_is_cut_off,
		headers_of_8_kib_fit_and_more_do_not,
		what_is_not_http_is_turned_away,
		paths_are_decoded_without_losing_a_nul,
		status_is_answered_while_a_command_hangs,
		a_command_goes_on_when_its_client_dies,
		a_wait_ends_when_its_client_dies,
		an_answer_that_nobody_takes_ends_in_time,
		draining_waits_for_answers_and_no_longer,
		destroying_breaks_off_whatever_is_under_way,
	};

	return SUITE_RUN("server", tests);
}
