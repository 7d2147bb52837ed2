/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers of the route table. Each gets a checked call and answers it:
 * now, later with call_finish(), as a stream or as an upgrade. Loop thread.
 */
#ifndef AMBER_CONTROL_API_H
#define AMBER_CONTROL_API_H

#include "control/call.h"

/* api_vm.c */
void api_root(struct call *call);
void api_status(struct call *call);
void api_config(struct call *call);
void api_stats(struct call *call);
void api_boot(struct call *call);
void api_crash(struct call *call);
void api_devices(struct call *call);
void api_openapi(struct call *call);

/* api_command.c: every POST */
void api_command(struct call *call);

/* api_ready.c */
void api_ready(struct call *call);

/* api_ops.c */
void api_ops(struct call *call);
void api_op(struct call *call);
void api_op_cancel(struct call *call);
/* 202: what the call asked for has begun, as operation id. */
void api_op_begun(struct call *call, uint64_t id);

/* api_console.c, api_attach.c */
void api_console(struct call *call);
void api_attach(struct call *call);

/* api_agent.c: GET, every POST but exec, and exec */
void api_agent(struct call *call);
void api_agent_call(struct call *call);
void api_agent_exec(struct call *call);

/* api_snapshot.c: GET, and every POST */
void api_snapshots(struct call *call);
void api_snapshot_create(struct call *call);
void api_snapshot_restore(struct call *call);
void api_snapshot_rewind(struct call *call);
void api_snapshot_delete(struct call *call);
void api_snapshot_pin(struct call *call);
void api_snapshot_unpin(struct call *call);
void api_snapshot_label(struct call *call);
void api_snapshot_verdict(struct call *call);
void api_snapshot_prune(struct call *call);
void api_snapshot_diff(struct call *call);
void api_snapshot_adopt(struct call *call);

/* api_device.c */
void api_metrics(struct call *call);
void api_balloon(struct call *call);
void api_limit(struct call *call);
void api_link(struct call *call);

/* api_events.c */
void api_events(struct call *call);
void api_journal(struct call *call);

#endif
