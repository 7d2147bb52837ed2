/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loop does for the thread of an operation, which waits for it: the
 * guest's file systems frozen and thawed, the VM's turn, its disks let go.
 */
#include <string.h>

#include "base/clock.h"
#include "base/hand.h"
#include "control/agent.h"
#include "control/limits.h"
#include "control/snapshot_op_private.h"
#include "control/text.h"

static void on_thawed(void *ctx, const json_t *ret, const struct err *e)
{
	(void)ctx;
	(void)ret;
	(void)e; /* the next one finds them frozen, and says so */
}

void snapshot_turn_thaw(struct snapshot_op *op)
{
	if (!op->may_be_frozen || !op->c->agent)
		return;
	op->may_be_frozen = false;
	agent_thaw(op->c->agent, LIMIT_AGENT_FREEZE_MS * NS_PER_MS, on_thawed,
		   NULL);
}

static void on_answer(void *ctx, const struct vm_result *result)
{
	struct snapshot_op *op = ctx;

	snapshot_turn_thaw(op);
	op->result = *result;
	text_copy(op->result_text, sizeof(op->result_text), result->text);
	if (op->at_hand) {
		snapshot_again_answered(op);
		loop_post(op->c->loop, &op->end_msg);
		return;
	}
	sem_post(&op->answered);
	if (op->order.kind == OP_REWIND) /* little is left to do */
		loop_expect(op->c->loop, HAND_LOOK_NS);
}

static void expect_answer(struct snapshot_op *op)
{
	op->request.actor = op->actor;
	memcpy(op->request.reason, op->reason, sizeof(op->request.reason));
	op->request.done = on_answer;
	op->request.ctx = op;
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
	/* It may still do what it has not answered in time. */
	op->may_be_frozen = !e || e->code == -ETIMEDOUT;
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

int snapshot_op_is_wanted(struct snapshot_op *op, struct err *e)
{
	return progress_add(op->progress, 0)
		       ? err_set(e, -ECANCELED, "cancelled")
		       : 0;
}

static void on_disks_free(void *ctx)
{
	struct snapshot_op *op = ctx;

	control_disks_free(op->c);
}

void snapshot_op_disks_free(struct snapshot_op *op)
{
	op->has_disks = false;
	loop_post(op->c->loop, &op->disks_msg);
}

int snapshot_op_freeze(struct snapshot_op *op, struct err *e)
{
	int r = wait_for_loop(op, &op->freeze_msg, e);

	if (r || op->is_frozen)
		return r;
	return err_set(e, op->agent_err.code,
		       "the guest's file systems can't be frozen: %.300s",
		       op->agent_err.text);
}

void snapshot_turn_begin(struct snapshot_op *op)
{
	expect_answer(op);
	on_submit(op);
}

int snapshot_op_ask_vm(struct snapshot_op *op, struct err *e)
{
	int r = snapshot_op_is_wanted(op, e);

	if (r)
		return r;
	expect_answer(op);
	r = wait_for_loop(op, &op->submit_msg, e);
	return r ? r : snapshot_op_answer(op, e);
}

int snapshot_op_answer(const struct snapshot_op *op, struct err *e)
{
	const char *text = op->result_text;

	if (op->result.refused)
		return err_set(e, -EBUSY, "not while the VM is %s",
			       vm_state_text(op->result.state));
	if (op->result.error)
		return err_set(e, op->result.error, "%s",
			       *text ? text
				     : strerrordesc_np(-op->result.error));
	return 0;
}

void snapshot_turn_init(struct snapshot_op *op)
{
	op->submit_msg = (struct loop_msg){ .run = on_submit, .ctx = op };
	op->freeze_msg = (struct loop_msg){ .run = on_freeze, .ctx = op };
	op->disks_msg = (struct loop_msg){ .run = on_disks_free, .ctx = op };
	sem_init(&op->answered, 0, 0);
}

void snapshot_turn_abandon(struct snapshot_op *op)
{
	loop_unpost(op->c->loop, &op->submit_msg);
	loop_unpost(op->c->loop, &op->freeze_msg);
	loop_unpost(op->c->loop, &op->disks_msg);
}
