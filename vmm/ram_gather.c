/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INV-1: a block is looked at just before it is gathered, and all of its pages
 * were there: memory that was given back is not taken again, but for a block
 * that loses a page in that moment.
 */
#include "vmm/ram_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/thread.h"
#include "vmm/ram_scan.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older headers don't know it */
#endif

#define STACK_BYTES (128u << 10)
#define HUGE_PAGE   RAM_HUGE_PAGE

struct ram_gather {
	struct ram *ram; /* borrowed */
	pthread_t thread;
	_Atomic bool is_ending, is_done;
};

static int is_whole(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	(void)host;
	(void)e;
	*(bool *)ctx = bytes == HUGE_PAGE;
	return 0;
}

/* False: it's no use to go on. */
static bool gather(int pagemap, uint8_t *block)
{
	bool is_small = false;
	const struct ram_scan small = {
		.all = RAM_SCAN_PRESENT,
		.none = RAM_SCAN_FILE | RAM_SCAN_ZERO | RAM_SCAN_HUGE,
		.found = is_whole,
		.ctx = &is_small,
	};

	if (ram_scan(pagemap, &small, block, HUGE_PAGE, NULL))
		return false;
	/* One that is in use, or pinned, is left. */
	return !is_small || !madvise(block, HUGE_PAGE, MADV_COLLAPSE) ||
	       errno != ENOMEM;
}

static void gather_all(const struct ram_gather *g, int pagemap)
{
	uint64_t at;

	for (at = RAM_SMALL_BYTES; at + HUGE_PAGE <= g->ram->bytes;
	     at += HUGE_PAGE)
		if (g->is_ending || !gather(pagemap, g->ram->host + at))
			break;
}

static void *gather_main(void *arg)
{
	struct ram_gather *g = arg;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pagemap >= 0) {
		gather_all(g, pagemap);
		close(pagemap);
	}
	g->is_done = true;
	return NULL;
}

/* MADV_COLLAPSE doesn't ask (Linux, admin-guide/mm/transhuge.rst). */
static bool host_wants_them(void)
{
	struct buf text;
	bool wants;

	buf_init(&text, 256);
	wants = !file_read(AT_FDCWD,
			   "/sys/kernel/mm/transparent_hugepage/enabled", 255,
			   &text, NULL) &&
		!strstr(buf_text(&text), "[never]");
	buf_fini(&text);
	return wants;
}

static bool has_huge_pages(const struct ram *ram)
{
	return !ram->images.count && !ram->track.is_wanted && host_wants_them();
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

bool ram_gather_is_done(const struct ram_gather *g)
{
	return !g || g->is_done;
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
