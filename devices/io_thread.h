/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread with an event loop, on which devices work. Devices add their
 * descriptors to the loop before the thread starts, and are destroyed after
 * it has been joined; all their callbacks run on it.
 */
#ifndef AMBER_DEVICES_IO_THREAD_H
#define AMBER_DEVICES_IO_THREAD_H

#include "base/err.h"
#include "base/loop.h"

struct io_thread;

/* Makes the loop; the thread doesn't run yet. Errors: -ENOMEM, -EMFILE. */
int io_thread_create(struct io_thread **out, const char *name, struct err *e);
struct loop *io_thread_loop(struct io_thread *t);

int io_thread_start(struct io_thread *t, struct err *e);
/* Ends the thread and waits for it; not started is fine. */
void io_thread_join(struct io_thread *t);
/* After its devices are gone. NULL is fine. */
void io_thread_destroy(struct io_thread *t);

#endif
