/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers about operations. Loop thread. INV-1: a call is in the list exactly
 * while it is open.
 */
#include "base/clock.h"
#include "control/api.h"
#include "control/control.h"
#include "control/snapshot_op.h"

static const struct op_record *find(struct call *call)
{
	uint64_t id = call_number(call, "id", 0);
	const struct op_record *op = ops_find(call->control, id);

	if (!op)
		call_problem(call, PROBLEM_NOT_FOUND,
			     "there is no operation %llu: GET /v1/ops lists "
			     "what there is",
			     (unsigned long long)id);
	return op;
}

void api_ops(struct call *call)
{
	struct control *c = call->control;
	json_t *all = json_array();
	const struct op_record *op;
	uint64_t id;

	for (id = c->ops.last; id && (op = ops_find(c, id)) != NULL; id--)
		json_array_append_new(all, ops_json(c, op));
	call_answer_json(call, 200, json_pack("{s:o}", "ops", all));
}

/* --- one of them ------------------------------------------------------- */

static void answer_op(struct call *call)
{
	const struct op_record *op = find(call);

	if (op)
		call_answer_json(call, 200, ops_json(call->control, op));
}

static void end_wait(struct call *call)
{
	call_list_remove(&call->control->ops.calls, call);
	answer_op(call);
	call_finish(call);
}

static void on_expired(void *ctx)
{
	end_wait(ctx);
}

void api_op(struct call *call)
{
	const struct op_record *op = find(call);
	uint64_t wait_ns = call_number(call, "wait", 0) * NS_PER_S +
			   call_number(call, "wait_ms", 0) * NS_PER_MS;
	struct control *c = call->control;

	if (!op)
		return;
	if (op->state != OP_RUNNING || !wait_ns || c->is_ending) {
		answer_op(call);
		return;
	}
	call->cancel = end_wait;
	call_list_add(&c->ops.calls, call);
	loop_arm(c->loop, &call->timer, wait_ns, on_expired, call);
}

void control_op_ended(struct control *c)
{
	struct call *call = c->ops.calls, *next;
	const struct op_record *op;

	for (; call; call = next) {
		next = call->next;
		op = ops_find(c, call_number(call, "id", 0));
		if (!op || op->state != OP_RUNNING || c->is_ending)
			end_wait(call);
	}
}

void api_op_cancel(struct call *call)
{
	const struct op_record *op = find(call);

	if (!op)
		return;
	if (op->state == OP_RUNNING)
		snapshot_op_cancel(call->control);
	answer_op(call);
}

void api_op_begun(struct call *call, uint64_t id)
{
	const struct op_record *op = ops_find(call->control, id);

	call_set_header_text(call, "Location", "/v1/ops/%llu",
			     (unsigned long long)id);
	call_answer_json(call, 202, ops_json(call->control, op));
}
