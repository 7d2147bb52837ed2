/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's observer: events into the ring, the journal and the streams;
 * console output into the log; reports and state into files. Loop thread.
 */
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/agent.h"
#include "control/journal.h"
#include "control/json_out.h"
#include "control/layer_op.h"
#include "control/limits.h"
#include "control/policy_timer.h"
#include "control/ports.h"
#include "control/record.h"
#include "control/snapshot_op.h"
#include "control/text.h"
#include "devices/console.h"
#include "snapshot/suspend.h"

#define PIECE_BYTES	 4096
#define PIECES_PER_ROUND 64 /* then others get their turn */
#define REFUSALS_PER_S	 20 /* that are recorded one by one */

/* --- records ------------------------------------------------------------ */

struct vm_actor control_actor(const struct peer *peer)
{
	return (struct vm_actor){ .kind = "api",
				  .uid = peer->uid,
				  .pid = peer->pid };
}

static void publish(struct control *c, const struct event_record *record)
{
	if (!record)
		return;
	scribe_append(c->scribe, SCRIBE_JOURNAL, record->json,
		      record->json_bytes);
	scribe_append(c->scribe, SCRIBE_JOURNAL, "\n", 1);
	control_events_changed(c);
}

void control_note(struct control *c, const struct event_note *note)
{
	publish(c, events_note(c->events, note));
}

void control_note_call(struct call *call, const char *kind, enum vm_state state,
		       const char *text)
{
	control_note(call->control,
		     &(struct event_note){
			     .kind = kind,
			     .state = state,
			     .cause = vm_cause_text(VM_CAUSE_COMMAND),
			     .actor = control_actor(&call->peer),
			     .reason = call->text,
			     .text = text,
			     .duration_ns = clock_mono_ns() - call->began_ns,
		     });
}

static void note_text(struct control *c, const char *kind,
		      const struct vm_actor *actor, const char *reason,
		      const char *text)
{
	struct vm_status status;

	vm_status(c->vm, &status);
	control_note(c, &(struct event_note){
				.kind = kind,
				.state = status.state,
				.cause = vm_cause_text(status.cause),
				.actor = *actor,
				.reason = reason,
				.text = text,
			});
}

struct vm_actor control_own_actor(void)
{
	return (struct vm_actor){ .kind = "policy", .uid = getuid() };
}

void control_note_own(struct control *c, const char *kind, const char *text,
		      uint64_t duration_ns)
{
	struct vm_status status;

	vm_status(c->vm, &status);
	control_note(c, &(struct event_note){
				.kind = kind,
				.state = status.state,
				.cause = vm_cause_text(VM_CAUSE_NONE),
				.actor = control_own_actor(),
				.reason = "",
				.text = text,
				.duration_ns = duration_ns,
			});
}

/* A second is over: those that were not recorded one by one. */
static void sum_up_refusals(void *ctx)
{
	struct vm_actor actor = control_own_actor();
	struct control *c = ctx;
	char text[64];

	if (c->refused_hidden) {
		snprintf(text, sizeof(text), "%u more requests were refused",
			 c->refused_hidden);
		note_text(c, "refused", &actor, "", text);
	}
	c->refused_count = 0;
	c->refused_hidden = 0;
}

void control_note_refused(struct control *c, const struct peer *peer,
			  const char *reason, const char *text)
{
	struct vm_actor actor = control_actor(peer);

	if (!c->refused_timer.loop)
		loop_arm(c->loop, &c->refused_timer, NS_PER_S, sum_up_refusals,
			 c);
	if (c->refused_count++ < REFUSALS_PER_S)
		note_text(c, "refused", &actor, reason, text);
	else
		c->refused_hidden++;
}

void control_answer_done(struct call *call, bool changed, enum vm_state state,
			 const char *rung, const char *text)
{
	struct json_out j;

	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_bool(&j, "changed", changed);
	jout_text(&j, "state", vm_state_text(state));
	jout_uint(&j, "duration_us",
		  (clock_mono_ns() - call->began_ns) / NS_PER_US);
	if (*rung)
		jout_text(&j, "rung", rung);
	if (*text)
		jout_text(&j, "text", text);
	jout_close(&j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, "application/json");
}

