/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of amber-vmm: a table of its own options, and every
 * option of the configuration table. One thread, at the start.
 */
#ifndef AMBER_CONTROL_VMM_OPTIONS_H
#define AMBER_CONTROL_VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "snapshot/restore.h"
#include "vmm/config.h"

struct vmm_options {
	const char *dir;    /* borrowed from argv, as all texts; NULL: none */
	const char *socket; /* NULL: none */
	const char *config; /* a file; NULL: none */
	const char *expect; /* NULL: none */
	const char *from;   /* a snapshot to start from; NULL: none */
	enum restore_part part;
	const char *part_disk;
	int notify_fd;	    /* -1: none */
	uint32_t timeout_s; /* 0: none */
	bool no_start, paused, once, remove;
	bool stdio; /* console on standard output */
	bool help, version;
	bool has_config_option; /* --kernel and the like was given */
};

struct vmm_option {
	const char *name;     /* without "--" */
	const char *argument; /* NULL: takes none */
	const char *help;
};

/* The rows, for usage text and man pages. */
const struct vmm_option *vmm_options_rows(size_t *count);

/*
 * Parses argv; options of the configuration go to c (config_init() was
 * called). "--name value" and "--name=value" both work. Errors: -EINVAL with
 * a text for the person; unknown options name the nearest.
 */
int vmm_options_parse(struct vmm_options *o, struct vm_config *c, int argc,
		      char **argv, struct err *e);

/* The usage text, from the tables. */
int vmm_options_usage(struct buf *out);

#endif
