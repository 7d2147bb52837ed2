/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents made from the tables that the dispatcher uses, so that they
 * can't tell another story: man pages, docs/commands.md. Main thread.
 */
#ifndef AMBER_CONTROL_GEN_H
#define AMBER_CONTROL_GEN_H

#include "base/buf.h"
#include "base/err.h"

#define GEN_BYTES (1u << 20) /* of one document */

/*
 * Writes amber.1, amber-COMMAND.1 and amber-vmm.1 into the open directory
 * dir. Errors: what the file system says.
 */
int gen_man(int dir, struct err *e);

/* Writes commands.md into the open directory dir. */
int gen_docs(int dir, struct err *e);

/* One status of exit_codes.h, for the tables in those documents. */
struct gen_status {
	const char *number, *meaning;
};

/* NULL behind the last. */
const struct gen_status *gen_status_at(unsigned int n);

/* Commits the document under that name and empties it. */
int gen_write(int dir, const char *name, struct buf *document, struct err *e);

#endif
