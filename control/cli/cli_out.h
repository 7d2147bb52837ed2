/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line prints: errors as one line each, results on
 * standard output. Main thread. Invariant: nothing that came from a guest
 * or a server reaches a terminal with its control characters.
 */
#ifndef AMBER_CONTROL_CLI_OUT_H
#define AMBER_CONTROL_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Makes sure that descriptors 0, 1 and 2 exist and ignores SIGPIPE. */
void cli_out_init(void);

/*
 * Flushes standard output. Returns status; or CLI_EXIT_PIPE when the reader
 * went away, or EXIT_CODE_FAILED, with a line on standard error, when it
 * could not be written.
 */
int cli_out_end(int status);
/* Has writing failed (the reader went away, the disk is full)? Flushes. */
bool cli_out_failed(void);

/* Remembers a failed write(2) to standard output for cli_out_end(). */
void cli_out_broke(int code);

/* "amber: what", "amber: NAME: what" on standard error. name may be NULL. */
void cli_error(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same as a note: not when standard error isn't a terminal. */
void cli_note(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints e; EXIT_CODE_USAGE when it tells of a wrong value, else _FAILED. */
int cli_fail(const char *name, const struct err *e);
/* Prints e as wrong usage. */
int cli_fail_usage(const struct err *e);

/* A command's first word is none of its names: says so, with the nearest. */
void cli_no_word(const char *command, const char *word,
		 const char *const *names, size_t count);

/* Prints b's text and empties it. Returns false when writing failed. */
bool cli_print(struct buf *b);
/* Prints one JSON document on its own line; drops the reference. */
bool cli_print_json(json_t *json);

#endif
