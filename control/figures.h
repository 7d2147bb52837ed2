/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of the VM's devices, by tables: the same rows make the JSON of
 * /v1/vm/stats and the text of /v1/metrics. Loop thread; at once.
 */
#ifndef AMBER_CONTROL_FIGURES_H
#define AMBER_CONTROL_FIGURES_H

#include "base/buf.h"
#include "control/json_out.h"
#include "vmm/vm.h"

/* Members "disks", "nets", "balloon", "rng" of the object that is open. */
void figures_print_json(struct json_out *j, struct vm *vm);

/*
 * All figures of the VM as Prometheus text (exposition format 0.0.4), each
 * with the label vm.
 */
void figures_print_metrics(struct buf *out, struct vm *vm);

#endif
