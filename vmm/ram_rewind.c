/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory back to its image. In a private mapping of a file a page that was
 * written is an anonymous one: the kernel finds them (Linux,
 * admin-guide/mm/pagemap.rst), and to drop one brings the file's back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ram_image.h"

#define PAGE	   4096ULL
#define RUNS	   512 /* that are found at a time */
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAPPED (UINT64_C(1) << 62)
#define PM_FILE	   (UINT64_C(1) << 61)
#define ENTRIES	   1024u

/* PAGEMAP_SCAN of Linux 6.7, which older headers don't know. */
struct scan_run {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN	     _IOWR('f', 16, struct scan)
#define SCAN_FILE    (1u << 2)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)

static int drop(uint8_t *from, uint64_t bytes, struct err *e)
{
	return bytes && madvise(from, bytes, MADV_DONTNEED) < 0
		       ? err_sys(e, -errno, "dropping what was written")
		       : 0;
}

/* -ENOTTY: this kernel can't. */
static int scan_region(int pagemap, const struct gmem_region *g, struct err *e)
{
	struct scan_run run[RUNS];
	struct scan s = {
		.size = sizeof(s),
		.start = (uintptr_t)g->host,
		.end = (uintptr_t)g->host + g->bytes,
		.vec = (uintptr_t)run,
		.vec_len = RUNS,
		.category_inverted = SCAN_FILE,
		.category_mask = SCAN_FILE,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT,
	};
	int n, i, r = 0;

	while (!r && s.start < s.end) {
		n = ioctl(pagemap, SCAN, &s);
		if (n < 0)
			return -errno;
		for (i = 0; i < n && !r; i++)
			r = drop((uint8_t *)(uintptr_t)run[i].start,
				 run[i].end - run[i].start, e);
		s.start = s.walk_end;
	}
	return r;
}

static bool is_written(uint64_t entry)
{
	return entry & PM_SWAPPED || (entry & PM_PRESENT && !(entry & PM_FILE));
}

static int drop_runs(uint8_t *host, const uint64_t *entry, unsigned int n,
		     struct err *e)
{
	unsigned int i = 0, from;
	int r = 0;

	while (i < n && !r) {
		for (; i < n && !is_written(entry[i]); i++)
			;
		for (from = i; i < n && is_written(entry[i]); i++)
			;
		r = drop(host + from * PAGE, (i - from) * PAGE, e);
	}
	return r;
}

static int read_region(int pagemap, const struct gmem_region *g, struct err *e)
{
	uint64_t entry[ENTRIES], at, n;
	int r = 0;

	for (at = 0; at < g->bytes && !r; at += n * PAGE) {
		n = (g->bytes - at) / PAGE;
		n = n < ENTRIES ? n : ENTRIES;
		if (pread(pagemap, entry, n * sizeof(entry[0]),
			  (off_t)((uintptr_t)(g->host + at) / PAGE *
				  sizeof(entry[0]))) !=
		    (ssize_t)(n * sizeof(entry[0])))
			return err_sys(e, errno ? -errno : -EIO,
				       "/proc/self/pagemap");
		r = drop_runs(g->host + at, entry, (unsigned int)n, e);
	}
	return r;
}

static int drop_written(const struct ram *ram, struct err *e)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r = 0;
	unsigned int i;

	if (pagemap < 0)
		return err_sys(e, -errno, "/proc/self/pagemap");
	for (i = 0; i < ram->mem.count && !r; i++) {
		r = scan_region(pagemap, &ram->mem.region[i], e);
		if (r == -ENOTTY)
			r = read_region(pagemap, &ram->mem.region[i], e);
	}
	close(pagemap);
	return r;
}

int ram_image_rewind(struct ram *ram, const struct ram_images *images,
		     struct err *e)
{
	return ram_images_equal(&ram->images, images)
		       ? drop_written(ram, e)
		       : ram_image_map(ram, images, e);
}
