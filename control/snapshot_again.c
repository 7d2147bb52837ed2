/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Once more to the snapshot that the last rewind went to: it was read, and
 * doesn't change, so the loop asks the VM at once, without files and without
 * the thread. INV-1: any other operation drops it first, so that it is what
 * the thread would find.
 */
#include <string.h>

#include "control/snapshot_op_private.h"
#include "control/text.h"

bool snapshot_again(struct snapshot_op *op)
{
	struct control *c = op->c;

	if (op->order.kind != OP_REWIND || !c->at_hand ||
	    strcmp(op->order.what, c->at_hand_what) != 0)
		return false;
	op->at_hand = c->at_hand;
	snapshot_work_request(op, op->at_hand);
	return true;
}

void snapshot_again_answered(struct snapshot_op *op)
{
	if (!snapshot_op_answer(op, &op->err))
		snapshot_work_describe(op, op->at_hand);
}

void snapshot_again_keep(struct snapshot_op *op)
{
	struct control *c = op->c;

	if (op->err.code) /* it is looked at anew */
		snapshot_again_drop(c);
	if (!op->opened)
		return;
	c->at_hand = op->opened; /* the one before was dropped */
	op->opened = NULL;
	text_copy(c->at_hand_what, sizeof(c->at_hand_what), op->order.what);
}

void snapshot_again_drop(struct control *c)
{
	restore_close(c->at_hand);
	c->at_hand = NULL;
}
