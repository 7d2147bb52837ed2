/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places between two steps at which a process may die, by their names. Test
 * builds (AMBER_KILL_POINTS) kill themselves there when the environment says
 * so; in others there is nothing. Any thread.
 *
 *   AMBER_KILL_AT=NAME[:N]   SIGKILL at the N-th passing (1)
 *   AMBER_KILL_LOG=FILE      appends the name at each first passing
 */
#ifndef AMBER_BASE_KILL_POINT_H
#define AMBER_BASE_KILL_POINT_H

#ifdef AMBER_KILL_POINTS
void kill_point_pass(const char *name);
#define KILL_POINT(name) kill_point_pass(name)
#else
#define KILL_POINT(name) ((void)0)
#endif

#endif
