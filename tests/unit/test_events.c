/* SPDX-License-Identifier: Apache-2.0 */
/* Events, their stream with gaps and keep-alives, and the journal. */
#include "tests/unit/suite.h"

#include "control/limits.h"
#include "tests/unit/client.h"

static struct desk d;
static struct client c;
static struct plane p;
static struct call call;

static void add(struct plane *plane, unsigned int count)
{
	while (count--)
		fake_vm_emit(plane->control->vm, VM_EVENT_MILESTONE, "", 9);
}

START_TEST(records_are_numbered_and_the_newest_kept)
{
	const struct events *ev;

	plane_open(&p);
	ev = p.control->events;
	ck_assert_uint_eq(events_first(ev), 1);
	ck_assert_uint_eq(events_next(ev), 1);
	ck_assert_ptr_null(events_get(ev, 0));
	ck_assert_ptr_null(events_get(ev, 1));
	add(&p, LIMIT_EVENTS);
	ck_assert_uint_eq(events_first(ev), 1);
	ck_assert_ptr_nonnull(events_get(ev, 1));
	add(&p, 1);
	ck_assert_uint_eq(events_first(ev), 2);
	ck_assert_ptr_null(events_get(ev, 1));
	ck_assert_uint_eq(events_get(ev, LIMIT_EVENTS + 1)->seq,
			  LIMIT_EVENTS + 1);
	plane_close(&p);
}
END_TEST

START_TEST(hostile_text_stays_one_valid_line)
{
	char text[20000];
	const struct event_record *r;
	json_t *root;

	memset(text, 1, sizeof(text));
	text[sizeof(text) - 1] = 0;
	memcpy(text, "a\"\\\n\xff\xed\xa0\x80\xc3\xa4", 10);
	plane_open(&p);
	fake_vm_emit(p.control->vm, VM_EVENT_CRASH, text, 0);
	r = events_get(p.control->events, 1);
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_le(r->json_bytes, LIMIT_EVENT_BYTES);
	ck_assert_ptr_null(strchr(r->json, '\n'));
	root = json_loads(r->json, 0, NULL);
	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(
		strncmp(json_string_value(json_object_get(root, "text")),
			"a\"\\\n\xef\xbf\xbd", 7),
		0);
	json_decref(root);
	plane_close(&p);
}
END_TEST

START_TEST(the_reason_of_a_failed_start_is_kept_in_the_state_file)
{
	struct vm_event event = {
		.kind = VM_EVENT_BOOT,
		.from = VM_STOPPED,
		.to = VM_STOPPED,
		.cause = VM_CAUSE_START_FAILED,
		.actor = { .kind = "api" },
		.reason = "",
		.text = "vmlinuz: is no kernel\nsecond line",
	};
	struct vm *vm;

	plane_open(&p);
	vm = p.control->vm;
	plane_state(&p, VM_STARTING);
	vm->observer.event(vm->observer.ctx, &event);
	ck_assert_str_eq(p.control->record.text, "vmlinuz: is no kernel");
	plane_state(&p, VM_STARTING);
	ck_assert_str_eq(p.control->record.text, "");
	plane_close(&p);
}
END_TEST

