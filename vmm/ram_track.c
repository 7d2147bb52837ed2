/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that were written since a moment, by userfaultfd's asynchronous
 * write-protection (Linux 6.7; admin-guide/mm/pagemap.rst). INV-1: a page is
 * left out only when it has been protected since the moment, or shows an image
 * that nobody has changed; where anything fails nothing is known. INV-2: a
 * page that was given back is written, as it may be gone, or an image's again.
 */
#include "vmm/ram_track.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/ram_image.h"
#include "vmm/ram_scan.h"

#define PAGE  4096ULL
#define PIECE (64ULL << 20) /* that a lock of the kernel's is held for */

/* Of Linux 5.11 and 6.7, which older headers don't know. */
#define USER_MODE_ONLY	 1
#define FEATURE_WP_ASYNC (1ULL << 15)

uint64_t ram_track_words(const struct ram *ram)
{
	return (ram->bytes / PAGE + 63) / 64;
}

static void set_bits(uint64_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to && from % 64; from++)
		bits[from / 64] |= UINT64_C(1) << from % 64;
	for (; from + 64 <= to; from += 64)
		bits[from / 64] = ~UINT64_C(0);
	for (; from < to; from++)
		bits[from / 64] |= UINT64_C(1) << from % 64;
}

/* --- protecting ------------------------------------------------------- */

/*
 * No fault comes to user space, so that it may be had without privileges,
 * and covers what the kernel writes for us all the same.
 */
static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = FEATURE_WP_ASYNC };
	int fd = (int)syscall(SYS_userfaultfd,
			      O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Again each time: what was mapped since is not. */
static bool cover_locked(struct ram *ram) LOCK_NEEDS(ram->track.lock);

static bool cover_locked(struct ram *ram)
{
	struct uffdio_register all = {
		.range = { (uintptr_t)ram->host, ram->bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct ram_track *t = &ram->track;

	if (t->uffd < 0)
		t->uffd = open_uffd();
	return t->uffd >= 0 && !ioctl(t->uffd, UFFDIO_REGISTER, &all);
}

static bool make_room(struct ram *ram)
{
	struct ram_track *t = &ram->track;

	if (!t->discarded)
		t->discarded =
			calloc(ram_track_words(ram), sizeof(*t->discarded));
	return t->discarded;
}

struct note {
	const struct ram *ram;
	uint64_t *maybe;
};

static int note_run(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	struct note *n = ctx;
	uint64_t page = (uint64_t)(host - n->ram->host) / PAGE;

	(void)e;
	set_bits(n->maybe, page, page + bytes / PAGE);
	return 0;
}

/*
 * Pages that are not there have not been written, pages of images are as they
 * were; but see INV-2.
 */
static bool protect(const struct ram *ram, uint64_t *maybe)
{
	struct note note = { ram, maybe };
	struct ram_scan written = {
		.all = RAM_SCAN_WRITTEN,
		.any = RAM_SCAN_TOUCHED,
		.flags = RAM_SCAN_PROTECT,
		.found = note_run,
		.ctx = &note,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r;

	if (pagemap < 0)
		return false;
	if (ram->images.count)
		written.none = RAM_SCAN_FILE;
	r = ram_scan(pagemap, &written, ram->host, ram->bytes, NULL);
	close(pagemap);
	return !r;
}

/* --- moments ---------------------------------------------------------- */

static bool stands_on(const struct ram *ram, const struct ram_track_cut *cut)
{
	if (!cut->base)
		return false;
	if (*ram->track.since)
		return cut->base_name &&
		       !strcmp(ram->track.since, cut->base_name);
	return ram_images_equal(&ram->images, &cut->base->images);
}

static void take_discarded(struct ram *ram, uint64_t *maybe)
{
	uint64_t i, words = ram_track_words(ram);

	for (i = 0; i < words; i++) {
		maybe[i] |= ram->track.discarded[i];
		ram->track.discarded[i] = 0;
	}
}

static void forget_locked(struct ram *ram) LOCK_NEEDS(ram->track.lock);

static void forget_locked(struct ram *ram)
{
	if (ram->track.uffd >= 0)
		close(ram->track.uffd);
	ram->track.uffd = -1;
	*ram->track.since = '\0';
}

static bool cut_locked(struct ram *ram, const struct ram_track_cut *cut,
		       uint64_t *maybe) LOCK_NEEDS(ram->track.lock);

static bool cut_locked(struct ram *ram, const struct ram_track_cut *cut,
		       uint64_t *maybe)
{
	bool is_known = stands_on(ram, cut);

	if (strlen(cut->moment) > RAM_MOMENT_CHARS || !make_room(ram) ||
	    !cover_locked(ram) || !protect(ram, maybe)) {
		forget_locked(ram);
		return false;
	}
	take_discarded(ram, maybe);
	snprintf(ram->track.since, sizeof(ram->track.since), "%s", cut->moment);
	return is_known;
}

bool ram_track_cut(struct ram *ram, const struct ram_track_cut *cut,
		   uint64_t *maybe)
{
	bool is_known;

	lock_take(&ram->track.lock);
	is_known = cut_locked(ram, cut, maybe);
	lock_release(&ram->track.lock);
	return is_known;
}

void ram_track_forget(struct ram *ram)
{
	lock_take(&ram->track.lock);
	forget_locked(ram);
	lock_release(&ram->track.lock);
}

void ram_track_init(struct ram *ram)
{
	ram->track = (struct ram_track){ .uffd = -1 };
	lock_init(&ram->track.lock);
}

void ram_track_fini(struct ram *ram)
{
	ram_track_forget(ram);
	free(ram->track.discarded);
	ram->track.discarded = NULL;
	lock_fini(&ram->track.lock);
}

/* --- watching --------------------------------------------------------- */

bool ram_track_watch(struct ram *ram)
{
	bool can;

	lock_take(&ram->track.lock);
	can = cover_locked(ram);
	lock_release(&ram->track.lock);
	return can;
}

/* In pieces: faults wait meanwhile. */
static void uncover(const struct ram *ram)
{
	struct uffdio_range piece;
	uint64_t at;

	for (at = 0; at < ram->bytes; at += PIECE) {
		piece.start = (uintptr_t)ram->host + at;
		piece.len = ram->bytes - at < PIECE ? ram->bytes - at : PIECE;
		ioctl(ram->track.uffd, UFFDIO_UNREGISTER, &piece);
	}
}

void ram_track_unwatch(struct ram *ram)
{
	lock_take(&ram->track.lock);
	if (ram->track.uffd >= 0 && !*ram->track.since) {
		uncover(ram);
		forget_locked(ram); /* also what could not be */
	}
	lock_release(&ram->track.lock);
}

/* --- what is given back ------------------------------------------------ */

/* While it runs nobody else looks; other devices' threads do the same. */
void ram_track_discarded(const struct ram *ram, uint64_t at, uint64_t bytes)
{
	uint64_t page = at / PAGE, end = (at + bytes + PAGE - 1) / PAGE;

	for (; ram->track.discarded && page < end; page++)
		__atomic_fetch_or(&ram->track.discarded[page / 64],
				  UINT64_C(1) << page % 64, __ATOMIC_RELAXED);
}
