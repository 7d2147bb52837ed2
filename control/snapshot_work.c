/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the thread of an operation does: a sequence of calls of the snapshot
 * layer, with the VM's turn in the middle. INV-1: it touches of the control
 * plane only what never changes: directory and configuration.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/snapshot_op_private.h"
#include "control/text.h"
#include "snapshot/changed.h"
#include "snapshot/diff.h"
#include "snapshot/import.h"
#include "snapshot/quota.h"
#include "snapshot/remove.h"
#include "snapshot/verify.h"

/* --- taking -------------------------------------------------------- */

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

/* It stays, should it be damaged: somebody may want to look. */
static int verify_taken(const struct snapshot_op *op,
			const struct snapshot_meta *m, struct err *e)
{
	struct verify_figures figures;
	int r = snapshot_verify(op->c->dir, op->c->config, m, &figures, e);

	return r ? err_prefix(e, "snapshot %s (%s) was taken, but", m->name,
			      m->id)
		 : 0;
}

/* Nobody has the disks: commands that would wait for the end of this. */
static int take_offline(struct snapshot_op *op, struct err *e)
{
	const struct vm_config *config = op->c->config;
	struct snapshot_meta m = { .disks = 0 };
	bool changed = true;
	int r = 0;

	if (op->order.changed)
		r = snapshot_disks_changed(op->c->dir, config, &changed, e);
	if (!r && !changed) {
		op->is_unchanged = true;
		text_copy(op->text, sizeof(op->text),
			  "no disk has changed since the current snapshot");
		return 0;
	}
	if (!r)
		r = snapshot_offline(op->c->dir, config, &op->order.take, &m,
				     e);
	snapshot_op_disks_free(op);
	if (!r) {
		op->set = snapshot_meta_json(&m);
		snprintf(op->text, sizeof(op->text),
			 "snapshot %s (%s): disks only", m.name, m.id);
	}
	if (!r && op->order.verify)
		r = verify_taken(op, &m, e);
	snapshot_meta_fini(&m);
	return r;
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
		r = snapshot_op_freeze(op, e);
	if (!r)
		r = snapshot_op_ask_vm(op, e);
	if (!r)
		r = snapshot_finish(t, op->result.duration_ns, e);
	if (!r)
		describe_taken(op, t);
	if (!r && op->order.verify)
		r = verify_taken(op, snapshot_taken(t), e);
	snapshot_end(t);
	return r;
}

static int create(struct snapshot_op *op, struct err *e)
{
	int r = op->is_offline ? take_offline(op, e) : take(op, e);

	if (!r)
		quota_warning(op->c->dir, op->c->config, op->warning,
			      sizeof(op->warning));
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
	op->order.take.is_safety = true;
	op->order.quiesce = false;
	op->order.verify = false;
	r = take(op, e);
	json_decref(op->set);
	op->set = NULL;
	return r ? err_prefix(e, "the snapshot before (safety)") : 0;
}

void snapshot_work_describe(struct snapshot_op *op, const struct restore *r)
{
	const char *verb =
		op->order.kind == OP_REWIND ? "rewound to" : "restored";
	const struct snapshot_meta *m = restore_meta(r);

	op->set = snapshot_meta_json(m);
	snprintf(op->text, sizeof(op->text), "%s snapshot %s (%s) of %s", verb,
		 m->name, m->id, m->created);
}

void snapshot_work_request(struct snapshot_op *op, struct restore *r)
{
	bool rewinds = op->order.kind == OP_REWIND;

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
}

static int go_back(struct snapshot_op *op, struct restore *r, struct err *e)
{
	bool rewinds = op->order.kind == OP_REWIND;
	int error = rewinds ? rewind_prepare(r, e) : restore_try(r, e);

	if (!error && !rewinds)
		error = take_safety(op, e);
	if (error)
		return error;
	snapshot_work_request(op, r);
	error = snapshot_op_ask_vm(op, e);
	if (!error)
		snapshot_work_describe(op, r);
	return error;
}

/* With disks there is something to be made, and freed, each time. */
static bool is_fit_for_more(const struct snapshot_op *op)
{
	return op->order.kind == OP_REWIND && !op->c->config->disks;
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
	if (!error && is_fit_for_more(op))
		op->opened = r;
	else
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
			      op->order.with, op->progress, e);

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

int snapshot_work(struct snapshot_op *op, struct err *e)
{
	static int (*const work[])(struct snapshot_op * op, struct err * e) = {
		[OP_CREATE] = create,
		[OP_RESTORE] = restore_or_rewind,
		[OP_REWIND] = restore_or_rewind,
		[OP_DELETE] = delete,
		[OP_CHANGE] = change,
		[OP_PRUNE] = prune,
		[OP_DIFF] = diff,
		[OP_ADOPT] = adopt,
	};

	int r = snapshot_op_is_wanted(op, e);

	return r ? r : work[op->order.kind](op, e);
}
