/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and mapping memory images. Which pages there are says the kernel
 * (Linux, admin-guide/mm/pagemap.rst) and, of memory that is itself mapped
 * from an image, the holes of that file. INV-1: a page that was never touched
 * is not touched here.
 */
#include "vmm/ram_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define PAGE	    4096ULL
#define WINDOW	    1024u /* pages that are looked at together */
#define PM_PRESENT  (UINT64_C(1) << 63)
#define PM_SWAPPED  (UINT64_C(1) << 62)
#define WRITE_BYTES (1u << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct writer {
	const struct ram *ram;
	int fd, pagemap;
	pid_t parent; /* of this process, while it is wanted; 0: always is */
	struct ram_image_figures *figures;
	struct err *e;
	uint64_t entry[WINDOW];
	bool has[WINDOW]; /* pages of the window with something in them */
};

/* --- what there is --------------------------------------------------- */

static int read_pagemap(struct writer *w, const uint8_t *host, unsigned int n)
{
	off_t at = (off_t)((uintptr_t)host / PAGE * sizeof(w->entry[0]));
	ssize_t want = (ssize_t)(n * sizeof(w->entry[0]));
	unsigned int i;

	if (pread(w->pagemap, w->entry, (size_t)want, at) != want)
		return err_sys(w->e, errno ? -errno : -EIO,
			       "/proc/self/pagemap");
	for (i = 0; i < n; i++)
		w->has[i] = w->entry[i] & (PM_PRESENT | PM_SWAPPED);
	return 0;
}

/* Pages that nobody touched since they were mapped show the image's. */
static int add_image(struct writer *w, uint64_t gpa, unsigned int n)
{
	off_t at = (off_t)gpa, end = (off_t)(gpa + n * PAGE), data, hole;

	if (w->ram->image_fd < 0)
		return 0;
	while (at < end) {
		data = lseek(w->ram->image_fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(w->ram->image_fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(w->e, -errno, "the memory's image");
		for (at = data; at < MIN(hole, end); at += PAGE)
			w->has[((uint64_t)at - gpa) / PAGE] = true;
		at = hole;
	}
	return 0;
}

/* --- writing --------------------------------------------------------- */

static int write_run(struct writer *w, uint64_t gpa, const uint8_t *host,
		     uint64_t bytes)
{
	ssize_t n;

	while (bytes) {
		n = pwrite(w->fd, host, MIN(bytes, WRITE_BYTES), (off_t)gpa);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(w->e, n ? -errno : -EIO,
				       "writing memory at %#llx",
				       (unsigned long long)gpa);
		host += n;
		gpa += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static int write_window(struct writer *w, uint64_t gpa, const uint8_t *host,
			unsigned int n)
{
	unsigned int i, from;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		for (from = i; i < n && w->has[i]; i++) {
			if (!memory_is_zero(host + i * PAGE, PAGE))
				continue;
			w->figures->zero_skipped++;
			break;
		}
		if (i == from)
			continue;
		w->figures->written += i - from;
		r = write_run(w, gpa + from * PAGE, host + from * PAGE,
			      (i - from) * PAGE);
	}
	return r;
}

static int write_region(struct writer *w, const struct gmem_region *g)
{
	uint64_t at;
	unsigned int n;
	int r = 0;

	w->figures->pages += g->bytes / PAGE;
	for (at = 0; at < g->bytes && !r; at += n * PAGE) {
		if (w->parent && getppid() != w->parent)
			return err_set(w->e, -ECANCELED, "nobody waits for it");
		n = (unsigned int)MIN((g->bytes - at) / PAGE, WINDOW);
		r = read_pagemap(w, g->host + at, n);
		if (!r)
			r = add_image(w, g->start + at, n);
		if (!r)
			r = write_window(w, g->start + at, g->host + at, n);
	}
	return r;
}

static uint64_t end_of(const struct ram *ram)
{
	const struct gmem_region *last = &ram->mem.region[ram->mem.count - 1];

	return last->start + last->bytes;
}

int ram_image_write_for(const struct ram *ram, int fd, pid_t parent,
			struct ram_image_figures *figures, struct err *e)
{
	struct writer w = { .ram = ram,
			    .fd = fd,
			    .parent = parent,
			    .figures = figures,
			    .e = e };
	unsigned int i;
	int r = 0;

	*figures = (struct ram_image_figures){ 0 };
	w.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (w.pagemap < 0)
		return err_sys(e, -errno, "/proc/self/pagemap");
	if (ftruncate(fd, (off_t)end_of(ram)) < 0)
		r = err_sys(e, -errno, "memory image");
	for (i = 0; i < ram->mem.count && !r; i++)
		r = write_region(&w, &ram->mem.region[i]);
	close(w.pagemap);
	return r;
}

int ram_image_write(const struct ram *ram, int fd,
		    struct ram_image_figures *figures, struct err *e)
{
	return ram_image_write_for(ram, fd, 0, figures, e);
}

/* --- mapping --------------------------------------------------------- */

int ram_image_map(struct ram *ram, int fd, struct err *e)
{
	struct stat st;
	unsigned int i;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "memory image");
	if ((uint64_t)st.st_size != end_of(ram))
		return err_set(
			e, -EINVAL,
			"the memory image has %llu bytes, this machine's "
			"memory ends at %llu",
			(unsigned long long)st.st_size,
			(unsigned long long)end_of(ram));
	for (i = 0; i < ram->mem.count; i++) {
		const struct gmem_region *g = &ram->mem.region[i];

		if (mmap(g->host, g->bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
			 (off_t)g->start) == MAP_FAILED)
			return err_sys(e, -errno, "mapping the memory image");
		madvise(g->host, g->bytes, MADV_DONTDUMP);
		madvise(g->host, g->bytes, MADV_DONTFORK);
	}
	if (ram->image_fd >= 0)
		close(ram->image_fd);
	ram->image_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return ram->image_fd < 0 ? err_sys(e, -errno, "memory image") : 0;
}
