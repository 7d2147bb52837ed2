/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of memory, few enough to be advised about one by one. */
#include "vmm/ram_share.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ram_scan.h"

#define PAGE	   4096ULL
#define PIECE	   (256ULL << 20) /* of what is used, at least */
#define PIECES_MAX (RAM_SHARE_RANGES / 2)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

void ram_share_all(struct ram_share *s, const struct ram *ram)
{
	*s = (struct ram_share){ .range[0] = { 0, ram->bytes }, .count = 1 };
}

static bool has_bit(const uint64_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to; from++) {
		if (!(from % 64) && !bits[from / 64])
			from |= 63;
		else if (bits[from / 64] >> from % 64 & 1)
			return true;
	}
	return false;
}

/* Whole granules, with every page whose bit is set in maybe. */
static void share_maybe(struct ram_share *s, const struct ram *ram,
			const uint64_t *maybe)
{
	struct ram_ranges r = { .range = s->range, .max = RAM_SHARE_RANGES };
	struct ram_map plan;
	uint64_t at, end;
	size_t bytes;

	ram_map_plan(&plan, ram->bytes, &bytes);
	r.gap = plan.granule;
	for (at = 0; at < ram->bytes; at = end) {
		end = MIN(at + plan.granule, ram->bytes);
		if (has_bit(maybe, at / PAGE, end / PAGE))
			ram_ranges_add(&r, at, end);
	}
	s->count = r.count;
}

static uint64_t piece_of(const struct ram *ram)
{
	uint64_t piece = PIECE;

	while (ram->bytes / piece >= PIECES_MAX)
		piece *= 2;
	return piece;
}

/*
 * Pieces that begin with a page that is there: how many there are is bounded,
 * not how many pages, so that it takes some microseconds. False: can't tell.
 */
static bool share_used(struct ram_share *s, const struct ram *ram)
{
	const struct ram_scan there = { .any = RAM_SCAN_PRESENT |
					       RAM_SCAN_SWAPPED };
	struct ram_ranges r = { .range = s->range,
				.max = RAM_SHARE_RANGES,
				.gap = 1 };
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t at = 0, piece = piece_of(ram), left, first;
	int error = pagemap < 0 ? -errno : 0;

	while (!error && at < ram->bytes) {
		left = ram->bytes - at;
		error = ram_scan_first(pagemap, &there, ram->host + at, left,
				       &first);
		if (error || first == left)
			break;
		at += first & ~(RAM_HUGE_PAGE - 1);
		ram_ranges_add(&r, at, MIN(at + piece, ram->bytes));
		at += piece;
	}
	if (pagemap >= 0)
		close(pagemap);
	s->count = r.count;
	return !error;
}

void ram_share_for(struct ram_share *s, const struct ram_image_job *job)
{
	bool is_plain = !job->base && !job->ram->images.count;

	if (job->maybe)
		share_maybe(s, job->ram, job->maybe);
	else if (!is_plain || !share_used(s, job->ram))
		ram_share_all(s, job->ram);
}

bool ram_share_has(const struct ram_share *s, uint64_t from, uint64_t to)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (from < s->range[i].to && s->range[i].from < to)
			return true;
	return false;
}

int ram_share_begin(const struct ram_share *s, const struct ram *ram)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (madvise(ram->host + s->range[i].from,
			    s->range[i].to - s->range[i].from, MADV_DOFORK) < 0)
			return -errno;
	return 0;
}

void ram_share_end(const struct ram *ram)
{
	/* A failure costs memory in the children that there are, no more. */
	madvise(ram->host, ram->bytes, MADV_DONTFORK);
}
