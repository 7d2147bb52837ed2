/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot written as one stream (snapshot/bundle.h). Nothing of the VM is
 * changed or locked: it may run meanwhile. Any thread; it blocks.
 */
#ifndef AMBER_SNAPSHOT_EXPORT_H
#define AMBER_SNAPSHOT_EXPORT_H

#include "snapshot/meta.h"

struct snapshot_export {
	int dir;			/* the VM's */
	const struct vm_config *config; /* the VM's */
	const char *what;		/* name or ID */
	int out;			/* may be a pipe */
	/* A directory with room for the largest disk's image, until that is
	 * written out: its size has to be known before. */
	const char *scratch;
	uint64_t written; /* result: bytes of data */
};

/* Errors: store_find()'s, a layer is missing or damaged, those of writing. */
int snapshot_export(struct snapshot_export *x, struct err *e);

#endif
