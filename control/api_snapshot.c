/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers about snapshots. Loop thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/name.h"
#include "control/api.h"
#include "control/layer_op.h"
#include "control/snapshot_op.h"
#include "control/text.h"
#include "snapshot/expires.h"

void api_snapshots(struct call *call)
{
	json_t *all = json_copy(call->control->snapshots);
	json_t *merging = layer_op_progress(call->control);

	if (merging)
		json_object_set_new(all, "merging", merging);
	call_answer_json(call, 200, all);
}

static void start(struct call *call, struct snapshot_op_order *order)
{
	struct err e = ERR_NONE;
	struct vm_status status;
	int r;

	order->background = call_number(call, "background", 0);
	r = snapshot_op_start(call, order, &e);
	if (!r)
		return;
	vm_status(call->control->vm, &status);
	control_note_call(call, "snapshot-failed", status.state, e.text);
	call_problem(call,
		     r == -EBUSY	? PROBLEM_BUSY
		     : r == -EOPNOTSUPP ? PROBLEM_UNUSABLE
					: PROBLEM_INTERNAL,
		     "%s", e.text);
}

/* "KEY=VALUE", or "KEY" */
static bool add_label(struct snapshot_order *o, const char *text)
{
	const char *equals = strchrnul(text, '=');
	struct vm_label *label = &o->label[o->labels++];

	if (equals == text || equals - text > VM_LABEL_MAX ||
	    !name_is_printable(text) ||
	    (*equals && strlen(equals + 1) > VM_LABEL_MAX))
		return false;
	snprintf(label->key, sizeof(label->key), "%.*s", (int)(equals - text),
		 text);
	snprintf(label->value, sizeof(label->value), "%s",
		 *equals ? equals + 1 : "");
	return true;
}

static bool take_labels(struct call *call, struct snapshot_order *o)
{
	const char *label;
	size_t i;

	for (i = 0; i < json_array_size(call->list); i++) {
		label = json_string_value(json_array_get(call->list, i));
		if (add_label(o, label))
			continue;
		call_problem(call, PROBLEM_BAD_VALUE,
			     "labels: '%.80s' is not KEY=VALUE of at most %d "
			     "characters each",
			     label, VM_LABEL_MAX);
		return false;
	}
	return true;
}

/* A stopped VM has its disks only. */
static bool is_possible(struct call *call, int kind)
{
	struct vm_status status;

	vm_status(call->control->vm, &status);
	if (vm_machine(call->control->vm) || kind == SNAPSHOT_DISK)
		return true;
	call_wrong_state(call,
			 "a stopped VM has disks only (kind disk), no memory",
			 vm_state_text(status.state), "start");
	return false;
}

static bool take_limits(struct call *call, struct snapshot_order *o)
{
	const char *expires = call_word(call, "expires");
	struct err e = ERR_NONE;

	o->max_pause_ns = call_number(call, "max_pause_us", 0) * NS_PER_US;
	if (!*expires ||
	    !expires_parse(&o->expires_ns, expires, clock_wall_ns(), &e))
		return true;
	call_problem(call, PROBLEM_BAD_VALUE, "expires: %s", e.text);
	return false;
}

void api_snapshot_create(struct call *call)
{
	const char *kind = call_word(call, "kind");
	int number = *kind			     ? snapshot_kind_parse(kind)
		     : vm_machine(call->control->vm) ? SNAPSHOT_FULL
						     : SNAPSHOT_DISK;
	struct snapshot_op_order order = { .kind = OP_CREATE };
	struct snapshot_order *o = &order.take;

	if (number < 0) {
		call_problem(call, PROBLEM_BAD_VALUE,
			     "kind: '%s' is not full, disk or memory", kind);
		return;
	}
	if (!is_possible(call, number))
		return;
	o->kind = (enum snapshot_kind)number;
	o->consistency =
		number == SNAPSHOT_DISK ? SNAPSHOT_CRASH : SNAPSHOT_LIVE;
	o->is_pinned = call_number(call, "pin", 0);
	o->incremental = call_number(call, "incremental", 0);
	order.quiesce = call_number(call, "quiesce", 0);
	if (order.quiesce)
		o->consistency = SNAPSHOT_QUIESCED;
	text_copy(o->name, sizeof(o->name), call_word(call, "name"));
	text_copy(o->purpose, sizeof(o->purpose), call_word(call, "purpose"));
	if (take_limits(call, o) && take_labels(call, o))
		start(call, &order);
}

/* "only", if it was given. */
static bool take_part(struct call *call, struct snapshot_op_order *order)
{
	const char *only = call_word(call, "only"), *disk = NULL;
	struct err e = ERR_NONE;

	if (*only && restore_part_parse(only, &order->part, &disk, &e)) {
		call_problem(call, PROBLEM_BAD_VALUE, "only: %s", e.text);
		return false;
	}
	text_copy(order->disk, sizeof(order->disk), disk ? disk : "");
	return true;
}

