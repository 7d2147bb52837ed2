/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that shows images. Each is mapped where it has data over those
 * before it; its data are whole granules, so that there are few mappings.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/ram_image.h"
#include "vmm/ram_track.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* --- sets of files --------------------------------------------------- */

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

bool ram_images_equal(const struct ram_images *a, const struct ram_images *b)
{
	unsigned int i;

	for (i = 0; i < a->count && i < b->count; i++)
		if (!is_same_file(a->fd[i], b->fd[i]))
			return false;
	return a->count == b->count && a->count;
}

void ram_images_close(struct ram_images *images)
{
	while (images->count)
		close(images->fd[--images->count]);
}

int ram_images_copy(struct ram_images *to, const struct ram_images *from)
{
	to->count = 0;
	while (to->count < from->count) {
		int fd = fcntl(from->fd[to->count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			ram_images_close(to);
			return -EMFILE;
		}
		to->fd[to->count++] = fd;
	}
	return 0;
}

/* --- mapping --------------------------------------------------------- */

static int check_size(const struct ram *ram, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "memory image");
	if ((uint64_t)st.st_size == ram_end(ram))
		return 0;
	return err_set(e, -EINVAL,
		       "the memory image has %llu bytes, this machine's "
		       "memory ends at %llu",
		       (unsigned long long)st.st_size,
		       (unsigned long long)ram_end(ram));
}

static int map(const struct gmem_region *g, uint64_t from, uint64_t bytes,
	       int fd, struct err *e)
{
	if (mmap(g->host + from, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 (off_t)(g->start + from)) == MAP_FAILED)
		return err_sys(e, -errno, "mapping the memory image");
	return 0;
}

/* Where it has data; the rest is what is there already. */
static int map_data(const struct gmem_region *g, int fd, struct err *e)
{
	off_t end = (off_t)(g->start + g->bytes), at = (off_t)g->start;
	off_t data, hole;
	int r = 0;

	while (at < end && !r) {
		data = lseek(fd, at, SEEK_DATA);
		if (data >= end || (data < 0 && errno == ENXIO))
			break;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(e, -errno, "memory image");
		at = MIN(hole, end);
		r = map(g, (uint64_t)data - g->start, (uint64_t)(at - data), fd,
			e);
	}
	return r;
}

static int map_image(struct ram *ram, int fd, bool is_first, struct err *e)
{
	unsigned int i;
	int r = check_size(ram, fd, e);

	for (i = 0; i < ram->mem.count && !r; i++)
		r = is_first ? map(&ram->mem.region[i], 0,
				   ram->mem.region[i].bytes, fd, e)
			     : map_data(&ram->mem.region[i], fd, e);
	return r;
}

int ram_image_map(struct ram *ram, const struct ram_images *images,
		  struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < images->count && !r; i++)
		r = map_image(ram, images->fd[i], i == 0, e);
	madvise(ram->host, ram->bytes, MADV_DONTDUMP);
	madvise(ram->host, ram->bytes, MADV_DONTFORK);
	ram_track_forget(ram);
	if (r)
		return r;
	ram_images_close(&ram->images);
	r = ram_images_copy(&ram->images, images);
	return r ? err_sys(e, r, "memory image") : 0;
}
