/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal and event records: reading them from the log, printing them as
 * one line each. Any thread; no shared state.
 */
#ifndef AMBER_CONTROL_CLI_RECORD_H
#define AMBER_CONTROL_CLI_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends one line: time, what, why, who, how long. The time is local
 * without its date when short_time, else as recorded.
 */
void cli_record_line(const json_t *record, bool colour, struct buf *out);

/*
 * The records of the VM in dir, oldest first, as an array that the caller
 * json_decref()s: those behind number since, the last `lines` of them (0:
 * all). Lines that are no JSON (torn by a crash) are left out.
 */
int cli_record_load(int dir, uint64_t since, uint64_t lines, json_t **out,
		    struct err *e);

/*
 * Hands over the bytes of dir/logs/NAME, the rotated part first: all, or
 * the last `lines` lines (0: all). Returns what put returned when that is
 * nonzero; -ENOENT when there is no such log.
 */
int cli_log_copy(int dir, const char *name, uint64_t lines,
		 int (*put)(void *ctx, const char *bytes, size_t len),
		 void *ctx, struct err *e);

/* All but its first `from` bytes; else as above. */
int cli_log_rest(int dir, const char *name, uint64_t from,
		 int (*put)(void *ctx, const char *bytes, size_t len),
		 void *ctx, struct err *e);

/* The bytes that dir/logs/NAME and its rotated part hold. */
uint64_t cli_log_bytes(int dir, const char *name);

/* Where the last `lines` lines of bytes begin. */
size_t cli_tail(const char *bytes, size_t len, uint64_t lines);

#endif
