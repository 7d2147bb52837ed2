/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that no snapshot names any more, taken away in the background: on a
 * thread of its own, which asks the loop to have the VM's disks merge theirs.
 *
 *   loop     start        begin --> [disk's thread]            end
 *   thread     look, remove --^                 v-- look again --^
 *
 * Nothing waits for it: an operation on snapshots ends it first, and it begins
 * again afterwards, as it does whenever the VM runs. Functions are the loop's.
 */
#ifndef AMBER_CONTROL_LAYER_OP_H
#define AMBER_CONTROL_LAYER_OP_H

#include "control/control.h"

/* If there is something to do, and nothing else under way. */
void layer_op_start(struct control *c);

/* It ends soon: snapshot_op_go() is called then. false: there is none. */
bool layer_op_cancel(struct control *c);

/* {disk, done, bytes} of the merge under way; NULL: there is none. */
json_t *layer_op_progress(struct control *c);

/* The VM is gone. */
void layer_op_abandon(struct control *c);

#endif
