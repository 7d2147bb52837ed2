/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that takes unused layers away, and what the loop does for it.
 * INV-1: a disk's merge is begun only while the VM runs; what is to find a
 * disk unchanged flushes it, which ends the merge (devices/vblk.h).
 */
#include "control/layer_op.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/snapshot_op.h"
#include "snapshot/tidy.h"
#include "vmm/machine.h"

struct layer_op {
	struct control *c;
	pthread_t thread;
	uint64_t began_ns;
	_Atomic bool is_cancelled;
	struct loop_msg begin_msg, end_msg;

	/* The disk's turn: which, and what came of it. */
	struct layer_map map; /* owned, from look to look */
	struct tidy_merge merge;
	int disk; /* the loop's: that merges; -1: none */
	sem_t answered;
	struct err answer;

	/* The outcome, for the loop. */
	struct tidy_done done;
	struct err err;
};

/* --- the disk's turn ------------------------------------------------- */

static void on_over(void *ctx, const struct err *e)
{
	struct layer_op *op = ctx;

	op->answer = *e;
	sem_post(&op->answered);
}

static int begin(struct layer_op *op, struct err *e)
{
	const struct vblk_merge merge = { op->merge.st.st_dev,
					  op->merge.st.st_ino, on_over, op };
	struct machine *m = vm_machine(op->c->vm);
	struct vm_status status;

	vm_status(op->c->vm, &status);
	if (atomic_load(&op->is_cancelled))
		return err_set(e, -ECANCELED, "cancelled");
	if (!m || status.state != VM_RUNNING)
		return err_set(e, -EAGAIN, "the VM does not run");
	op->disk = op->merge.disk;
	return vblk_begin_merge(machine_disk(m, (unsigned int)op->disk), &merge,
				e);
}

static void on_begin(void *ctx)
{
	struct layer_op *op = ctx;
	struct err e = ERR_NONE;

	if (begin(op, &e))
		on_over(op, &e);
}

static int merge_at_work(struct layer_op *op, struct err *e)
{
	loop_post(op->c->loop, &op->begin_msg);
	while (sem_wait(&op->answered) < 0)
		;
	if (op->answer.code)
		*e = op->answer;
	return op->answer.code;
}

/* --- the thread ------------------------------------------------------ */

static int is_over(void *ctx, unsigned int permille)
{
	struct layer_op *op = ctx;

	(void)permille;
	return atomic_load(&op->is_cancelled);
}

static int merge_next(struct layer_op *op, struct err *e)
{
	int r;

	if (atomic_load(&op->is_cancelled) || !tidy_next(&op->map, &op->merge))
		return 0;
	r = op->merge.disk >= 0 ? merge_at_work(op, e)
				: tidy_merge(&op->merge, is_over, op, e);
	if (r)
		return r;
	op->done.merged++;
	return 1;
}

/* 1: go on, 0: there is nothing more to do. */
static int look(struct layer_op *op, struct err *e)
{
	int r = layer_map_read(&op->map, op->c->dir, op->c->config, e);

	if (!r)
		r = tidy_remove(&op->map, &op->done, e);
	if (!r)
		r = merge_next(op, e);
	layer_map_fini(&op->map);
	return r;
}

static void *op_main(void *arg)
{
	struct layer_op *op = arg;
	int r;

	pthread_setname_np(pthread_self(), "layers");
	do
		r = look(op, &op->err);
	while (r > 0);
	loop_post(op->c->loop, &op->end_msg);
	return NULL;
}

/* --- the end --------------------------------------------------------- */

static void note(struct control *c, const struct layer_op *op, const char *text)
{
	control_note_own(c, "layers", text, clock_mono_ns() - op->began_ns);
}

/* The same trouble is told once. */
static void note_trouble(struct control *c, const struct layer_op *op)
{
	const char *text = op->err.code ? op->err.text : op->done.why;

	if (op->err.code == -ECANCELED || op->err.code == -EAGAIN ||
	    !strcmp(c->layer_trouble, text))
		return;
	memcpy(c->layer_trouble, text, strlen(text) + 1);
	if (*text)
		note(c, op, text);
}

static void op_free(struct layer_op *op)
{
	sem_destroy(&op->answered);
	free(op);
}

static void on_end(void *ctx)
{
	struct layer_op *op = ctx;
	struct control *c = op->c;
	char text[VM_TEXT_MAX + 1];

	pthread_join(op->thread, NULL);
	c->layer_op = NULL;
	tidy_describe(&op->done, text, sizeof(text));
	if (op->done.removed)
		note(c, op, text);
	note_trouble(c, op);
	op_free(op);
	snapshot_op_go(c);
}

/* --- for others ------------------------------------------------------ */

void layer_op_start(struct control *c)
{
	struct layer_op *op;

	if (c->layer_op || c->snapshot_op || c->is_ending ||
	    !unused_exists(c->dir))
		return;
	op = calloc(1, sizeof(*op));
	if (!op)
		return; /* the next time will do */
	op->c = c;
	op->disk = -1;
	op->began_ns = clock_mono_ns();
	op->begin_msg = (struct loop_msg){ .run = on_begin, .ctx = op };
	op->end_msg = (struct loop_msg){ .run = on_end, .ctx = op };
	sem_init(&op->answered, 0, 0);
	if (pthread_create(&op->thread, NULL, op_main, op))
		op_free(op);
	else
		c->layer_op = op;
}

bool layer_op_cancel(struct control *c)
{
	struct layer_op *op = c->layer_op;
	struct machine *m = vm_machine(c->vm);

	if (!op)
		return false;
	atomic_store(&op->is_cancelled, true);
	if (m && op->disk >= 0)
		vblk_cancel_merge(machine_disk(m, (unsigned int)op->disk));
	return true;
}

json_t *layer_op_progress(struct control *c)
{
	struct machine *m = vm_machine(c->vm);
	struct vblk_stats stats;
	int disk = c->layer_op ? c->layer_op->disk : -1;

	if (!m || disk < 0)
		return NULL;
	vblk_get_stats(machine_disk(m, (unsigned int)disk), &stats);
	if (!stats.merge_bytes)
		return NULL;
	return json_pack("{s:s, s:I, s:I}", "disk", c->config->disk[disk].id,
			 "done", (json_int_t)stats.merge_done, "bytes",
			 (json_int_t)stats.merge_bytes);
}

void layer_op_abandon(struct control *c)
{
	struct layer_op *op = c->layer_op;

	if (!op)
		return;
	atomic_store(&op->is_cancelled, true);
	sem_post(&op->answered);
	pthread_join(op->thread, NULL);
	loop_unpost(c->loop, &op->begin_msg);
	loop_unpost(c->loop, &op->end_msg);
	c->layer_op = NULL;
	op_free(op);
}
