/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring of event records. Loop thread only. INV-1: the record with number n
 * can only be in slot n % LIMIT_EVENTS; a slot's own number tells.
 */
#include "control/events.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "control/json_out.h"
#include "control/limits.h"

/* Six bytes of JSON for each must fit LIMIT_EVENT_BYTES with the rest. */
#define TEXT_BYTES 1000

struct events {
	uint64_t base; /* the first number of this process */
	uint64_t next;
	struct event_record ring[LIMIT_EVENTS];
};

int events_create(struct events **out, uint64_t last, struct err *e)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return err_sys(e, -ENOMEM, "event ring");
	ev->base = ev->next = last + 1;
	*out = ev;
	return 0;
}

void events_destroy(struct events *ev)
{
	size_t i;

	if (!ev)
		return;
	for (i = 0; i < LIMIT_EVENTS; i++)
		free(ev->ring[i].json);
	free(ev);
}

static void print_actor(struct json_out *j, const struct vm_actor *actor)
{
	jout_open(j, "actor", '{');
	jout_text(j, "kind", actor->kind ? actor->kind : "none");
	jout_uint(j, "uid", actor->uid);
	jout_int(j, "pid", actor->pid);
	jout_close(j, '}');
}

/* The common beginning of every record. */
static void print_head(struct json_out *j, uint64_t seq, const char *kind,
		       uint64_t wall_ns, uint64_t mono_ns)
{
	char time[CLOCK_TEXT_BYTES];

	jout_open(j, NULL, '{');
	jout_uint(j, "seq", seq);
	jout_text(j, "time", clock_rfc3339(wall_ns, time));
	jout_uint(j, "mono_ns", mono_ns);
	jout_text(j, "kind", kind);
}

/* Long texts (a crash report) have files of their own; a record has a limit. */
static size_t cut_bytes(const char *text)
{
	size_t len = strnlen(text, TEXT_BYTES + 1);

	if (len <= TEXT_BYTES)
		return len;
	for (len = TEXT_BYTES; len && ((uint8_t)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

static void print_tail(struct json_out *j, const char *cause,
		       const struct vm_actor *actor, const char *reason,
		       const char *text, uint64_t duration_ns)
{
	jout_text(j, "cause", cause);
	print_actor(j, actor);
	jout_text(j, "reason", reason ? reason : "");
	text = text ? text : "";
	jout_text_n(j, "text", text, cut_bytes(text));
	jout_uint(j, "duration_us", duration_ns / NS_PER_US);
}

/* Puts the printed text into its slot; takes over the buffer's memory. */
static const struct event_record *keep(struct events *ev, const char *kind,
				       struct buf *json)
{
	uint64_t seq = ev->next++;
	struct event_record *slot = &ev->ring[seq % LIMIT_EVENTS];
	char *text;

	free(slot->json);
	*slot = (struct event_record){ 0 };
	if (json->error || !json->data) {
		buf_fini(json);
		return NULL;
	}
	text = realloc(json->data, json->len + 1);
	slot->json = text ? text : (char *)json->data;
	slot->json_bytes = json->len;
	slot->kind = kind;
	slot->seq = seq;
	return slot;
}

static bool has_value(const struct vm_event *event)
{
	switch (event->kind) {
	case VM_EVENT_MILESTONE:
	case VM_EVENT_RESTART:
	case VM_EVENT_GAVE_UP:
		return true;
	default:
		return event->kind == VM_EVENT_STATE &&
		       event->cause == VM_CAUSE_DEBUG_EXIT;
	}
}

const struct event_record *events_add(struct events *ev,
				      const struct vm_event *event)
{
	const char *kind = vm_event_text(event->kind);
	struct json_out j;
	struct buf json;

	buf_init(&json, LIMIT_EVENT_BYTES);
	json_out_init(&j, &json, false);
	print_head(&j, ev->next, kind, event->wall_ns, event->mono_ns);
	if (event->kind == VM_EVENT_STATE) {
		jout_text(&j, "from", vm_state_text(event->from));
		jout_text(&j, "to", vm_state_text(event->to));
	}
	jout_text(&j, "state", vm_state_text(event->to));
	print_tail(&j, vm_cause_text(event->cause), &event->actor,
		   event->reason, event->text, event->duration_ns);
	if (has_value(event))
		jout_uint(&j, "value", event->value);
	jout_close(&j, '}');
	return keep(ev, kind, &json);
}

const struct event_record *events_note(struct events *ev,
				       const struct event_note *note)
{
	struct json_out j;
	struct buf json;

	buf_init(&json, LIMIT_EVENT_BYTES);
	json_out_init(&j, &json, false);
	print_head(&j, ev->next, note->kind, clock_wall_ns(), clock_mono_ns());
	jout_text(&j, "state", vm_state_text(note->state));
	print_tail(&j, note->cause, &note->actor, note->reason, note->text,
		   note->duration_ns);
	jout_close(&j, '}');
	return keep(ev, note->kind, &json);
}

uint64_t events_next(const struct events *ev)
{
	return ev->next;
}

uint64_t events_first(const struct events *ev)
{
	return ev->next - ev->base > LIMIT_EVENTS ? ev->next - LIMIT_EVENTS
						  : ev->base;
}

const struct event_record *events_get(const struct events *ev, uint64_t seq)
{
	const struct event_record *slot = &ev->ring[seq % LIMIT_EVENTS];

	return seq && slot->seq == seq ? slot : NULL;
}
