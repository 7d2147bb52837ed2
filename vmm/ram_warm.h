/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restored memory's pages are fetched ahead of the guest: those that it used
 * when it was restored from the same set before. A thread reads the record
 * beside the set's image and, once the guest runs, has the kernel read those
 * pages. Where there is no record, or an old one, it sees which pages are used
 * and writes them down after a while, or when the machine ends before that.
 * Only advice: a record that is missing, damaged or can't be written costs
 * time, and is nobody's error.
 */
#ifndef AMBER_VMM_RAM_WARM_H
#define AMBER_VMM_RAM_WARM_H

#include "vmm/ram.h"

#define RAM_WARM_FILE	  "working-set" /* beside the image */
#define RAM_WARM_MS	  10000u	/* of a guest's life, which count */
#define RAM_WARM_RECENT_S 3600		/* a record that old is made anew */

struct ram_warm;

/*
 * ram: shows the images of the set whose directory is set; borrowed until
 * ram_warm_stop(), set for the call. Errors: -ENOMEM, -EMFILE...
 */
int ram_warm_start(struct ram_warm **out, struct ram *ram, int set);

/* The guest runs: its time begins, when it has not. Any thread. */
void ram_warm_run(struct ram_warm *w);

/* The memory is about to show something else: nothing is written down. Any
 * thread; NULL is fine, as for the others. */
void ram_warm_drop(struct ram_warm *w);

/* Writes down what was used, if it was to be and is not done. */
void ram_warm_stop(struct ram_warm *w);

#endif
