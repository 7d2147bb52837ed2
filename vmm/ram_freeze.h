/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as it is at one moment, written to a file while the guest
 * goes on: a child process that shares the pages copy-on-write, and does
 * nothing else (docs/decisions/0011). The moment costs what copying the page
 * tables costs, however much of the memory is then changed.
 *
 * Begun by one thread, waited for or given up by one.
 */
#ifndef AMBER_VMM_RAM_FREEZE_H
#define AMBER_VMM_RAM_FREEZE_H

#include <sys/types.h>

#include "vmm/ram_image.h"

struct ram_freeze_shared;

struct ram_freeze {
	pid_t pid;			  /* 0: none */
	struct ram_freeze_shared *shared; /* owned: with the child */
	size_t shared_bytes;
	struct ram_map map; /* what is written; complete at the end */
	uint64_t *maybe;    /* in shared: pages that may have changed */
};

/* What is written where; borrowed for the call. */
struct ram_freeze_order {
	int fd;			 /* an empty file */
	const struct ram *base;	 /* what its parent shows; NULL: a full image */
	const char *moment;	 /* which one it is (vmm/ram_track.h) */
	const char *base_moment; /* and the parent's; NULL without base */
	bool is_tracked; /* from now on, what is written since is known */
	/* Of progress_create(), until the end; or NULL. */
	struct progress *progress;
};

/*
 * No vCPU runs and devices are quiet until it returns. The file gets what
 * ram_image_write() writes. Errors: -ENOMEM, -EAGAIN (no more processes).
 */
int ram_freeze(struct ram_freeze *f, struct ram *ram,
	       const struct ram_freeze_order *order, struct err *e);

/*
 * Waits for the end, which may be long; f->map is valid until
 * ram_freeze_cancel(). The file is not synced. Errors: those of writing; -EIO:
 * the writer was killed.
 */
int ram_freeze_wait(struct ram_freeze *f, struct ram_image_figures *figures,
		    struct err *e);

/* Frees it; ends the writer, if there is one. Twice is fine. */
void ram_freeze_cancel(struct ram_freeze *f);

#endif
