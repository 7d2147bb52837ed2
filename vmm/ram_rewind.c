/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory back to its image. In a private mapping of a file a page that was
 * written is an anonymous one: the kernel finds them (Linux,
 * admin-guide/mm/pagemap.rst), and to drop one brings the file's back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ram_image.h"
#include "vmm/ram_scan.h"
#include "vmm/ram_track.h"

static int drop(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	(void)ctx;
	return madvise(host, bytes, MADV_DONTNEED) < 0
		       ? err_sys(e, -errno, "dropping what was written")
		       : 0;
}

static int drop_written(const struct ram *ram, struct err *e)
{
	const struct ram_scan written = {
		.none = RAM_SCAN_FILE,
		.any = RAM_SCAN_TOUCHED,
		.found = drop,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r;

	if (pagemap < 0)
		return err_sys(e, -errno, "/proc/self/pagemap");
	r = ram_scan(pagemap, &written, ram->host, ram->bytes, e);
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