void api_snapshot_restore(struct call *call)
{
	struct snapshot_op_order order = {
		.kind = OP_RESTORE,
		.paused = call_number(call, "paused", 0),
		.safety = call_number(call, "safety", 1),
		.force = call_number(call, "force", 0),
		.take = { .consistency = SNAPSHOT_LIVE },
	};

	text_copy(order.what, sizeof(order.what), call_word(call, "snapshot"));
	if (take_part(call, &order))
		start(call, &order);
}

void api_snapshot_rewind(struct call *call)
{
	struct snapshot_op_order order = {
		.kind = OP_REWIND,
		.paused = call_number(call, "paused", 0),
	};

	start(call, &order);
}

/* --- changes --------------------------------------------------------- */

static void start_change(struct call *call, struct snapshot_op_order *order,
			 enum change_kind kind)
{
	order->kind = OP_CHANGE;
	order->change.kind = kind;
	text_copy(order->change.what, sizeof(order->change.what),
		  call_word(call, "snapshot"));
	start(call, order);
}

void api_snapshot_delete(struct call *call)
{
	struct snapshot_op_order order = {
		.kind = OP_DELETE,
		.force = call_number(call, "force", 0),
		.children = call_number(call, "children", 0),
	};

	text_copy(order.what, sizeof(order.what), call_word(call, "snapshot"));
	start(call, &order);
}

void api_snapshot_pin(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_CHANGE };

	start_change(call, &order, CHANGE_PIN);
}

void api_snapshot_unpin(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_CHANGE };

	start_change(call, &order, CHANGE_UNPIN);
}

void api_snapshot_label(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_CHANGE };
	struct snapshot_change *c = &order.change;
	struct err e = ERR_NONE;
	const char *text;
	size_t i;

	for (i = 0; i < json_array_size(call->list); i++) {
		text = json_string_value(json_array_get(call->list, i));
		if (!label_change_parse(&c->label[c->labels++], text, &e))
			continue;
		call_problem(call, PROBLEM_BAD_VALUE, "labels: %s", e.text);
		return;
	}
	start_change(call, &order, CHANGE_LABEL);
}

void api_snapshot_verdict(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_CHANGE };
	struct snapshot_verdict *v = &order.change.verdict;

	v->is_there = true;
	v->passed = call_number(call, "passed", 0);
	v->start_us = call_number(call, "start_us", 0);
	v->good_us = call_number(call, "good_us", 0);
	text_copy(v->how, sizeof(v->how), call_word(call, "how"));
	text_copy(v->text, sizeof(v->text), call->text);
	clock_rfc3339(clock_wall_ns(), v->at);
	start_change(call, &order, CHANGE_VERDICT);
}

void api_snapshot_diff(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_DIFF };

	text_copy(order.what, sizeof(order.what), call_word(call, "snapshot"));
	text_copy(order.with, sizeof(order.with), call_word(call, "with"));
	start(call, &order);
}

void api_snapshot_adopt(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_ADOPT };

	text_copy(order.what, sizeof(order.what), call_word(call, "snapshot"));
	start(call, &order);
}

/* --- pruning --------------------------------------------------------- */

static int take_prune_labels(struct call *call, struct prune_order *o,
			     struct err *e)
{
	const char *text;
	size_t i;
	int r = 0;

	for (i = 0; i < json_array_size(call->list) && !r; i++) {
		text = json_string_value(json_array_get(call->list, i));
		r = prune_label_parse(&o->label[o->labels++], text, e);
	}
	return r ? err_prefix(e, "labels") : 0;
}

static int take_policy(struct call *call, struct prune_policy *p, struct err *e)
{
	const char *within = call_word(call, "keep_within");
	char name[32];
	int rule, r = 0;

	for (rule = 0; rule < PRUNE_RULES; rule++) {
		snprintf(name, sizeof(name), "keep_%s",
			 prune_rule_text((enum prune_rule)rule));
		p->keep[rule] = (unsigned int)call_number(call, name, 0);
	}
	p->max_bytes = call_number(call, "max_bytes", 0);
	p->only_expired = call_number(call, "expired", 0);
	p->has_within = *within;
	if (*within)
		r = prune_span_parse(&p->within, within, e);
	return r ? err_prefix(e, "keep_within") : 0;
}

void api_snapshot_prune(struct call *call)
{
	struct snapshot_op_order order = { .kind = OP_PRUNE };
	struct prune_order *o = &order.prune;
	struct err e = ERR_NONE;

	o->is_dry_run = call_number(call, "dry_run", 0);
	text_copy(o->purpose, sizeof(o->purpose), call_word(call, "purpose"));
	if (take_policy(call, &o->policy, &e) ||
	    take_prune_labels(call, o, &e)) {
		call_problem(call, PROBLEM_BAD_VALUE, "%s", e.text);
		return;
	}
	start(call, &order);
}
