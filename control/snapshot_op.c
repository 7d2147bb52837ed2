/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation from its beginning to its answer. INV-1: while its thread
 * waits for the VM, the VM's worker may use what it has.
 */
#include "control/snapshot_op_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hand.h"
#include "control/api.h"
#include "control/config_json.h"
#include "control/layer_op.h"
#include "control/text.h"
#include "control/version.h"
#include "snapshot/size.h"
#include "vmm/machine.h"

#define STACK_BYTES (8u << 20)

#define CONFIG_BYTES (1u << 20)

/* --- the thread ------------------------------------------------------ */

static void op_main(void *arg)
{
	struct snapshot_op *op = arg;
	int r = snapshot_work(op, &op->err);

	if (r && !op->err.code)
		err_sys(&op->err, r, "snapshot");
	if (op->order.kind != OP_REWIND)
		op->list = snapshot_op_list(op->c->dir);
	loop_post(op->c->loop, &op->end_msg);
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
	case -ELOOP: /* too many layers */
	case -EBADMSG:
	case -EPERM:
		return PROBLEM_UNUSABLE;
	case -ECANCELED:
		return PROBLEM_SUPERSEDED;
	case -ETIME:
		return PROBLEM_PAUSE_TOO_LONG;
	case -EDQUOT:
		return PROBLEM_QUOTA;
	case -EIO:
		return PROBLEM_IO_ERROR;
	default:
		return PROBLEM_INTERNAL;
	}
}

static json_t *answer_json(const struct snapshot_op *op, enum vm_state state)
{
	return json_pack(
		"{s:b, s:s, s:I, s:s, s:s*, s:O*, s:O*, s:O*}", "changed",
		!op->is_unchanged, "state", vm_state_text(state), "duration_us",
		(json_int_t)((clock_mono_ns() - op->began_ns) / NS_PER_US),
		"text", op->text, "warning", *op->warning ? op->warning : NULL,
		"snapshot", op->set, "prune", op->pruned, "diff", op->diff);
}

static void answer(struct snapshot_op *op, struct call *call, json_t *json)
{
	if (op->err.code == -EBUSY && op->result.refused) {
		control_answer_wrong_state(call, op->request.command,
					   op->result.state, op->result.help);
		return;
	}
	if (op->err.code) {
		call_problem(call, code_of(op->err.code), "%s", op->err.text);
		return;
	}
	call_answer_json(call, 200, json_incref(json));
}

/* To who waits for it, and for who asks later. */
static void tell(struct snapshot_op *op, enum vm_state state)
{
	json_t *json = op->err.code ? NULL : answer_json(op, state);

	if (op->call) {
		answer(op, op->call, json);
		call_finish(op->call);
	}
	if (op->err.code)
		ops_failed(op->c, op->id, code_of(op->err.code), op->err.text);
	else
		ops_done(op->c, op->id, json);
	json_decref(json);
}

static void warn(struct snapshot_op *op, enum vm_state state)
{
	if (*op->warning)
		control_note(op->c,
			     &(struct event_note){
				     .kind = "snapshot-quota",
				     .state = state,
				     .cause = vm_cause_text(VM_CAUSE_NONE),
				     .actor = op->actor,
				     .reason = "",
				     .text = op->warning,
			     });
}

