/* SPDX-License-Identifier: Apache-2.0 */
/* Until when a snapshot is wanted, as people say it. Pure; any thread. */
#ifndef AMBER_SNAPSHOT_EXPIRES_H
#define AMBER_SNAPSHOT_EXPIRES_H

#include <stdint.h>

#include "base/err.h"

#define EXPIRES_TEXT 40 /* characters, at most, that can be right */

/*
 * "7d", "1y5m7d2h" (prune_span_parse()): so long from now on; or a moment in
 * UTC, 2026-12-24T18:00:00Z, that is still to come. -EINVAL names the text.
 */
int expires_parse(uint64_t *out_ns, const char *text, uint64_t now_ns,
		  struct err *e);

#endif
