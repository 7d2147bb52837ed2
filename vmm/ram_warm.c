/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that fetches and records. INV-1: a record is of what the guest
 * touched, not of what was fetched for it: that is in the page cache but in no
 * page table, and while it is watched the kernel maps nothing around a fault.
 */
#include "vmm/ram_warm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "devices/platform.h"
#include "vmm/ram_image.h"
#include "vmm/ram_set.h"
#include "vmm/ram_track.h"

#define STACK_BYTES (128u << 10)
#define PAGE	    4096ULL
#define BATCH_BYTES (512ULL << 10) /* that is asked for before it is */
#define BATCH_ASKS  32u		   /* waited for; and how often */
#define NOWHERE	    UINT64_MAX

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct ram_warm {
	struct ram *ram;	  /* borrowed */
	struct ram_images images; /* owned: of the set */
	int set;		  /* owned: the directory; -1: none */
	pthread_t thread;
	sem_t news; /* posted when one of these has become true */
	_Atomic bool has_run;
	_Atomic bool is_ending;
	_Atomic bool is_dropped; /* the memory is not the set's any more */

	/* The thread's alone: */
	bool is_watched; /* what is touched is known */
	uint64_t asked;	 /* bytes of this batch */
	unsigned int asks;
	uint64_t awaited; /* the end of the last batch; NOWHERE: none */
};

/* --- ahead of the guest ------------------------------------------------ */

/* Reading a byte of it waits for the page; in the image that it is of. */
static void await_page(const struct ram_warm *w, uint64_t at)
{
	uint64_t low = w->ram->mem.region[0].bytes;
	off_t gpa = (off_t)(at < low ? at : at - low + RAM_HOLE_END);
	unsigned int i;
	char byte;

	for (i = w->images.count; i-- > 0;)
		if (lseek(w->images.fd[i], gpa, SEEK_DATA) == gpa) {
			while (pread(w->images.fd[i], &byte, 1, gpa) < 0 &&
			       errno == EINTR)
				;
			return;
		}
}

/*
 * A little at a time, waiting for what was asked for before the last: the disk
 * has something to do, and the guest's own reads don't wait for all of ours.
 */
static void ask_for(struct ram_warm *w, uint64_t from, uint64_t to)
{
	madvise(w->ram->host + from, to - from, MADV_WILLNEED);
	w->asked += to - from;
	if (++w->asks < BATCH_ASKS && w->asked < BATCH_BYTES)
		return;
	if (w->awaited != NOWHERE)
		await_page(w, w->awaited);
	w->awaited = to - PAGE;
	w->asked = w->asks = 0;
}

static void fetch_set(struct ram_warm *w, const struct ram_set *set)
{
	uint64_t at, to;
	uint32_t i;

	for (i = 0; i < set->count; i++)
		for (at = set->range[i].from; at < set->range[i].to; at = to) {
			if (w->is_ending || w->is_dropped)
				return;
			to = MIN(set->range[i].to, at + BATCH_BYTES);
			ask_for(w, at, to);
		}
}

/* --- what was written down --------------------------------------------- */

/* True: it is of this memory; ram_set_fini() then. */
static bool load(const struct ram_warm *w, struct ram_set *set)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, RAM_SET_BYTES);
	r = file_read(w->set, RAM_WARM_FILE, RAM_SET_BYTES, &bytes, NULL);
	if (!r)
		r = ram_set_load(set, bytes.data, bytes.len, NULL);
	buf_fini(&bytes);
	if (!r && set->bytes != w->ram->bytes) {
		ram_set_fini(set);
		r = -EINVAL;
	}
	return !r;
}

/* A clock that was set back makes it old. */
static bool is_recent(const struct ram_warm *w)
{
	int64_t now = (int64_t)(clock_wall_ns() / NS_PER_S);
	struct stat st;

	return !fstatat(w->set, RAM_WARM_FILE, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_mtim.tv_sec <= now &&
	       st.st_mtim.tv_sec + RAM_WARM_RECENT_S > now;
}

static void write_down(struct ram_warm *w, struct ram_set *set)
{
	struct buf bytes;

	buf_init(&bytes, RAM_SET_BYTES);
	if (!ram_set_save(set, &bytes, NULL) && !w->is_dropped)
		file_commit(w->set, RAM_WARM_FILE, bytes.data, bytes.len,
			    FILE_ATOMIC, NULL);
	buf_fini(&bytes);
}

static void record(struct ram_warm *w)
{
	struct ram_set set;

	if (!w->has_run || w->is_dropped || ram_set_look(&set, w->ram, NULL))
		return;
	write_down(w, &set);
	ram_set_fini(&set);
}

/* --- the thread -------------------------------------------------------- */

static void wait_for_the_guest(struct ram_warm *w)
{
	while (!w->has_run && !w->is_ending)
		sem_wait(&w->news);
}

/* Until it is over, or the guest has run for so long. */
static void wait_for_the_end(struct ram_warm *w)
{
	uint64_t due_ns = clock_mono_ns() + RAM_WARM_MS * NS_PER_MS;
	struct timespec due = { (time_t)(due_ns / NS_PER_S),
				(long)(due_ns % NS_PER_S) };

	while (!w->is_ending &&
	       (!sem_clockwait(&w->news, CLOCK_MONOTONIC, &due) ||
		errno == EINTR))
		;
}

/* While it is watched touching costs more: not each time. */
static void *warm_main(void *arg)
{
	struct ram_warm *w = arg;
	struct ram_set set;
	bool is_known = load(w, &set);

	if (!is_known || !is_recent(w))
		w->is_watched = ram_track_watch(w->ram);
	wait_for_the_guest(w);
	if (is_known) {
		fetch_set(w, &set);
		ram_set_fini(&set);
	}
	if (!w->is_watched)
		return NULL;
	wait_for_the_end(w);
	record(w);
	if (!w->is_ending) /* else all of it goes */
		ram_track_unwatch(w->ram);
	return NULL;
}

static void free_all(struct ram_warm *w)
{
	sem_destroy(&w->news);
	if (w->set >= 0)
		close(w->set);
	ram_images_close(&w->images);
	free(w);
}

int ram_warm_start(struct ram_warm **out, struct ram *ram, int set)
{
	struct ram_warm *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->ram = ram;
	w->awaited = NOWHERE;
	sem_init(&w->news, 0, 0);
	w->set = fcntl(set, F_DUPFD_CLOEXEC, 0);
	r = w->set < 0 ? -errno : ram_images_copy(&w->images, &ram->images);
	if (!r)
		r = thread_start(&w->thread, STACK_BYTES, 0, warm_main, w);
	if (r)
		free_all(w);
	else
		*out = w;
	return r;
}

void ram_warm_run(struct ram_warm *w)
{
	if (w && !w->has_run) {
		w->has_run = true;
		sem_post(&w->news);
	}
}

void ram_warm_drop(struct ram_warm *w)
{
	if (w)
		w->is_dropped = true;
}

void ram_warm_stop(struct ram_warm *w)
{
	if (!w)
		return;
	w->is_ending = true;
	sem_post(&w->news);
	pthread_join(w->thread, NULL);
	free_all(w);
}