static void note(struct snapshot_op *op, enum vm_state state)
{
	if (op->is_own && op->is_unchanged && !op->err.code)
		return;
	control_note(
		op->c,
		&(struct event_note){
			.kind = op->err.code ? "snapshot-failed" : "snapshot",
			.state = state,
			.cause = vm_cause_text(VM_CAUSE_COMMAND),
			.actor = op->actor,
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
	restore_close(op->opened);
	progress_destroy(op->progress);
	free(op);
}

/* A child has had it. */
static bool has_shared_memory(const struct snapshot_op *op)
{
	return op->order.kind == OP_CREATE && !op->is_offline &&
	       op->order.take.kind != SNAPSHOT_DISK && vm_machine(op->c->vm);
}

static void on_end(void *arg)
{
	struct snapshot_op *op = arg;
	struct control *c = op->c;
	void (*ended)(void *ctx, const struct err *e) = op->ended;
	void *ctx = op->ctx;
	struct vm_status status;
	struct err err;

	snapshot_turn_thaw(op); /* it did not come to its turn */
	c->snapshot_op = NULL;
	loop_expect(c->loop, 0);
	snapshot_again_keep(op);
	if (c->hooks.op_ended)
		c->hooks.op_ended(c->hooks.ctx);
	if (op->list) {
		json_decref(c->snapshots);
		c->snapshots = json_incref(op->list);
	}
	if (op->err.code)
		c->agent_thaws = false;
	else if (has_shared_memory(op))
		machine_gather_memory(vm_machine(c->vm));
	vm_status(c->vm, &status);
	note(op, status.state);
	warn(op, status.state);
	tell(op, status.state);
	err = op->err;
	op_free(op);
	if (ended)
		ended(ctx, &err);
	control_disks_free(c);
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

static const char *const kinds[] = {
	[OP_CREATE] = "create", [OP_RESTORE] = "restore",
	[OP_REWIND] = "rewind", [OP_DELETE] = "delete",
	[OP_CHANGE] = "change", [OP_PRUNE] = "prune",
	[OP_DIFF] = "diff",	[OP_ADOPT] = "adopt",
};

/* One that stands already does not stand longer for it. */
static void allow_pause(struct snapshot_op *op)
{
	struct vm_status status;

	vm_status(op->c->vm, &status);
	if (status.state != VM_RUNNING)
		op->order.take.max_pause_ns = 0;
}

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

/* Its disks are nobody's, and will be until this operation is over. */
static bool is_stopped(const struct control *c)
{
	struct vm_status status;

	vm_status(c->vm, &status);
	return !status.will_start &&
	       (status.state == VM_STOPPED || status.state == VM_DEFINED);
}

bool snapshot_op_has_disks(const struct control *c)
{
	return c->snapshot_op && c->snapshot_op->has_disks;
}

static int check_start(const struct control *c,
		       const struct snapshot_op_order *order, struct err *e)
{
	if (c->dir < 0)
		return err_set(e, -EOPNOTSUPP,
			       "this VM has no directory for snapshots");
	if (c->snapshot_op)
		return err_set(e, -EBUSY,
			       "another operation on snapshots is under way");
	if (order->kind == OP_CREATE && !vm_machine(c->vm) && !is_stopped(c))
		return err_set(e, -EBUSY,
			       "the VM is being started or ended: try again "
			       "when it runs, or is stopped");
	return 0;
}

static int prepare(struct snapshot_op **out, struct control *c,
		   const struct snapshot_op_order *order, struct err *e)
{
	int r = check_start(c, order, e);
	struct snapshot_op *op;

	if (r)
		return r;
	op = calloc(1, sizeof(*op));
	if (!op)
		return err_sys(e, -ENOMEM, "snapshot");
	op->progress = progress_create();
	op->c = c;
	op->order = *order;
	snapshot_turn_init(op);
	op->end_msg = (struct loop_msg){ .run = on_end, .ctx = op };
	buf_init(&op->config, CONFIG_BYTES);
	if (order->kind != OP_REWIND) {
		config_to_json(c->config, &op->config);
		op->order.take.config_json = buf_text(&op->config);
	}
	op->order.take.version = AMBER_VERSION;
	op->order.take.progress = op->progress;
	take_disk_sizes(op);
	op->is_offline = order->kind == OP_CREATE && !vm_machine(c->vm);
	op->has_disks = op->is_offline;
	allow_pause(op);
	*out = op;
	return 0;
}

static void begin(struct snapshot_op *op)
{
	op->c->snapshot_op = op;
	op->id = ops_begin(op->c, kinds[op->order.kind]);
	if (snapshot_again(op)) {
		snapshot_turn_begin(op);
		return;
	}
	snapshot_again_drop(op->c);
	if (!layer_op_cancel(op->c))
		snapshot_op_go(op->c);
}

int snapshot_op_start(struct call *call, const struct snapshot_op_order *order,
		      struct err *e)
{
	struct snapshot_op *op;
	int r = prepare(&op, call->control, order, e);

	if (r)
		return r;
	op->actor = control_actor(&call->peer);
	text_copy(op->reason, sizeof(op->reason), call->text);
	op->began_ns = call->began_ns;
	if (!order->background) {
		op->call = call;
		call->cancel = on_cancel;
	}
	begin(op);
	if (order->background)
		api_op_begun(call, op->id);
	return 0;
}

int snapshot_op_begin(struct control *c, const struct snapshot_op_asker *asker,
		      const struct snapshot_op_order *order, struct err *e)
{
	struct snapshot_op *op;
	int r = prepare(&op, c, order, e);

	if (r)
		return r;
	op->is_own = true;
	op->actor = asker->actor;
	op->ended = asker->ended;
	op->ctx = asker->ctx;
	text_copy(op->reason, sizeof(op->reason), asker->reason);
	op->began_ns = clock_mono_ns();
	begin(op);
	return 0;
}

void snapshot_op_go(struct control *c)
{
	struct snapshot_op *op = c->snapshot_op;

	if (!op || op->is_begun || op->at_hand)
		return;
	op->is_begun = true;
	if (c->hand || !hand_create(&c->hand, STACK_BYTES, &op->err))
		hand_give(c->hand, op_main, op);
	else
		loop_post(c->loop, &op->end_msg);
}

void snapshot_op_cancel(struct control *c)
{
	if (c->snapshot_op)
		progress_cancel(c->snapshot_op->progress);
}

json_t *snapshot_op_progress(struct control *c)
{
	const struct snapshot_op *op = c->snapshot_op;

	if (!op || !op->progress || !op->progress->total)
		return NULL;
	return json_pack("{s:I, s:I}", "done", (json_int_t)op->progress->done,
			 "total", (json_int_t)op->progress->total);
}

void snapshot_op_abandon(struct control *c)
{
	struct snapshot_op *op = c->snapshot_op;

	if (op) {
		op->is_abandoned = true;
		sem_post(&op->answered);
	}
	hand_destroy(c->hand); /* what it was given is done then */
	c->hand = NULL;
	snapshot_again_drop(c);
	if (!op)
		return;
	snapshot_turn_abandon(op);
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
