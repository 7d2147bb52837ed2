/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INV-1: between two steps the timer is armed, or an operation of its own is
 * under way that will arm it. INV-2: a run is counted when it began, so that
 * what is missed meanwhile is made up for once.
 */
#include "control/policy_timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/snapshot_op.h"
#include "control/text.h"
#include "snapshot/policy.h"
#include "vmm/machine.h"

#define SETTLE_S 5    /* from a start to the first look */
#define TICK_S	 60   /* the wall clock may be set, the host may sleep */
#define PRUNE_S	 3600 /* between two looks at what has expired */

/* By what a VM is known not to have changed. */
struct sight {
	char id[SNAPSHOT_ID_CHARS + 1]; /* where it is; "": nobody knows */
	enum vm_state state;
	uint64_t since_ns;
	uint32_t boots;
	bool has_machine;
	uint64_t writes; /* of all its disks */
};

enum step { IDLE, TAKING, PRUNING };

struct policy_timer {
	struct control *c; /* borrowed */
	struct policy policy;
	struct policy_state state;
	struct loop_timer timer;
	enum step step;
	uint64_t run_ns;    /* when the run under way began */
	uint64_t waits_ns;  /* the due time whose waiting was told */
	uint64_t pruned_ns; /* monotonic; 0: not yet */
	bool wants_prune;   /* it could not begin */
	struct sight now, last;
};

/* --- telling --------------------------------------------------------- */

static void note(struct policy_timer *t, const char *kind, const char *text)
{
	control_note_own(t->c, kind, text, 0);
}

static void save(struct policy_timer *t)
{
	struct buf text;

	buf_init(&text, POLICY_FILE_BYTES);
	if (!policy_print(&t->state, &text))
		scribe_replace(t->c->scribe, SCRIBE_POLICY, text.data,
			       text.len);
	buf_fini(&text);
}

/* --- has anything changed? ------------------------------------------- */

static uint64_t count_writes(struct control *c)
{
	struct machine *m = vm_machine(c->vm);
	struct vblk_stats stats;
	uint64_t writes = 0;
	unsigned int i;

	for (i = 0; m && i < c->config->disks; i++) {
		vblk_get_stats(machine_disk(m, i), &stats);
		writes += stats.ops[VBLK_WRITE] + stats.ops[VBLK_DISCARD];
	}
	return writes;
}

static const char *current_id(const struct control *c)
{
	const char *id =
		json_string_value(json_object_get(c->snapshots, "current"));

	return id ? id : "";
}

/* Before the moment: what happens until then is seen as a change. */
static void look(struct policy_timer *t, const struct vm_status *status)
{
	t->now = (struct sight){ .state = status->state,
				 .since_ns = status->since_wall_ns,
				 .boots = status->boots,
				 .has_machine = vm_machine(t->c->vm) != NULL,
				 .writes = count_writes(t->c) };
	text_copy(t->now.id, sizeof(t->now.id), current_id(t->c));
}

/*
 * Memory changes while a guest runs; its disks only when it writes. Without a
 * machine nobody has counted: their images are asked (snapshot/changed.h).
 */
static bool is_unchanged(const struct policy_timer *t)
{
	const struct sight *a = &t->last, *b = &t->now;
	bool stood = a->state == VM_PAUSED && b->state == VM_PAUSED &&
		     a->since_ns == b->since_ns;

	if (!a->has_machine || !b->has_machine || !*a->id ||
	    strcmp(a->id, b->id) != 0 || a->boots != b->boots ||
	    a->writes != b->writes)
		return false;
	return stood || t->policy.kind == SNAPSHOT_DISK;
}

/* --- pruning --------------------------------------------------------- */

static void arm(struct policy_timer *t);
static void begin_prune(struct policy_timer *t);

static json_t *list_of(const struct policy_timer *t)
{
	return json_object_get(t->c->snapshots, "snapshots");
}

static void on_pruned(void *ctx, const struct err *e)
{
	struct policy_timer *t = ctx;

	(void)e; /* told; the next time will do */
	t->step = IDLE;
	arm(t);
}

static void begin_prune(struct policy_timer *t)
{
	struct snapshot_op_order order = { .kind = OP_PRUNE,
					   .prune = t->policy.prune };
	const struct snapshot_op_asker asker = { control_own_actor(), "",
						 on_pruned, t };
	struct err e = ERR_NONE;

	t->wants_prune = false;
	if (t->c->is_ending ||
	    (!t->policy.has_rules &&
	     !policy_has_expired(list_of(t), clock_wall_ns())))
		return;
	t->pruned_ns = clock_mono_ns();
	if (!snapshot_op_begin(t->c, &asker, &order, &e))
		t->step = PRUNING;
	else if (e.code == -EBUSY)
		t->wants_prune = true;
	else
		note(t, "snapshot-failed", e.text);
}

/*
 * What a schedule takes is looked through after each run. While new ones turn
 * out to be damaged, the old ones may be all there is.
 */
static bool is_prune_due(const struct policy_timer *t)
{
	uint64_t now = clock_mono_ns();

	if (t->policy.verify && t->state.failures)
		return false;
	if (t->wants_prune || !t->pruned_ns)
		return true;
	return now - t->pruned_ns >= PRUNE_S * NS_PER_S &&
	       (!t->policy.has_schedule ||
		policy_has_expired(list_of(t), clock_wall_ns()));
}

/* --- taking ---------------------------------------------------------- */

