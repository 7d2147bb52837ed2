/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written down before a disk is changed: of each one the file's name,
 * and the second name that the file has meanwhile. As long as the list is
 * there, what has the second names is what counts, unless it says that it is
 * done: then they are to go. Any thread, one at a time; they block.
 */
#ifndef AMBER_SNAPSHOT_RESTORE_JOURNAL_H
#define AMBER_SNAPSHOT_RESTORE_JOURNAL_H

#include <jansson.h>

#include "base/file.h"
#include "snapshot/meta.h"

#define JOURNAL	      "restoring" /* in the store */
#define JOURNAL_BYTES (256u << 10)
#define JOURNAL_WAS   ".was." /* between a file's name and an ID */

struct journal {
	json_t *steps;			  /* owned: of each disk {path, was} */
	char done[SNAPSHOT_ID_CHARS + 1]; /* of the set it is of now, or "" */
};

/*
 * Each was is its path, JOURNAL_WAS and an ID. journal_fini() after a success.
 * Errors: -EBADMSG, -EFBIG, -EINVAL, -ENOMEM.
 */
int journal_parse(struct journal *j, const char *text, size_t len,
		  struct err *e);
void journal_fini(struct journal *j);
/* The text; the caller's. NULL: no memory. */
char *journal_print(const struct journal *j);

/* The value at key of a step; "" where there is none. */
const char *journal_text(const json_t *step, const char *key);

int journal_write(int dir, const struct journal *j, enum file_durability how,
		  struct err *e);
int journal_remove(int dir, enum file_durability how, struct err *e);

/* The file gets its second name. */
int journal_keep(const json_t *step, struct err *e);
/* Each file gets its name back. A disk whose turn had not come has it. */
int journal_undo(const struct journal *j, struct err *e);
/* The second names go. */
void journal_forget(const struct journal *j);

#endif
