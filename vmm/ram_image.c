/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing memory images. Which pages there are says the kernel (Linux,
 * admin-guide/mm/pagemap.rst) and, of memory that is itself mapped from
 * images, the data of those files. INV-1: a page that was never touched is not
 * touched here, but for an increment's granules.
 */
#include "vmm/ram_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "vmm/ram_scan.h"
#include "vmm/ram_share.h"

#define PAGE	    4096ULL
#define WINDOW	    (RAM_GRANULE_MAX / 4096) /* pages */
#define WRITE_BYTES (1u << 20)
#define FLUSH_BYTES (8u << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct writer {
	const struct ram_image_job *job;
	struct ram_map plan; /* granules, without tables */
	int pagemap;
	struct ram_share used; /* there is nothing else to be written */
	bool shows_base;       /* what nobody wrote is the base's */
	struct ram_image_figures *figures;
	struct err *e;
	uint64_t flushed, unflushed; /* the disk has been told to write */
	uint8_t *window;	     /* pages looked at together */
	bool has[WINDOW]; /* those of them that may have to be written */
};

/* --- what there is --------------------------------------------------- */

static int has_run(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	struct writer *w = ctx;
	uint64_t first = (uint64_t)(host - w->window) / PAGE, i;

	(void)e;
	for (i = first; i < first + bytes / PAGE; i++)
		w->has[i] = true;
	return 0;
}

static int look_at_pages(struct writer *w, uint8_t *host, unsigned int n)
{
	const struct ram_scan touched = {
		.any = RAM_SCAN_TOUCHED,
		.none = w->shows_base ? RAM_SCAN_FILE : 0,
		.found = has_run,
		.ctx = w,
	};

	w->window = host;
	memset(w->has, 0, sizeof(w->has));
	return ram_scan(w->pagemap, &touched, host, n * PAGE, w->e);
}

static int add_file(struct writer *w, int fd, uint64_t gpa, unsigned int n)
{
	off_t at = (off_t)gpa, end = (off_t)(gpa + n * PAGE), data, hole;

	while (at < end) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(w->e, -errno, "the memory's image");
		for (at = data; at < MIN(hole, end); at += PAGE)
			w->has[((uint64_t)at - gpa) / PAGE] = true;
		at = hole;
	}
	return 0;
}

/* Pages that nobody touched since they were mapped show the images'. */
static int add_images(struct writer *w, const struct ram *ram, uint64_t gpa,
		      unsigned int n)
{
	unsigned int i;
	int r = 0;

	for (i = 0; ram && !w->shows_base && i < ram->images.count && !r; i++)
		r = add_file(w, ram->images.fd[i], gpa, n);
	return r;
}

static void look_up(struct writer *w, const uint8_t *host, unsigned int n)
{
	uint64_t page = (uint64_t)(host - w->job->ram->host) / PAGE;
	unsigned int i;

	for (i = 0; i < n; i++, page++)
		w->has[i] = w->job->maybe[page / 64] >> page % 64 & 1;
}

static int look(struct writer *w, uint64_t gpa, uint8_t *host, unsigned int n)
{
	int r;

	if (w->job->maybe) {
		look_up(w, host, n);
		return 0;
	}
	r = look_at_pages(w, host, n);
	if (!r)
		r = add_images(w, w->job->ram, gpa, n);
	if (!r)
		r = add_images(w, w->job->base, gpa, n);
	return r;
}

/* --- writing --------------------------------------------------------- */

/*
 * The disk begins while the rest is looked at. Only a matter of time: an error
 * comes up in the sync that counts.
 */
static void flush_behind(struct writer *w, uint64_t gpa, uint64_t bytes)
{
	w->unflushed += bytes;
	if (w->unflushed < FLUSH_BYTES)
		return;
	sync_file_range(w->job->fd, (off_t)w->flushed,
			(off_t)(gpa + bytes - w->flushed),
			SYNC_FILE_RANGE_WRITE);
	w->flushed = gpa + bytes;
	w->unflushed = 0;
}

