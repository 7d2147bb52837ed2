/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread may ask of the kernel's scheduler without privileges. */
#ifndef AMBER_BASE_SCHED_H
#define AMBER_BASE_SCHED_H

/*
 * Asks for short time slices for the calling thread, not for those it
 * creates: when it wakes up it then takes the place of a thread that has been
 * running for longer than that, instead of waiting for its slice to end. For
 * threads that have little to do and must do it at once. A kernel without
 * per-thread slices (before Linux 6.12) ignores it.
 */
void sched_be_prompt(void);

#endif
