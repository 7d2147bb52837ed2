/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of one operation and what the loop does for it. INV-1: the
 * thread touches of the control plane only what never changes: directory and
 * configuration. INV-2: while it waits for the VM, the VM's worker may use
 * what the thread has.
 */
#include "control/snapshot_op.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/agent.h"
#include "control/config_json.h"
#include "control/layer_op.h"
#include "control/limits.h"
#include "control/text.h"
#include "control/version.h"
#include "snapshot/diff.h"
#include "snapshot/import.h"
#include "snapshot/remove.h"
#include "snapshot/size.h"
#include "vmm/machine.h"

#define CONFIG_BYTES (1u << 20)

struct snapshot_op {
	struct control *c;
	struct call *call; /* NULL: the client is gone */
	struct snapshot_op_order order;
	struct buf config; /* config.json, for the set */
	struct peer peer;
	char reason[CALL_TEXT_BYTES];
	uint64_t began_ns;
	pthread_t thread;
	bool has_thread; /* else it waits for the layers' */

	/* The VM's turn: what is asked, and what came of it. */
	struct vm_request request;
	sem_t answered;
	bool is_abandoned;
	struct vm_result result;
	char result_text[VM_TEXT_MAX + 1];

	bool thaws;	/* the snapshot gone back to has frozen file systems */
	bool is_frozen; /* they are, now */
	struct err agent_err;

	struct loop_msg submit_msg, freeze_msg, end_msg;

	/* The outcome, for the loop. */
	struct err err;
	char text[VM_TEXT_MAX + 1];
	json_t *set; /* of the snapshot that was taken or gone back to */
	json_t *pruned, *diff; /* docs/api.md */
	json_t *list;	       /* all there are now */
	bool is_unchanged;
};

/* --- the VM's turn --------------------------------------------------- */

static void on_thawed(void *ctx, const json_t *ret, const struct err *e)
{
	(void)ctx;
	(void)ret;
	(void)e; /* the next one finds them frozen, and says so */
}

static void thaw(struct snapshot_op *op)
{
	if (!op->is_frozen)
		return;
	op->is_frozen = false;
	agent_thaw(op->c->agent, LIMIT_AGENT_FREEZE_MS * NS_PER_MS, on_thawed,
		   NULL);
}

static void on_answer(void *ctx, const struct vm_result *result)
{
	struct snapshot_op *op = ctx;

	thaw(op);
	op->result = *result;
	text_copy(op->result_text, sizeof(op->result_text), result->text);
	sem_post(&op->answered);
}

static void on_submit(void *ctx)
{
	struct snapshot_op *op = ctx;

	op->c->agent_thaws |= op->thaws;
	vm_submit(op->c->vm, &op->request);
}

static void on_frozen(void *ctx, const json_t *ret, const struct err *e)
{
	struct snapshot_op *op = ctx;

	(void)ret;
	op->is_frozen = !e;
	if (e)
		op->agent_err = *e;
	sem_post(&op->answered);
}

static void on_freeze(void *ctx)
{
	static const struct err none = { -ENOTCONN,
					 "the VM has no port for an agent" };
	struct snapshot_op *op = ctx;

	if (op->c->agent)
		agent_freeze(op->c->agent, LIMIT_AGENT_FREEZE_MS * NS_PER_MS,
			     on_frozen, op);
	else
		on_frozen(op, NULL, &none);
}

static int wait_for_loop(struct snapshot_op *op, struct loop_msg *msg,
			 struct err *e)
{
	loop_post(op->c->loop, msg);
	while (sem_wait(&op->answered) < 0)
		;
	return op->is_abandoned
		       ? err_set(e, -ECANCELED, "the VM's process ends")
		       : 0;
}

/* On the thread: the guest's file systems are consistent on its disks. */
static int freeze_files(struct snapshot_op *op, struct err *e)
{
	int r = wait_for_loop(op, &op->freeze_msg, e);

	if (r || op->is_frozen)
		return r;
	return err_set(e, op->agent_err.code,
		       "the guest's file systems can't be frozen: %.300s",
		       op->agent_err.text);
}

/* On the thread; 0 when the VM has done it. */
static int ask_vm(struct snapshot_op *op, struct err *e)
{
	const char *text = op->result_text;
	int r;

	op->request.actor = control_actor(&op->peer);
	memcpy(op->request.reason, op->reason, sizeof(op->request.reason));
	op->request.done = on_answer;
	op->request.ctx = op;
	r = wait_for_loop(op, &op->submit_msg, e);
	if (r)
		return r;
	if (op->result.refused)
		return err_set(e, -EBUSY, "not while the VM is %s",
			       vm_state_text(op->result.state));
	if (op->result.error)
		return err_set(e, op->result.error, "%s",
			       *text ? text
				     : strerrordesc_np(-op->result.error));
	return 0;
}

