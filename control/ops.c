/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of records. Loop thread. */
#include "control/ops.h"

#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "control/control.h"
#include "control/snapshot_op.h"

void ops_init(struct ops *ops)
{
	*ops = (struct ops){ .last = 0 };
}

void ops_fini(struct ops *ops)
{
	unsigned int i;

	for (i = 0; i < OPS_KEPT; i++)
		json_decref(ops->record[i].answer);
	ops_init(ops);
}

uint64_t ops_begin(struct control *c, const char *kind)
{
	uint64_t id = ++c->ops.last;
	struct op_record *op = &c->ops.record[id % OPS_KEPT];

	json_decref(op->answer);
	*op = (struct op_record){
		.id = id,
		.kind = kind,
		.began_wall_ns = clock_wall_ns(),
		.began_ns = clock_mono_ns(),
	};
	return id;
}

const struct op_record *ops_find(const struct control *c, uint64_t id)
{
	const struct op_record *op = &c->ops.record[id % OPS_KEPT];

	return id && op->id == id ? op : NULL;
}

static struct op_record *end(struct control *c, uint64_t id,
			     enum op_state state)
{
	struct op_record *op = &c->ops.record[id % OPS_KEPT];

	op->state = state;
	op->ended_ns = clock_mono_ns();
	return op;
}

void ops_done(struct control *c, uint64_t id, json_t *answer)
{
	end(c, id, OP_DONE)->answer = json_incref(answer);
	control_op_ended(c);
}

void ops_failed(struct control *c, uint64_t id, enum problem_code code,
		const char *text)
{
	struct op_record *op = end(c, id, OP_FAILED);

	op->code = code;
	utf8_copy_printable(op->text, sizeof(op->text), text);
	control_op_ended(c);
}

json_t *ops_json(struct control *c, const struct op_record *op)
{
	static const char *const states[] = { "running", "done", "failed" };
	uint64_t until =
		op->state == OP_RUNNING ? clock_mono_ns() : op->ended_ns;
	json_t *progress = NULL, *error = NULL;
	char began[32];

	if (op->state == OP_RUNNING)
		progress = snapshot_op_progress(c);
	if (op->state == OP_FAILED)
		error = json_pack("{s:s, s:s}", "code",
				  problem_row(op->code)->code, "detail",
				  op->text);
	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:o*, s:O*, s:o*}", "id",
			 (json_int_t)op->id, "kind", op->kind, "state",
			 states[op->state], "began",
			 clock_rfc3339(op->began_wall_ns, began), "duration_us",
			 (json_int_t)((until - op->began_ns) / NS_PER_US),
			 "progress", progress, "answer", op->answer, "error",
			 error);
}
