/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on snapshots that takes long, one at a time per VM: on a thread of its
 * own, which asks the loop for the VM's moment in the middle of it.
 *
 *   loop     start ---------> submit ---> [vm: moment, on its worker] --> end
 *   thread     make ready --^        ^-- waits        finish, publish --^
 *
 * Functions are the loop's.
 */
#ifndef AMBER_CONTROL_SNAPSHOT_OP_H
#define AMBER_CONTROL_SNAPSHOT_OP_H

#include "control/control.h"
#include "snapshot/change.h"
#include "snapshot/prune_store.h"
#include "snapshot/restore.h"
#include "snapshot/take.h"

enum snapshot_op_kind {
	OP_CREATE, /* names: snapshot_op.c */
	OP_RESTORE,
	OP_REWIND,
	OP_DELETE,
	OP_CHANGE,
	OP_PRUNE,
	OP_DIFF,
	OP_ADOPT
};

/* What is asked for; copied. */
struct snapshot_op_order {
	enum snapshot_op_kind kind;
	struct snapshot_order take; /* OP_CREATE, and of the safety before */
	char what[SNAPSHOT_NAME_MAX + 1]; /* name or ID; "": the current one */
	enum restore_part part;		  /* OP_RESTORE */
	char disk[DEVICE_ID_MAX + 1];	  /* of that part; "": all */
	char with[SNAPSHOT_NAME_MAX + 1]; /* OP_DIFF: the other one */
	bool background; /* its call is answered at once: 202 */
	bool paused, safety, force;
	bool children; /* OP_DELETE */
	bool quiesce;  /* OP_CREATE: file systems frozen by the agent */
	bool verify;   /* OP_CREATE: it is read again, and checked */
	bool changed;  /* OP_CREATE without a machine: only if a disk has */
	struct snapshot_change change; /* OP_CHANGE */
	struct prune_order prune;      /* OP_PRUNE */
};

/*
 * Begins; the call is answered at its end. Errors: -EBUSY (one is under way),
 * -EOPNOTSUPP (the VM has no directory), -ENOMEM. The merging of layers that
 * is under way is ended before, and goes on afterwards.
 */
int snapshot_op_start(struct call *call, const struct snapshot_op_order *order,
		      struct err *e);

/* Who has something done without a call: a policy. */
struct snapshot_op_asker {
	struct vm_actor actor;
	const char *reason; /* copied */
	/* It has ended, as the last thing of it: another one may begin. e:
	 * its code is 0 if all went well. Not called when it is abandoned. */
	void (*ended)(void *ctx, const struct err *e);
	void *ctx;
};

/* The same; a prune that removes nothing is no event. */
int snapshot_op_begin(struct control *c, const struct snapshot_op_asker *asker,
		      const struct snapshot_op_order *order, struct err *e);

/* Layers are no longer merged: the one that waits for that begins. */
void snapshot_op_go(struct control *c);

/* The disks of a VM without a machine are being worked on. */
bool snapshot_op_has_disks(const struct control *c);

/* What is under way ends early, if it still can: -ECANCELED. */
void snapshot_op_cancel(struct control *c);
/* {"done", "total"} bytes; NULL: nothing is under way, or can be told. */
json_t *snapshot_op_progress(struct control *c);

/* The VM is gone: what is under way ends in vain. */
void snapshot_op_abandon(struct control *c);

/* All snapshots in a VM's directory as JSON; dir -1: none. */
json_t *snapshot_op_list(int dir);

#endif
