/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of a VM's snapshots, carried out by the VM's own process: when a
 * run is due one is taken, then those that no rule keeps are removed, each an
 * ordinary operation on snapshots with the actor "policy". It never waits for
 * anything and asks nothing of the guest that a person couldn't ask:
 *
 *   idle --due--> taking --> pruning --> idle
 *      \--expired, no schedule--^
 *
 * Another operation under way, or a VM that neither runs nor is paused: it
 * stays due. What failed is tried again later and later. Loop thread.
 */
#ifndef AMBER_CONTROL_POLICY_TIMER_H
#define AMBER_CONTROL_POLICY_TIMER_H

#include "control/control.h"

struct policy_timer;

/*
 * *out is NULL where the configuration has no policy, or the VM no directory.
 * Errors: -EINVAL (the policy), -ENOMEM.
 */
int policy_timer_create(struct policy_timer **out, struct control *c,
			struct err *e);
/* Reads what was done before; what is overdue comes soon. NULL is fine. */
void policy_timer_start(struct policy_timer *t);
/* What happens when it fires; for tests, which don't wait for it. */
void policy_timer_look(struct policy_timer *t);
/* NULL is fine. */
void policy_timer_destroy(struct policy_timer *t);

#endif