/* --- the work -------------------------------------------------------- */

static void describe_taken(struct snapshot_op *op,
			   const struct snapshot_take *t)
{
	const struct snapshot_meta *m = snapshot_taken(t);

	op->set = snapshot_meta_json(m);
	snprintf(op->text, sizeof(op->text),
		 "snapshot %s (%s): %llu KiB of memory, guest stopped for %llu "
		 "us",
		 m->name, m->id, (unsigned long long)m->pages * 4,
		 (unsigned long long)(m->pause_ns / NS_PER_US));
}

static int take(struct snapshot_op *op, struct err *e)
{
	struct snapshot_take *t;
	int r = snapshot_begin(&t, op->c->dir, op->c->config, &op->order.take,
			       e);

	if (r)
		return r;
	op->request = (struct vm_request){
		.command = VM_CMD_SNAPSHOT,
		.still = { t, snapshot_moment },
	};
	if (op->order.quiesce)
		r = freeze_files(op, e);
	if (!r)
		r = ask_vm(op, e);
	if (!r)
		r = snapshot_finish(t, op->result.duration_ns, e);
	if (!r)
		describe_taken(op, t);
	snapshot_end(t);
	return r;
}

/* What is there now, before it is given up. */
static int take_safety(struct snapshot_op *op, struct err *e)
{
	int r;

	if (!op->order.safety)
		return 0;
	text_copy(op->order.take.purpose, sizeof(op->order.take.purpose),
		  "pre-restore");
	op->order.take.name[0] = '\0';
	op->order.quiesce = false;
	r = take(op, e);
	json_decref(op->set);
	op->set = NULL;
	return r ? err_prefix(e, "the snapshot before (safety)") : 0;
}

static void describe_back(struct snapshot_op *op, const struct restore *r,
			  const char *verb)
{
	const struct snapshot_meta *m = restore_meta(r);

	op->set = snapshot_meta_json(m);
	snprintf(op->text, sizeof(op->text), "%s snapshot %s (%s) of %s", verb,
		 m->name, m->id, m->created);
}

static int go_back(struct snapshot_op *op, struct restore *r, struct err *e)
{
	bool rewinds = op->order.kind == OP_REWIND;
	int error = rewinds ? rewind_prepare(r, e) : restore_try(r, e);

	if (!error && !rewinds)
		error = take_safety(op, e);
	if (error)
		return error;
	op->request = (struct vm_request){
		.command = rewinds ? VM_CMD_REWIND : VM_CMD_RESTORE,
		.paused = op->order.paused,
	};
	op->thaws = restore_meta(r)->consistency == SNAPSHOT_QUIESCED &&
		    restore_meta(r)->kind != SNAPSHOT_DISK &&
		    op->order.part != RESTORE_DISKS;
	if (rewinds)
		op->request.still = (struct vm_still){ r, rewind_moment };
	else
		op->request.source =
			(struct vm_source){ r, restore_load, restore_done };
	error = ask_vm(op, e);
	if (!error)
		describe_back(op, r, rewinds ? "rewound to" : "restored");
	return error;
}

static int restore_or_rewind(struct snapshot_op *op, struct err *e)
{
	struct restore_order order = {
		.what = op->order.what,
		.part = op->order.part,
		.disk = *op->order.disk ? op->order.disk : NULL,
		.force = op->order.force,
	};
	struct restore *r;
	int error = restore_open(&r, op->c->dir, op->c->config, &order, e);

	if (error)
		return error;
	error = go_back(op, r, e);
	restore_close(r);
	return error;
}

static int delete (struct snapshot_op *op, struct err *e)
{
	const struct removal order = { op->order.what, op->order.children,
				       op->order.force };
	struct tidy_done done = { .removed = 0 };

	return remove_snapshots(op->c->dir, op->c->config, &order, &done,
				op->text, sizeof(op->text), e);
}

static int change(struct snapshot_op *op, struct err *e)
{
	struct snapshot_changed done;
	int r = snapshot_change(op->c->dir, &op->order.change, &done, e);

	if (r)
		return r;
	op->set = done.set;
	op->is_unchanged = !done.changed;
	text_copy(op->text, sizeof(op->text), done.text);
	return 0;
}

