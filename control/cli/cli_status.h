/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a VM as one JSON object of the same shape whether its
 * process answers, hangs or isn't there. Any thread, one VM each.
 */
#ifndef AMBER_CONTROL_CLI_STATUS_H
#define AMBER_CONTROL_CLI_STATUS_H

#include <jansson.h>

#include "base/buf.h"
#include "control/cli/cli_vm.h"

/* States that only the command line knows. */
#define CLI_STATE_UNRESPONSIVE "unresponsive" /* no answer in time */
#define CLI_STATE_BROKEN       "broken"	      /* its files can't be read */

/*
 * The members of GET /v1/vm, "alive", and "error" with what went wrong.
 * Never fails but for memory (NULL). A hung process costs timeout_ms.
 */
json_t *cli_status(struct cli_vm *vm, unsigned int timeout_ms);

/* Members of such an object: "" or 0 when they aren't there. */
const char *cli_status_text(const json_t *status, const char *key);
uint64_t cli_status_number(const json_t *status, const char *key);

/* "15 m 2 s" of "uptime_ms", "-" without a machine. TERM_HUMAN_BYTES. */
const char *cli_status_uptime(const json_t *status, char *text);

/* "command by uid 0 (pid 5)": cause and actor of a status or a record. */
void cli_status_why(const json_t *object, struct buf *out);

#endif
