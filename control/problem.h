/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the API: application/problem+json (RFC 9457) with a closed list
 * of codes. A test holds docs/api.md to this table. Pure: any thread.
 */
#ifndef AMBER_CONTROL_PROBLEM_H
#define AMBER_CONTROL_PROBLEM_H

#include <stddef.h>

#include "base/buf.h"

#define PROBLEM_TYPE "application/problem+json"
#define PROBLEM_URN  "urn:amber:problem:"

enum problem_code {
	PROBLEM_BAD_REQUEST,
	PROBLEM_BAD_JSON,
	PROBLEM_UNKNOWN_FIELD,
	PROBLEM_BAD_VALUE,
	PROBLEM_FORBIDDEN,
	PROBLEM_NOT_FOUND,
	PROBLEM_METHOD_NOT_ALLOWED,
	PROBLEM_HEADER_TIMEOUT,
	PROBLEM_WRONG_STATE,
	PROBLEM_CONSOLE_BUSY,
	PROBLEM_IO_ERROR,
	PROBLEM_SUPERSEDED,
	PROBLEM_NO_AGENT,
	PROBLEM_EXISTS,
	PROBLEM_UNUSABLE,
	PROBLEM_PAUSE_TOO_LONG,
	PROBLEM_QUOTA,
	PROBLEM_TOO_LARGE,
	PROBLEM_START_FAILED,
	PROBLEM_UPGRADE_REQUIRED,
	PROBLEM_HEADERS_TOO_LARGE,
	PROBLEM_INTERNAL,
	PROBLEM_AGENT_ERROR,
	PROBLEM_TOO_MANY_CONNECTIONS,
	PROBLEM_BUSY,
	PROBLEM_ENDING,
	PROBLEM_NOT_READY,
	PROBLEM_SHUTDOWN_TIMEOUT,
	PROBLEM_AGENT_TIMEOUT,
	PROBLEM_COUNT
};

struct problem_row {
	const char *code; /* "wrong-state" */
	unsigned int status;
	const char *title;
	const char *meaning; /* for people */
};

const struct problem_row *problem_row(enum problem_code code);

/*
 * Appends the problem's JSON. detail says what, where, which value; state
 * and help are left out when NULL or "". Returns out->error.
 */
int problem_print(struct buf *out, enum problem_code code, const char *detail,
		  const char *state, const char *help);

/*
 * A whole HTTP answer with this problem that closes the connection, for
 * those who are turned away before a request was read.
 */
int problem_print_http(struct buf *out, enum problem_code code,
		       const char *detail);

#endif