START_TEST(a_stream_replays_and_goes_on)
{
	desk_open(&d);
	add(&d.plane, 3);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/events?since=1"));
	ck_assert(client_await(&c, &d, "id: 3\nevent: milestone\ndata: {"));
	ck_assert_ptr_nonnull(strstr(c.text, "text/event-stream"));
	ck_assert_ptr_nonnull(strstr(c.text, "id: 2\n"));
	ck_assert_ptr_null(strstr(c.text, "id: 1\n"));
	add(&d.plane, 1);
	ck_assert(client_await(&c, &d, "id: 4\n"));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(without_since_only_what_comes_is_sent)
{
	desk_open(&d);
	add(&d.plane, 3);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/events"));
	ck_assert(client_await(&c, &d, ": still here")); /* it is heard */
	add(&d.plane, 1);
	ck_assert(client_await(&c, &d, "id: 4\n"));
	ck_assert_ptr_null(strstr(c.text, "id: 3\n"));
	client_close(&c);
	while (d.plane.control->streams) /* noticed at once */
		desk_step(&d);
	desk_close(&d);
}
END_TEST

START_TEST(what_is_gone_is_told_as_a_gap)
{
	desk_open(&d);
	add(&d.plane, LIMIT_EVENTS + 7);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/events?since=2"));
	ck_assert(client_await(&c, &d,
			       "event: gap\ndata: {\"first_missing\":"
			       "3,\"last_missing\":7}\n\nid: 8\n"));
	ck_assert(client_await(&c, &d, "id: 1031\n"));
	client_close(&c);
	desk_close(&d);
}
END_TEST

START_TEST(a_stream_far_behind_skips_in_one_step)
{
	plane_open(&p);
	add(&p, 1);
	plane_call(&p, &call, "GET /v1/events?since=9223372036854775807", NULL);
	ck_assert_int_eq(call.kind, CALL_STREAM);
	plane_end_stream(&call);
	plane_call(&p, &call, "GET /v1/events?since=0", NULL);
	add(&p, 3 * LIMIT_EVENTS);
	{
		char to[512] = "";

		ck_assert_int_gt(call.stream.read(call.stream.ctx, to, 100), 0);
		ck_assert_ptr_nonnull(strstr(
			to, "\"first_missing\":1,\"last_missing\":2049"));
	}
	plane_end_stream(&call);
	plane_close(&p);
}
END_TEST

START_TEST(a_reader_that_stops_reading_holds_up_nobody)
{
	struct client stuck;
	unsigned int i;

	desk_open(&d);
	client_open(&stuck, &d);
	client_send(&stuck, REQUEST("GET /v1/events?since=0"));
	ck_assert(client_await(&stuck, &d, "still here"));
	for (i = 0; i < 4000; i++) {
		add(&d.plane, 1);
		if (i % 64 == 0)
			desk_step(&d);
	}
	ck_assert(desk_answers(&d, STATUS_REQUEST, "labels"));
	/* It reads again before its time is over: a gap, then the newest. */
	ck_assert(client_await(&stuck, &d, "event: gap"));
	ck_assert(client_await(&stuck, &d, "id: 4000\n"));
	/* And when it does not, it is let go. */
	for (i = 0; i < 4000; i++) {
		add(&d.plane, 1);
		if (i % 64 == 0)
			desk_step(&d);
	}
	while (d.plane.control->streams)
		desk_step(&d);
	ck_assert_uint_eq(server_connections(d.server), 0);
	client_close(&stuck);
	desk_close(&d);
}
END_TEST

START_TEST(streams_end_with_the_last_event)
{
	desk_open(&d);
	client_open(&c, &d);
	client_send(&c, REQUEST("GET /v1/events?since=0"));
	ck_assert(client_await(&c, &d, "still here"));
	add(&d.plane, 1);
	control_drain(d.plane.control);
	server_drain(d.server);
	ck_assert(client_await(&c, &d, "id: 1\n"));
	ck_assert(client_await(&c, &d, "\r\n0\r\n")); /* the last chunk */
	while (!d.drained)
		desk_step(&d);
	ck_assert(control_is_drained(d.plane.control));
	client_close(&c);
	desk_close(&d);
}
END_TEST

static void expect_journal(const char *request, size_t count, int first,
			   int last)
{
	json_t *root, *records;

	plane_call(&p, &call, request, NULL);
	root = plane_json(&call);
	records = json_object_get(root, "records");
	ck_assert_uint_eq(json_array_size(records), count);
	if (count)
		ck_assert_int_eq(json_integer_value(json_object_get(
					 json_array_get(records, 0), "seq")),
				 first);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "last")),
			 last);
	json_decref(root);
	call_fini(&call);
}

START_TEST(the_journal_is_read_in_pieces)
{
	plane_open(&p);
	expect_journal("GET /v1/journal", 0, 0, 0);
	add(&p, 10);
	expect_journal("GET /v1/journal", 10, 1, 10);
	expect_journal("GET /v1/journal?limit=3", 3, 8, 10);
	expect_journal("GET /v1/journal?since=4", 6, 5, 10);
	expect_journal("GET /v1/journal?since=4&limit=2", 2, 5, 6);
	expect_journal("GET /v1/journal?since=10", 0, 0, 10);
	expect_journal("GET /v1/journal?since=99", 0, 0, 10);
	expect_journal("GET /v1/journal?limit=0", 0, 0, 10);
	add(&p, LIMIT_EVENTS);
	expect_journal("GET /v1/journal?since=0", LIMIT_EVENTS, 11, 1034);
	plane_close(&p);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		records_are_numbered_and_the_newest_kept,
		hostile_text_stays_one_valid_line,
		the_reason_of_a_failed_start_is_kept_in_the_state_file,
		a_stream_replays_and_goes_on,
		without_since_only_what_comes_is_sent,
		what_is_gone_is_told_as_a_gap,
		a_stream_far_behind_skips_in_one_step,
		a_reader_that_stops_reading_holds_up_nobody,
		streams_end_with_the_last_event,
		the_journal_is_read_in_pieces,
	};

	return SUITE_RUN("events", tests);
}
