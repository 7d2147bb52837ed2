/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation's insides: snapshot_op.c has its life, snapshot_work.c what its
 * thread does, snapshot_turn.c what the loop does for that.
 */
#ifndef AMBER_CONTROL_SNAPSHOT_OP_PRIVATE_H
#define AMBER_CONTROL_SNAPSHOT_OP_PRIVATE_H

#include <semaphore.h>

#include "base/progress.h"
#include "control/snapshot_op.h"

struct snapshot_op {
	struct control *c;
	struct call *call; /* NULL: nobody waits for it */
	uint64_t id;
	struct progress *progress;		       /* owned */
	bool is_own;				       /* there was no call */
	void (*ended)(void *ctx, const struct err *e); /* or NULL */
	void *ctx;				       /* of that */
	struct snapshot_op_order order;
	struct buf config; /* config.json, for the set */
	struct vm_actor actor;
	char reason[CALL_TEXT_BYTES];
	uint64_t began_ns;
	bool is_begun; /* else it waits for the layers' thread */
	/* OP_CREATE: there is no machine; and its disks are being used. */
	bool is_offline;
	_Atomic bool has_disks;

	/* The VM's turn: what is asked, and what came of it. */
	struct vm_request request;
	struct restore *at_hand; /* the loop rewinds to it; borrowed */
	struct restore *opened;	 /* owned: fit for the next rewind */
	sem_t answered;
	_Atomic bool is_abandoned; /* the agent may have answered before it */
	struct vm_result result;
	char result_text[VM_TEXT_MAX + 1];

	bool thaws;	/* the snapshot gone back to has frozen file systems */
	bool is_frozen; /* they are, now */
	bool may_be_frozen; /* the loop's: to be thawed */
	struct err agent_err;

	struct loop_msg submit_msg, freeze_msg, end_msg, disks_msg;

	/* The outcome, for the loop. */
	struct err err;
	char text[VM_TEXT_MAX + 1];
	char warning[VM_TEXT_MAX + 1]; /* "": there is none */
	json_t *set; /* of the snapshot that was taken or gone back to */
	json_t *pruned, *diff; /* docs/api.md */
	json_t *list;	       /* all there are now */
	bool is_unchanged;
};

/* --- snapshot_turn.c, for the thread: the loop does it, the thread waits - */

/* -ECANCELED: somebody has ended it. */
int snapshot_op_is_wanted(struct snapshot_op *op, struct err *e);
/* The guest's file systems are consistent on its disks, until ask_vm(). */
int snapshot_op_freeze(struct snapshot_op *op, struct err *e);
/* Its disks are not used any more: the VM may be started. */
void snapshot_op_disks_free(struct snapshot_op *op);
/* op->request; 0 when the VM has done it. */
int snapshot_op_ask_vm(struct snapshot_op *op, struct err *e);
/* What it has said. */
int snapshot_op_answer(const struct snapshot_op *op, struct err *e);

/* --- and for the loop -------------------------------------------------- */

void snapshot_turn_init(struct snapshot_op *op);
/* op->request, without the thread: snapshot_again_answered() follows. */
void snapshot_turn_begin(struct snapshot_op *op);
/* File systems that are frozen, or may be, are not. */
void snapshot_turn_thaw(struct snapshot_op *op);
/* The loop ends before it comes to what it was asked. */
void snapshot_turn_abandon(struct snapshot_op *op);

/* --- snapshot_work.c ------------------------------------------------------ */

/* What was ordered; the outcome is in op. On the thread. */
int snapshot_work(struct snapshot_op *op, struct err *e);
/* What the VM is asked for to go back to r, and what is said then. */
void snapshot_work_request(struct snapshot_op *op, struct restore *r);
void snapshot_work_describe(struct snapshot_op *op, const struct restore *r);

/* --- snapshot_again.c: the loop's ---------------------------------------- */

/* True: it has begun, on what is at hand. False: the thread has to do it. */
bool snapshot_again(struct snapshot_op *op);
/* Its answer has come: the outcome is in op. */
void snapshot_again_answered(struct snapshot_op *op);
/* It has ended: what it has opened is at hand for the next. */
void snapshot_again_keep(struct snapshot_op *op);
void snapshot_again_drop(struct control *c);

#endif
