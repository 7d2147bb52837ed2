/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the kernel which pages of the memory are of a kind: PAGEMAP_SCAN of
 * Linux 6.7, before that each page's entry (admin-guide/mm/pagemap.rst). No
 * state; any thread.
 */
#ifndef AMBER_VMM_RAM_SCAN_H
#define AMBER_VMM_RAM_SCAN_H

#include <stdint.h>

#include "base/err.h"

/* Kinds of pages; of WRITTEN, ZERO and HUGE an older kernel knows nothing. */
#define RAM_SCAN_WRITTEN (1u << 1) /* not write-protected by a userfaultfd */
#define RAM_SCAN_FILE	 (1u << 2) /* a page of a file's, not of our own */
#define RAM_SCAN_PRESENT (1u << 3)
#define RAM_SCAN_SWAPPED (1u << 4)
#define RAM_SCAN_ZERO	 (1u << 5) /* the page that all who only read share */
#define RAM_SCAN_HUGE	 (1u << 6) /* part of a huge one */

/* A page that somebody has touched, wherever it is: for `any`. */
#define RAM_SCAN_TOUCHED (RAM_SCAN_PRESENT | RAM_SCAN_SWAPPED)

/* Flags. */
#define RAM_SCAN_PROTECT (3u << 0) /* those that are found; all must be so */

struct ram_scan {
	uint32_t all, none, any; /* kinds that a page is of, or not */
	uint32_t flags;
	/* Pages in a row; ends the scan with its error. */
	int (*found)(void *ctx, uint8_t *host, uint64_t bytes, struct err *e);
	void *ctx;
};

/*
 * pagemap: the open /proc/self/pagemap. Errors: -ENOTTY (this kernel knows
 * nothing of a kind), found's, those of reading.
 */
int ram_scan(int pagemap, const struct ram_scan *what, uint8_t *host,
	     uint64_t bytes, struct err *e);

/*
 * The offset of the first such page, or bytes: there is none. flags and found
 * don't matter. Errors: -ENOTTY (this kernel would have to look at each), those
 * of reading.
 */
int ram_scan_first(int pagemap, const struct ram_scan *what,
		   const uint8_t *host, uint64_t bytes, uint64_t *first);

/* What an older kernel is asked by: for tests. */
int ram_scan_entries(int pagemap, const struct ram_scan *what, uint8_t *host,
		     uint64_t bytes, struct err *e);

#endif