static int prune(struct snapshot_op *op, struct err *e)
{
	struct prune_report report;
	int r = snapshot_prune(op->c->dir, op->c->config, &op->order.prune,
			       &report, e);

	if (r)
		return r;
	op->pruned = report.json;
	op->is_unchanged = op->order.prune.is_dry_run || !report.removed;
	text_copy(op->text, sizeof(op->text), report.text);
	return 0;
}

static int diff(struct snapshot_op *op, struct err *e)
{
	struct snapshot_diff d;
	int r = snapshot_diff(&d, op->c->dir, op->c->config, op->order.what,
			      op->order.with, e);

	if (!r) {
		op->diff = snapshot_diff_json(&d);
		op->is_unchanged = true;
		snprintf(op->text, sizeof(op->text), "%s and %s compared",
			 d.a.name, d.b.name);
	}
	snapshot_diff_fini(&d);
	return r;
}

static int adopt(struct snapshot_op *op, struct err *e)
{
	struct snapshot_meta m;
	int r = snapshot_adopt(op->c->dir, op->order.what, &m, e);

	if (!r) {
		op->set = snapshot_meta_json(&m);
		snprintf(op->text, sizeof(op->text),
			 "snapshot %s (%s) of %s imported", m.name, m.id,
			 m.created);
	}
	snapshot_meta_fini(&m);
	return r;
}

static void *op_main(void *arg)
{
	static int (*const work[])(struct snapshot_op * op, struct err * e) = {
		[OP_CREATE] = take,
		[OP_RESTORE] = restore_or_rewind,
		[OP_REWIND] = restore_or_rewind,
		[OP_DELETE] = delete,
		[OP_CHANGE] = change,
		[OP_PRUNE] = prune,
		[OP_DIFF] = diff,
		[OP_ADOPT] = adopt,
	};
	struct snapshot_op *op = arg;
	int r = work[op->order.kind](op, &op->err);

	if (r && !op->err.code)
		err_sys(&op->err, r, "snapshot");
	if (op->order.kind != OP_REWIND)
		op->list = snapshot_op_list(op->c->dir);
	loop_post(op->c->loop, &op->end_msg);
	return NULL;
}

/* --- the end --------------------------------------------------------- */

static enum problem_code code_of(int error)
{
	switch (error) {
	case -ENOENT:
		return PROBLEM_NOT_FOUND;
	case -EEXIST:
		return PROBLEM_EXISTS;
	case -EINVAL:
	case -ENOTSUP:
	case -E2BIG:
		return PROBLEM_BAD_VALUE;
	case -ESTALE:
	case -EBADMSG:
	case -EPERM:
		return PROBLEM_UNUSABLE;
	case -ECANCELED:
		return PROBLEM_SUPERSEDED;
	case -EIO:
		return PROBLEM_IO_ERROR;
	default:
		return PROBLEM_INTERNAL;
	}
}

static void answer(struct snapshot_op *op, struct call *call,
		   enum vm_state state)
{
	json_t *json;
	char *text;

	if (op->err.code == -EBUSY && op->result.refused) {
		control_answer_wrong_state(call, op->request.command,
					   op->result.state, op->result.help);
		return;
	}
	if (op->err.code) {
		call_problem(call, code_of(op->err.code), "%s", op->err.text);
		return;
	}
	json = json_pack(
		"{s:b, s:s, s:I, s:s, s:O*, s:O*, s:O*}", "changed",
		!op->is_unchanged, "state", vm_state_text(state), "duration_us",
		(json_int_t)((clock_mono_ns() - op->began_ns) / NS_PER_US),
		"text", op->text, "snapshot", op->set, "prune", op->pruned,
		"diff", op->diff);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text)
		buf_puts(&call->body, text);
	buf_puts(&call->body, "\n");
	free(text);
	call_answer(call, 200, "application/json");
}

static void note(struct snapshot_op *op, enum vm_state state)
{
	control_note(
		op->c,
		&(struct event_note){
			.kind = op->err.code ? "snapshot-failed" : "snapshot",
			.state = state,
			.cause = vm_cause_text(VM_CAUSE_COMMAND),
			.actor = control_actor(&op->peer),
			.reason = op->reason,
			.text = op->err.code ? op->err.text : op->text,
			.duration_ns = clock_mono_ns() - op->began_ns,
		});
}

static void op_free(struct snapshot_op *op)
{
	sem_destroy(&op->answered);
	buf_fini(&op->config);
	json_decref(op->set);
	json_decref(op->pruned);
	json_decref(op->diff);
	json_decref(op->list);
	free(op);
}