static int write_run(struct writer *w, uint64_t gpa, const uint8_t *host,
		     uint64_t bytes)
{
	ssize_t n;

	w->figures->written += bytes / PAGE;
	while (bytes) {
		n = pwrite(w->job->fd, host, MIN(bytes, WRITE_BYTES),
			   (off_t)gpa);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(w->e, n ? -errno : -EIO,
				       "writing memory at %#llx",
				       (unsigned long long)gpa);
		flush_behind(w, gpa, (uint64_t)n);
		host += n;
		gpa += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

/* Those pages of a full image that are not zero. */
static int write_pages(struct writer *w, uint64_t gpa, const uint8_t *host,
		       unsigned int first, unsigned int n, bool *any)
{
	unsigned int i, from, end = first + n;
	int r = 0;

	for (i = first; i < end && !r; i++) {
		for (from = i; i < end && w->has[i]; i++) {
			if (!memory_is_zero(host + i * PAGE, PAGE))
				continue;
			w->figures->zero_skipped++;
			break;
		}
		if (i == from)
			continue;
		*any = true;
		r = write_run(w, gpa + from * PAGE, host + from * PAGE,
			      (i - from) * PAGE);
	}
	return r;
}

static bool has_changed(const struct writer *w, const uint8_t *host,
			unsigned int first, unsigned int n)
{
	const uint8_t *base = w->job->base->host + (host - w->job->ram->host);
	unsigned int i;

	for (i = first; i < first + n; i++)
		if (w->has[i] &&
		    memcmp(host + i * PAGE, base + i * PAGE, PAGE) != 0)
			return true;
	return false;
}

static void record(struct writer *w, const uint8_t *host, uint64_t bytes)
{
	uint64_t i = (uint64_t)(host - w->job->ram->host) / w->plan.granule;

	if (!w->job->map)
		return;
	w->job->map->stored[i] = 1;
	w->job->map->hash[i] = ram_map_hash(host, bytes);
}

/* Pages first.. of the window. */
static int write_granule(struct writer *w, uint64_t gpa, const uint8_t *host,
			 unsigned int first, unsigned int n)
{
	bool any = false;
	int r = 0;

	if (w->job->base) {
		any = has_changed(w, host, first, n);
		if (any)
			r = write_run(w, gpa + first * PAGE,
				      host + first * PAGE, n * PAGE);
	} else {
		r = write_pages(w, gpa, host, first, n, &any);
	}
	if (any && !r)
		record(w, host + first * PAGE, n * PAGE);
	return r;
}

static int write_window(struct writer *w, uint64_t gpa, uint8_t *host,
			unsigned int n)
{
	unsigned int step = (unsigned int)(w->plan.granule / PAGE), i;
	int r = look(w, gpa, host, n);

	for (i = 0; i < n && !r; i += step)
		r = write_granule(w, gpa, host, i, MIN(step, n - i));
	return r;
}

static int write_region(struct writer *w, const struct gmem_region *g)
{
	uint64_t at, offset = (uint64_t)(g->host - w->job->ram->host);
	unsigned int n;
	int r = 0;

	w->figures->pages += g->bytes / PAGE;
	for (at = 0; at < g->bytes && !r; at += n * PAGE) {
		if (w->job->parent && getppid() != w->job->parent)
			return err_set(w->e, -ECANCELED, "nobody waits for it");
		n = (unsigned int)MIN((g->bytes - at) / PAGE, WINDOW);
		if (ram_share_has(&w->used, offset + at,
				  offset + at + n * PAGE))
			r = write_window(w, g->start + at, g->host + at, n);
		if (!r && progress_add(w->job->progress, n * PAGE))
			return err_set(w->e, -ECANCELED, "cancelled");
	}
	return r;
}

int ram_image_write(const struct ram_image_job *job,
		    struct ram_image_figures *figures, struct err *e)
{
	struct writer w = { .job = job, .figures = figures, .e = e };
	unsigned int i;
	size_t bytes;
	int r = 0;

	*figures = (struct ram_image_figures){ 0 };
	ram_map_plan(&w.plan, job->ram->bytes, &bytes);
	w.shows_base = job->base &&
		       ram_images_equal(&job->ram->images, &job->base->images);
	ram_share_for(&w.used, job);
	w.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (w.pagemap < 0)
		return err_sys(e, -errno, "/proc/self/pagemap");
	if (ftruncate(job->fd, (off_t)ram_end(job->ram)) < 0)
		r = err_sys(e, -errno, "memory image");
	for (i = 0; i < job->ram->mem.count && !r; i++)
		r = write_region(&w, &job->ram->mem.region[i]);
	close(w.pagemap);
	return r;
}
