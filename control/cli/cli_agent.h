/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the answers of a guest's agent look to people. Pure but for memory;
 * one thread. Invariant: nothing of the guest is printed with its control
 * characters; members that are not there or of another kind are left out.
 */
#ifndef AMBER_CONTROL_CLI_AGENT_H
#define AMBER_CONTROL_CLI_AGENT_H

#include <jansson.h>

#include "base/buf.h"

/* Each appends lines to out. vm: its name; answer: the API's, an object. */
void cli_agent_print_status(struct buf *out, const char *vm,
			    const json_t *answer);
void cli_agent_print_ping(struct buf *out, const char *vm,
			  const json_t *answer);
void cli_agent_print_info(struct buf *out, const char *vm,
			  const json_t *answer);
void cli_agent_print_osinfo(struct buf *out, const char *vm,
			    const json_t *answer);
void cli_agent_print_interfaces(struct buf *out, const char *vm,
				const json_t *answer);
void cli_agent_print_fsfreeze(struct buf *out, const char *vm,
			      const json_t *answer);
void cli_agent_print_fsthaw(struct buf *out, const char *vm,
			    const json_t *answer);
void cli_agent_print_set_time(struct buf *out, const char *vm,
			      const json_t *answer);

#endif
