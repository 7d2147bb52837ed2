/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far something long has come, and whether it is still wanted: shared by
 * who does it, on any thread or in a child process, and who asks.
 */
#ifndef AMBER_BASE_PROGRESS_H
#define AMBER_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	_Atomic uint64_t done, total; /* bytes; total 0: not known yet */
	_Atomic bool is_unwanted;
};

/* In memory that children share; NULL: there is none. */
struct progress *progress_create(void);
void progress_destroy(struct progress *p); /* NULL is fine */

/* p may be NULL everywhere: nobody asks. */
void progress_expect(struct progress *p, uint64_t bytes); /* more of them */
/* bytes more are done. -ECANCELED: it is not wanted any more. */
int progress_add(struct progress *p, uint64_t bytes);
void progress_cancel(struct progress *p);

#endif