void control_answer_wrong_state(struct call *call, enum vm_command command,
				enum vm_state state, const char *help)
{
	char detail[128];

	snprintf(detail, sizeof(detail), "can't %s while the VM is %s",
		 vm_command_text(command), vm_state_text(state));
	call_wrong_state(call, detail, vm_state_text(state), help);
}

static void log_trouble(void *ctx, const char *text)
{
	struct vm_actor actor = control_own_actor();

	note_text(ctx, "log-lost", &actor, "", text);
}

/* --- the observer ------------------------------------------------------- */

static void save_record(struct control *c)
{
	struct buf json;

	if (c->no_record)
		return;
	buf_init(&json, LIMIT_REPORT_BYTES);
	if (record_to_json(&c->record, &json) == 0)
		scribe_replace(c->scribe, SCRIBE_STATE, json.data, json.len);
	buf_fini(&json);
}

static void save_state(struct control *c, const struct vm_event *event)
{
	struct record *r = &c->record;
	struct vm_status status;

	vm_status(c->vm, &status);
	r->state = event->to;
	text_copy(r->cause, sizeof(r->cause), vm_cause_text(event->cause));
	clock_rfc3339(event->wall_ns, r->since);
	text_copy(r->reason, sizeof(r->reason),
		  event->reason ? event->reason : "");
	r->code = event->cause == VM_CAUSE_DEBUG_EXIT ? event->value : 0;
	r->boots = status.boots;
	r->restarts = status.restarts;
	r->cpus = c->config->cpus;
	r->memory_bytes = c->config->memory_bytes;
	r->pid = c->pid;
	if (event->to == VM_STARTING || event->to == VM_RUNNING)
		r->text[0] = 0;
	save_record(c);
}

/* The first line of a report says what happened. */
static void remember_text(struct control *c, const char *text)
{
	char line[VM_TEXT_MAX + 1];

	text_copy(line, sizeof(line), text ? text : "");
	line[strcspn(line, "\n")] = 0;
	text_copy(c->record.text, sizeof(c->record.text), line);
}

static void save_report(struct control *c, enum scribe_file file,
			const char *text)
{
	scribe_replace(c->scribe, file, text, strlen(text));
}

static void on_event(void *ctx, const struct vm_event *event)
{
	struct control *c = ctx;

	publish(c, events_add(c->events, event));
	switch (event->kind) {
	case VM_EVENT_STATE:
		save_state(c, event);
		control_ready_changed(c);
		if (event->from == VM_RESTORING &&
		    (event->to == VM_RUNNING || event->to == VM_PAUSED))
			control_guest_is_back(c);
		else if (event->to == VM_RUNNING)
			control_agent_tasks(c);
		if (event->to == VM_RUNNING)
			layer_op_start(c);
		break;
	case VM_EVENT_READY:
		control_ready_changed(c);
		break;
	case VM_EVENT_BOOT:
		save_report(c, SCRIBE_BOOT, vm_boot_report(c->vm));
		if (event->cause == VM_CAUSE_START_FAILED) {
			remember_text(c, event->text);
			save_record(c);
		}
		break;
	case VM_EVENT_CRASH:
		remember_text(c, event->text);
		save_report(c, SCRIBE_CRASH, vm_crash_report(c->vm));
		break;
	default:
		break;
	}
}

/* The log and the hooks get each byte once. */
static void take_output(void *ctx)
{
	struct control *c = ctx;
	struct console *console = vm_console(c->vm);
	char piece[PIECE_BYTES], gap[64];
	uint64_t dropped;
	size_t n;
	int i;

	for (i = 0; i < PIECES_PER_ROUND; i++) {
		n = console_read(console, &c->console_cursor, piece,
				 sizeof(piece), &dropped);
		if (dropped) {
			c->console_lost += dropped;
			snprintf(gap, sizeof(gap),
				 "\n[amber: %llu bytes lost]\n",
				 (unsigned long long)dropped);
			scribe_append(c->scribe, SCRIBE_CONSOLE, gap,
				      strlen(gap));
		}
		if (!n)
			return;
		scribe_append(c->scribe, SCRIBE_CONSOLE, piece, n);
		if (c->hooks.output)
			c->hooks.output(c->hooks.ctx, piece, n);
	}
	loop_arm(c->loop, &c->output_timer, 0, take_output, c);
}

