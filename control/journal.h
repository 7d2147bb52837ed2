/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a VM's journal on disk: where the numbers of a new process go
 * on, so that a number means one record for the life of a VM. Any thread.
 */
#ifndef AMBER_CONTROL_JOURNAL_H
#define AMBER_CONTROL_JOURNAL_H

#include <stdint.h>

/*
 * The number of the last whole record of the journal in the open directory
 * of a VM; 0: there is none, or dir is -1. A torn last line is skipped.
 * Reads at most JOURNAL_TAIL_BYTES of each of the two files.
 */
uint64_t journal_last(int dir);

#define JOURNAL_TAIL_BYTES (16u << 10)

#endif
