/* SPDX-License-Identifier: Apache-2.0 */
/* The process's table of descriptors. Before there are threads. */
#ifndef AMBER_BASE_FDS_H
#define AMBER_BASE_FDS_H

/*
 * Room for so many descriptors from now on. A table that grows when there are
 * threads waits for all CPUs (an RCU grace period: many milliseconds), and the
 * first one has 64. Where it can't be had it grows when it must.
 */
void fds_make_room(int count);

#endif
