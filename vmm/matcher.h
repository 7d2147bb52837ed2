/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for a regular expression in a stream of console output, line by
 * line; the line that has no end yet counts too, so that a prompt is seen.
 * Lines longer than MATCHER_LINE_BYTES are searched in pieces. One thread.
 */
#ifndef AMBER_VMM_MATCHER_H
#define AMBER_VMM_MATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define MATCHER_LINE_BYTES 1024

struct matcher;

/* regex: POSIX extended. Errors: -EINVAL with the reason, -ENOMEM. */
int matcher_create(struct matcher **out, const char *regex, struct err *e);
void matcher_destroy(struct matcher *m);

/* Forgets the line so far. */
void matcher_reset(struct matcher *m);

/* Takes in output; true when the expression was found in it. */
bool matcher_feed(struct matcher *m, const void *bytes, size_t len);

#endif