static void on_console_output(void *ctx)
{
	struct control *c = ctx;

	if (c->hooks.output_ready)
		c->hooks.output_ready(c->hooks.ctx);
	control_console_changed(c);
	take_output(c);
}

static void on_gone(void *ctx, const struct vm_end *end)
{
	struct control *c = ctx;

	if (c->is_ending)
		return;
	c->is_ending = true;
	c->end = *end;
	if (!*c->record.text) {
		remember_text(c, end->text);
		save_record(c);
	}
	if (c->hooks.gone)
		c->hooks.gone(c->hooks.ctx, end);
}

/* --- the store: on a worker's thread ------------------------------------ */

static int save_machine(void *ctx, struct machine *m,
			char text[VM_TEXT_MAX + 1], struct err *e)
{
	const struct control *c = ctx;

	return suspend_save(c->dir, c->config, m, text, e);
}

static int load_machine(void *ctx, struct vm_saved *out, struct err *e)
{
	const struct control *c = ctx;

	return suspend_load(c->dir, c->config, out, e);
}

static void used_machine(void *ctx, bool is_built)
{
	const struct control *c = ctx;

	if (is_built)
		suspend_remove(c->dir);
}

/* --- life --------------------------------------------------------------- */

int control_create(struct control **out, const struct control_config *config,
		   struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	struct scribe_config files = {
		.loop = config->loop,
		.dir = config->dir,
		.trouble = log_trouble,
		.ctx = c,
	};
	struct vm_observer observer = {
		.ctx = c,
		.event = on_event,
		.console_output = on_console_output,
		.ask_agent = control_ask_agent,
		.gone = on_gone,
	};
	uint64_t last;
	int r;

	if (!c)
		return err_sys(e, -ENOMEM, "control plane");
	c->loop = config->loop;
	c->config = config->config;
	c->hooks = config->hooks;
	c->owner = geteuid();
	c->pid = getpid();
	c->dir = config->dir;
	if (c->dir >= 0)
		observer.store = (struct vm_store){
			.ctx = c,
			.save = save_machine,
			.source = { c, load_machine, used_machine },
			.has_saved = suspend_exists(c->dir),
		};
	ops_init(&c->ops);
	c->snapshots = snapshot_op_list(-1);
	last = journal_last(config->dir);
	r = events_create(&c->events, last, e);
	if (!r)
		r = scribe_create(&c->scribe, &files, e);
	if (!r)
		r = policy_timer_create(&c->policy, c, e);
	if (!r)
		r = vm_create(&c->vm, c->loop, c->config, last > 0, &observer,
			      e);
	if (r)
		control_destroy(c);
	else
		*out = c;
	return r;
}

int control_start_files(struct control *c, struct err *e)
{
	/* Not before: the guest does not wait for what has been kept. */
	json_decref(c->snapshots);
	c->snapshots = snapshot_op_list(c->dir);
	policy_timer_start(c->policy);
	return scribe_start(c->scribe, e);
}

void control_drain(struct control *c)
{
	take_output(c);
	c->is_ending = true;
	if (c->agent)
		agent_connected(c->agent, false);
	control_ready_changed(c);
	control_op_ended(c);
	control_events_changed(c);
	control_console_drain(c);
}

bool control_is_drained(const struct control *c)
{
	return !c->readers && !c->streams;
}

void control_destroy(struct control *c)
{
	if (!c)
		return;
	loop_disarm(&c->keepalive);
	loop_disarm(&c->output_timer);
	loop_disarm(&c->refused_timer);
	policy_timer_destroy(c->policy);
	c->policy = NULL;
	control_close_ports(c);
	agent_destroy(c->agent);
	c->agent = NULL;
	/* The VM first: what it does at the end is still heard. */
	vm_destroy(c->vm);
	layer_op_abandon(c);
	snapshot_op_abandon(c);
	ops_fini(&c->ops);
	json_decref(c->snapshots);
	loop_disarm(&c->refused_timer);
	scribe_destroy(c->scribe);
	events_destroy(c->events);
	free(c);
}
