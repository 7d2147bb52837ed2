/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File operations of which the at-th call of one kind fails and, if is_sticky,
 * each one after it. One thread.
 */
#ifndef AMBER_TESTS_UNIT_FAULT_OPS_H
#define AMBER_TESTS_UNIT_FAULT_OPS_H

#include "tests/unit/fault_file.h"

struct fault_ops {
	struct fault_file file;
	struct file_ops ops; /* what ioq_open() takes */
	enum fault_call call;
	int error;	   /* errno, FAULT_SHORT, FAULT_NONE; 0: no fault */
	unsigned int at;   /* counts from 0 */
	bool is_sticky;	   /* once, or for ever */
	unsigned int made; /* calls of this kind so far */
	unsigned int hits; /* faults so far */
};

static inline int fault_take(void *owner, enum fault_call call)
{
	bool moves = call == FAULT_READ || call == FAULT_WRITE;
	struct fault_ops *f = owner;
	unsigned int n;

	if (call != f->call || (!moves && f->error < 0))
		return 0;
	n = f->made++;
	if (!f->error || (n != f->at && !(f->is_sticky && n > f->at)))
		return 0;
	f->hits++;
	return f->error;
}

static inline void fault_init(struct fault_ops *f)
{
	*f = (struct fault_ops){ .file = { fault_take, f } };
	f->ops = fault_file_ops(&f->file);
}

/* From now on: forgets what was counted. */
static inline void fault_set(struct fault_ops *f, enum fault_call call,
			     int error, unsigned int at, bool is_sticky)
{
	f->call = call;
	f->error = error;
	f->at = at;
	f->is_sticky = is_sticky;
	f->made = 0;
	f->hits = 0;
}

#endif
