/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a VM's journal on disk: where the numbers of a new process go
 * on, so that a number means one record for the life of a VM. Any thread.
 */
#ifndef AMBER_CONTROL_JOURNAL_H
#define AMBER_CONTROL_JOURNAL_H

#include <stdint.h>

#include "control/events.h"

/*
 * The number of the last whole record of the journal in the open directory
 * of a VM; 0: there is none, or dir is -1. A torn last line is skipped.
 * Reads at most JOURNAL_TAIL_BYTES of each of the two files.
 */
uint64_t journal_last(int dir);

/*
 * Appends a record to the journal of a VM without a process, whose lock is the
 * caller's. A record that a kill tears is skipped by who reads. Errors: those
 * of writing.
 */
int journal_add(int dir, const struct event_note *note, struct err *e);

#define JOURNAL_TAIL_BYTES (16u << 10)

#endif
