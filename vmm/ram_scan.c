/* SPDX-License-Identifier: Apache-2.0 */
/* One call for all pages, or what each one's entry says. */
#include "vmm/ram_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE	   4096ULL
#define RUNS	   512 /* that are found at a time */
#define ENTRIES	   1024u
#define NO_ENTRY   (RAM_SCAN_WRITTEN | RAM_SCAN_ZERO | RAM_SCAN_HUGE)
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAPPED (UINT64_C(1) << 62)
#define PM_FILE	   (UINT64_C(1) << 61)

/* --- PAGEMAP_SCAN, which older headers don't know ---------------------- */

struct scan_run {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN _IOWR('f', 16, struct scan)

static struct scan begin(const struct ram_scan *what, const uint8_t *host,
			 uint64_t bytes, struct scan_run *run, uint64_t runs)
{
	return (struct scan){
		.size = sizeof(struct scan),
		.start = (uintptr_t)host,
		.end = (uintptr_t)host + bytes,
		.vec = (uintptr_t)run,
		.vec_len = runs,
		.category_inverted = what->none,
		.category_mask = what->all | what->none,
		.category_anyof_mask = what->any,
		.return_mask = what->all ? what->all : RAM_SCAN_PRESENT,
	};
}

int ram_scan_first(int pagemap, const struct ram_scan *what,
		   const uint8_t *host, uint64_t bytes, uint64_t *first)
{
	struct scan_run run;
	struct scan s = begin(what, host, bytes, &run, 1);
	int n = 0;

	s.max_pages = 1;
	while (!n && s.start < s.end) {
		n = ioctl(pagemap, SCAN, &s);
		if (n < 0)
			return -errno;
		s.start = s.walk_end;
	}
	*first = n ? run.start - (uintptr_t)host : bytes;
	return 0;
}

static int scan_all(int pagemap, const struct ram_scan *what, uint8_t *host,
		    uint64_t bytes, struct err *e)
{
	struct scan_run run[RUNS];
	struct scan s = begin(what, host, bytes, run, RUNS);
	int n, i, r = 0;

	s.flags = what->flags;
	while (!r && s.start < s.end) {
		n = ioctl(pagemap, SCAN, &s);
		if (n < 0)
			return errno == ENOTTY
				       ? -ENOTTY
				       : err_sys(e, -errno, "asking for pages");
		for (i = 0; i < n && !r; i++)
			r = what->found(what->ctx,
					(uint8_t *)(uintptr_t)run[i].start,
					run[i].end - run[i].start, e);
		s.start = s.walk_end;
	}
	return r;
}

/* --- entries ----------------------------------------------------------- */

static bool is_wanted(const struct ram_scan *what, uint64_t entry)
{
	uint32_t is = (entry & PM_FILE ? RAM_SCAN_FILE : 0) |
		      (entry & PM_PRESENT ? RAM_SCAN_PRESENT : 0) |
		      (entry & PM_SWAPPED ? RAM_SCAN_SWAPPED : 0);

	return (is & what->all) == what->all && !(is & what->none) &&
	       (!what->any || is & what->any);
}

static int take_runs(const struct ram_scan *what, uint8_t *host,
		     const uint64_t *entry, unsigned int n, struct err *e)
{
	unsigned int i = 0, from;
	int r = 0;

	while (i < n && !r) {
		for (; i < n && !is_wanted(what, entry[i]); i++)
			;
		for (from = i; i < n && is_wanted(what, entry[i]); i++)
			;
		if (i > from)
			r = what->found(what->ctx, host + from * PAGE,
					(i - from) * PAGE, e);
	}
	return r;
}

int ram_scan_entries(int pagemap, const struct ram_scan *what, uint8_t *host,
		     uint64_t bytes, struct err *e)
{
	uint64_t entry[ENTRIES], at, n;
	ssize_t got;
	int r = 0;

	if (what->flags || (what->all | what->none | what->any) & NO_ENTRY)
		return -ENOTTY;
	for (at = 0; at < bytes && !r; at += n * PAGE) {
		n = (bytes - at) / PAGE;
		n = n < ENTRIES ? n : ENTRIES;
		got = pread(pagemap, entry, n * sizeof(entry[0]),
			    (off_t)((uintptr_t)(host + at) / PAGE *
				    sizeof(entry[0])));
		if (got != (ssize_t)(n * sizeof(entry[0])))
			return err_sys(e, got < 0 ? -errno : -EIO,
				       "/proc/self/pagemap");
		r = take_runs(what, host + at, entry, (unsigned int)n, e);
	}
	return r;
}

int ram_scan(int pagemap, const struct ram_scan *what, uint8_t *host,
	     uint64_t bytes, struct err *e)
{
	int r = scan_all(pagemap, what, host, bytes, e);

	return r == -ENOTTY ? ram_scan_entries(pagemap, what, host, bytes, e)
			    : r;
}
