/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INV-1: only a block all of whose pages are there is gathered, so that the
 * guest's memory holds no more of the host's than before.
 */
#include "vmm/ram_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/thread.h"
#include "vmm/ram_scan.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older headers don't know it */
#endif

#define STACK_BYTES (128u << 10)
#define HUGE_PAGE   (2ULL << 20)

struct ram_gather {
	struct ram *ram; /* borrowed */
	pthread_t thread;
	_Atomic bool is_ending;
};

/* Of small pages in a row the whole blocks. */
static int gather(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	const struct ram_gather *g = ctx;
	uint8_t *end = host + bytes;
	uint8_t *at = host + (-(uintptr_t)host & (HUGE_PAGE - 1));

	(void)e;
	for (; at < end && (uint64_t)(end - at) >= HUGE_PAGE; at += HUGE_PAGE) {
		if (g->is_ending)
			return -ECANCELED;
		/* One that is in use, or pinned, is left; without huge pages
		 * to be had, all are. */
		if (madvise(at, HUGE_PAGE, MADV_COLLAPSE) < 0 &&
		    errno == ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

static void *gather_main(void *arg)
{
	struct ram_gather *g = arg;
	const struct ram_scan small = {
		.all = RAM_SCAN_PRESENT,
		.none = RAM_SCAN_FILE | RAM_SCAN_ZERO | RAM_SCAN_HUGE,
		.found = gather,
		.ctx = g,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pagemap < 0)
		return NULL;
	ram_scan(pagemap, &small, g->ram->host, g->ram->bytes, NULL);
	close(pagemap);
	return NULL;
}

static bool has_huge_pages(const struct ram *ram)
{
	return !ram->images.count && !ram->track.is_wanted;
}

int ram_gather_start(struct ram_gather **out, struct ram *ram)
{
	struct ram_gather *g;
	int r;

	*out = NULL;
	if (!has_huge_pages(ram))
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->ram = ram;
	r = thread_start(&g->thread, STACK_BYTES, 0, gather_main, g);
	if (r)
		free(g);
	else
		*out = g;
	return r;
}

void ram_gather_yield(struct ram_gather *g)
{
	if (g)
		g->is_ending = true;
}

void ram_gather_stop(struct ram_gather *g)
{
	ram_gather_yield(g);
	ram_gather_wait(g);
}

void ram_gather_wait(struct ram_gather *g)
{
	if (!g)
		return;
	pthread_join(g->thread, NULL);
	free(g);
}
