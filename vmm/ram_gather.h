/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a snapshot broke into small pages is put together again: while
 * a child shares a huge page (vmm/ram_freeze.h), what is written first splits
 * it. A guest goes faster on huge ones, and the next moment is a tenth as long
 * (docs/decisions/0015). A thread asks the kernel for it, 2 MiB at a time
 * (madvise(2), MADV_COLLAPSE, Linux 6.1). Only advice: what can't be gathered
 * stays as it is, and a host whose huge pages are switched off gets none.
 */
#ifndef AMBER_VMM_RAM_GATHER_H
#define AMBER_VMM_RAM_GATHER_H

#include "vmm/ram.h"

struct ram_gather;

/*
 * Begins. Nothing happens with memory that shows images, or is watched for
 * increments: their pages are small. ram: borrowed until ram_gather_stop().
 * Errors: -ENOMEM, -EAGAIN (no thread to be had).
 */
int ram_gather_start(struct ram_gather **out, struct ram *ram);

/* It is over, or was given up. NULL: there was none. */
bool ram_gather_is_done(const struct ram_gather *g);

/* Gives up, after at most one huge page. Any thread; NULL is fine. */
void ram_gather_yield(struct ram_gather *g);

/* Gives up, and waits for it. Frees it. NULL is fine. */
void ram_gather_stop(struct ram_gather *g);

/* Waits until all is done, then frees it: for tests. */
void ram_gather_wait(struct ram_gather *g);

#endif