static void on_end(void *ctx)
{
	struct snapshot_op *op = ctx;
	struct control *c = op->c;
	struct call *call = op->call;
	struct vm_status status;

	if (op->has_thread)
		pthread_join(op->thread, NULL);
	c->snapshot_op = NULL;
	if (c->hooks.op_ended)
		c->hooks.op_ended(c->hooks.ctx);
	if (op->list) {
		json_decref(c->snapshots);
		c->snapshots = json_incref(op->list);
	}
	if (op->err.code)
		c->agent_thaws = false;
	vm_status(c->vm, &status);
	note(op, status.state);
	if (call) {
		answer(op, call, status.state);
		call_finish(call);
	}
	op_free(op);
	layer_op_start(c);
}

/* It goes on; its answer will find nobody. */
static void on_cancel(struct call *call)
{
	call->control->snapshot_op->call = NULL;
	call_problem(call, PROBLEM_ENDING,
		     "the VM ends; what was begun is finished");
	call_finish(call);
}

/* --- the beginning --------------------------------------------------- */

static void take_disk_sizes(struct snapshot_op *op)
{
	struct machine *m = vm_machine(op->c->vm);
	struct disk_info info;
	unsigned int i;

	for (i = 0; m && i < op->c->config->disks; i++) {
		vblk_get_disk(machine_disk(m, i), &info, NULL, 0);
		op->order.take.disk_bytes[i] = info.bytes;
	}
	/* Nothing to be lost, or nothing that could be saved. */
	if (!m)
		op->order.safety = false;
}

int snapshot_op_start(struct call *call, const struct snapshot_op_order *order,
		      struct err *e)
{
	struct control *c = call->control;
	struct snapshot_op *op;

	if (c->dir < 0)
		return err_set(e, -EOPNOTSUPP,
			       "this VM has no directory for snapshots");
	if (c->snapshot_op)
		return err_set(e, -EBUSY,
			       "another operation on snapshots is under way");
	if (order->kind == OP_CREATE && !vm_machine(c->vm))
		return err_set(e, -EBUSY, "the machine is not there yet");
	op = calloc(1, sizeof(*op));
	if (!op)
		return err_sys(e, -ENOMEM, "snapshot");
	op->c = c;
	op->call = call;
	op->order = *order;
	op->peer = call->peer;
	text_copy(op->reason, sizeof(op->reason), call->text);
	op->began_ns = call->began_ns;
	op->submit_msg = (struct loop_msg){ .run = on_submit, .ctx = op };
	op->freeze_msg = (struct loop_msg){ .run = on_freeze, .ctx = op };
	op->end_msg = (struct loop_msg){ .run = on_end, .ctx = op };
	sem_init(&op->answered, 0, 0);
	buf_init(&op->config, CONFIG_BYTES);
	config_to_json(c->config, &op->config);
	op->order.take.config_json = buf_text(&op->config);
	op->order.take.version = AMBER_VERSION;
	take_disk_sizes(op);
	c->snapshot_op = op;
	call->cancel = on_cancel;
	if (!layer_op_cancel(c))
		snapshot_op_go(c);
	return 0;
}

void snapshot_op_go(struct control *c)
{
	struct snapshot_op *op = c->snapshot_op;
	int r;

	if (!op || op->has_thread)
		return;
	r = pthread_create(&op->thread, NULL, op_main, op);
	op->has_thread = !r;
	if (!r)
		return;
	err_sys(&op->err, -r, "a thread for the snapshot");
	loop_post(c->loop, &op->end_msg);
}

void snapshot_op_abandon(struct control *c)
{
	struct snapshot_op *op = c->snapshot_op;

	if (!op)
		return;
	op->is_abandoned = true;
	sem_post(&op->answered);
	if (op->has_thread)
		pthread_join(op->thread, NULL);
	loop_unpost(c->loop, &op->submit_msg);
	loop_unpost(c->loop, &op->freeze_msg);
	loop_unpost(c->loop, &op->end_msg);
	c->snapshot_op = NULL;
	op_free(op);
}

json_t *snapshot_op_list(int dir)
{
	char current[SNAPSHOT_ID_CHARS + 1] = "";
	json_t *all = json_array();
	struct store_list list;
	size_t i;

	if (dir < 0 || store_list(dir, &list, NULL))
		return json_pack("{s:s, s:i, s:o}", "current", "", "damaged", 0,
				 "snapshots", all);
	store_current(dir, current);
	for (i = 0; i < list.count; i++)
		json_array_append_new(all,
				      snapshot_sized_json(dir, &list.set[i]));
	all = json_pack("{s:s, s:I, s:o}", "current", current, "damaged",
			(json_int_t)list.damaged, "snapshots", all);
	store_list_fini(&list);
	return all;
}
