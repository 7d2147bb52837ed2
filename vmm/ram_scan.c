/* SPDX-License-Identifier: Apache-2.0 */
/* PAGEMAP_SCAN, which older headers don't know. */
#include "vmm/ram_scan.h"

#include <errno.h>
#include <sys/ioctl.h>

#define RUNS 512 /* that are found at a time */

struct scan_run {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN _IOWR('f', 16, struct scan)

int ram_scan(int pagemap, const struct ram_scan *what, uint8_t *host,
	     uint64_t bytes, struct err *e)
{
	struct scan_run run[RUNS];
	struct scan s = {
		.size = sizeof(s),
		.flags = what->flags,
		.start = (uintptr_t)host,
		.end = (uintptr_t)host + bytes,
		.vec = (uintptr_t)run,
		.vec_len = RUNS,
		.category_inverted = what->none,
		.category_mask = what->all | what->none,
		.category_anyof_mask = what->any,
		.return_mask = what->all ? what->all : RAM_SCAN_PRESENT,
	};
	int n, i, r = 0;

	while (!r && s.start < s.end) {
		n = ioctl(pagemap, SCAN, &s);
		if (n < 0)
			return -errno;
		for (i = 0; i < n && !r; i++)
			r = what->found(what->ctx,
					(uint8_t *)(uintptr_t)run[i].start,
					run[i].end - run[i].start, e);
		s.start = s.walk_end;
	}
	return r;
}
