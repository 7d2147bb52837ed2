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
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ram_image.h"
#include "vmm/ram_scan.h"
#include "vmm/ram_track.h"

#define PAGE	   4096ULL
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAPPED (UINT64_C(1) << 62)
#define PM_FILE	   (UINT64_C(1) << 61)
#define ENTRIES	   1024u

static int drop(uint8_t *from, uint64_t bytes, struct err *e)
{
	return bytes && madvise(from, bytes, MADV_DONTNEED) < 0
		       ? err_sys(e, -errno, "dropping what was written")
		       : 0;
}

static int drop_run(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	(void)ctx;
	return drop(host, bytes, e);
}

static int scan_region(int pagemap, const struct gmem_region *g, struct err *e)
{
	const struct ram_scan written = {
		.none = RAM_SCAN_FILE,
		.any = RAM_SCAN_PRESENT | RAM_SCAN_SWAPPED,
		.found = drop_run,
	};

	return ram_scan(pagemap, &written, g->host, g->bytes, e);
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
	if (!ram_images_equal(&ram->images, images))
		return ram_image_map(ram, images, e);
	ram_track_forget(ram); /* what is dropped would stay protected */
	return drop_written(ram, e);
}