static void describe_current(const struct policy_timer *t, char *text,
			     size_t bytes)
{
	const char *id = current_id(t->c), *name = "";
	const json_t *s;
	size_t i;

	json_array_foreach(list_of(t), i, s)
	{
		if (!strcmp(json_string_value(json_object_get(s, "id")), id))
			name = json_string_value(json_object_get(s, "name"));
	}
	snprintf(text, bytes, "snapshot %s (%s)", name, id);
}

static void has_nothing_to_take(struct policy_timer *t)
{
	char current[POLICY_TEXT_BYTES - 64], text[POLICY_TEXT_BYTES];

	describe_current(t, current, sizeof(current));
	snprintf(text, sizeof(text), "nothing has changed since %s", current);
	policy_ran(&t->state, t->run_ns, text);
	note(t, "policy", text);
}

static void has_taken(struct policy_timer *t)
{
	char text[POLICY_TEXT_BYTES];

	describe_current(t, text, sizeof(text));
	policy_ran(&t->state, t->run_ns, text);
	t->last = t->now;
	text_copy(t->last.id, sizeof(t->last.id), current_id(t->c));
}

static void on_taken(void *ctx, const struct err *e)
{
	struct policy_timer *t = ctx;

	t->step = IDLE;
	if (e->code)
		policy_failed(&t->state, clock_wall_ns(), e->text);
	else if (strcmp(t->now.id, current_id(t->c)) != 0)
		has_taken(t);
	else
		has_nothing_to_take(t);
	save(t);
	/* A full quota may have room then. */
	if (!e->code || e->code == -EDQUOT)
		begin_prune(t);
	if (t->step == IDLE)
		arm(t);
}

static void could_not_begin(struct policy_timer *t, uint64_t due,
			    const struct err *e)
{
	char text[POLICY_TEXT_BYTES];

	if (e->code != -EBUSY) {
		policy_failed(&t->state, t->run_ns, e->text);
		save(t);
		note(t, "snapshot-failed", e->text);
	} else if (t->waits_ns != due) {
		t->waits_ns = due;
		snprintf(text, sizeof(text),
			 "the scheduled snapshot waits: %.160s", e->text);
		note(t, "policy", text);
	}
}

/* Of one without a machine its disks, if it has any; else it stays due. */
static bool can_run(const struct policy_timer *t, enum vm_state state)
{
	return state == VM_RUNNING || state == VM_PAUSED ||
	       (state == VM_STOPPED && !vm_machine(t->c->vm) &&
		t->c->config->disks);
}

static void begin_run(struct policy_timer *t, uint64_t due, uint64_t now_ns)
{
	struct snapshot_op_order order = {
		.kind = OP_CREATE,
		.quiesce = t->policy.quiesce,
		.verify = t->policy.verify,
		.changed = !vm_machine(t->c->vm),
	};
	const struct snapshot_op_asker asker = { control_own_actor(),
						 "scheduled", on_taken, t };
	struct err e = ERR_NONE;
	struct vm_status status;

	vm_status(t->c->vm, &status);
	if (!can_run(t, status.state))
		return;
	t->run_ns = now_ns;
	look(t, &status);
	if (t->policy.only_if_changed && is_unchanged(t)) {
		has_nothing_to_take(t);
		save(t);
		begin_prune(t);
		return;
	}
	policy_order(&t->policy, now_ns, &order.take);
	if (!snapshot_op_begin(t->c, &asker, &order, &e))
		t->step = TAKING;
	else
		could_not_begin(t, due, &e);
}

/* --- time ------------------------------------------------------------ */

static void on_tick(void *ctx)
{
	struct policy_timer *t = ctx;
	uint64_t now = clock_wall_ns(), due;

	if (t->c->is_ending)
		return;
	if (policy_settle(&t->state, policy_newest(list_of(t), now), now))
		save(t);
	due = policy_due(&t->policy, &t->state);
	if (due <= now)
		begin_run(t, due, now);
	/* Also while a run has to wait, however long. */
	if (t->step == IDLE && is_prune_due(t))
		begin_prune(t);
	if (t->step == IDLE)
		arm(t);
}

static void arm(struct policy_timer *t)
{
	uint64_t now = clock_wall_ns(), wait = TICK_S * NS_PER_S;
	uint64_t due = policy_due(&t->policy, &t->state);

	if (due > now && due - now < wait)
		wait = due - now;
	if (!t->c->is_ending)
		loop_arm(t->c->loop, &t->timer, wait, on_tick, t);
}

void policy_timer_look(struct policy_timer *t)
{
	on_tick(t);
}

/* --- life ------------------------------------------------------------ */

int policy_timer_create(struct policy_timer **out, struct control *c,
			struct err *e)
{
	struct policy_timer *t;
	int r;

	*out = NULL;
	if (!c->config->has_snapshots || c->dir < 0)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_sys(e, -ENOMEM, "policy");
	t->c = c;
	r = policy_read(&t->policy, &c->config->snapshots, e);
	if (r)
		free(t);
	else
		*out = t;
	return r;
}

void policy_timer_start(struct policy_timer *t)
{
	struct err e = ERR_NONE;

	if (!t)
		return;
	if (policy_load(&t->state, t->c->dir, &e))
		note(t, "policy", e.text);
	loop_arm(t->c->loop, &t->timer, SETTLE_S * NS_PER_S, on_tick, t);
}

void policy_timer_destroy(struct policy_timer *t)
{
	if (!t)
		return;
	loop_disarm(&t->timer);
	free(t);
}
