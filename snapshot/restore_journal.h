/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore has written down before it changes a disk: of each one the
 * file's name, and the second name that the file has meanwhile. As long as the
 * list is there, what has the second names is what counts. Any thread, one at
 * a time; they block.
 */
#ifndef AMBER_SNAPSHOT_RESTORE_JOURNAL_H
#define AMBER_SNAPSHOT_RESTORE_JOURNAL_H

#include <jansson.h>

#include "base/err.h"

#define JOURNAL	      "restoring" /* in the store */
#define JOURNAL_BYTES (256u << 10)
#define JOURNAL_WAS   ".was." /* between a file's name and an ID */

/*
 * A list of {path, was}: each was is its path, JOURNAL_WAS and an ID. The
 * caller json_decref()s it. Errors: -EBADMSG, -EFBIG, -EINVAL, -ENOMEM.
 */
int journal_parse(json_t **steps, const char *text, size_t len, struct err *e);
/* The text; the caller's. NULL: no memory. */
char *journal_print(json_t *steps);

/* The value at key of a step; "" where there is none. */
const char *journal_text(const json_t *step, const char *key);

int journal_write(int dir, json_t *steps, struct err *e);
int journal_remove(int dir, struct err *e);

/* Each file gets its name back. A disk whose turn had not come has it. */
int journal_undo(const json_t *steps, struct err *e);
/* The second names go. */
void journal_forget(const json_t *steps);

#endif
