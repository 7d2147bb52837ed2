/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Increments of what was written since a moment, held against all of the
 * memory: whoever wrote it, and whatever came in between.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devices/platform.h"
#include "tests/unit/seeded.h"
#include "tests/unit/suite.h"
#include "vmm/ram_freeze.h"
#include "vmm/ram_share.h"
#include "vmm/ram_track.h"

#define MIB   (1ULL << 20)
#define PAGE  4096ULL
#define HUGE  (2 * MIB)
#define BYTES (24 * MIB)
#define CHAIN 12 /* images, then a full one again */

static struct ram ram;
static struct ram_images images; /* of the current snapshot, owned */
static uint8_t *truth;		 /* what it shows */
static char current[32];
static unsigned int moments;
static uint64_t seed, rnd;
static struct err e;

static uint64_t below(uint64_t n)
{
	return seeded_next(&rnd) % n;
}

static void set_up(void)
{
	e.code = 0;
	rnd = seeded_start(seed);
	ck_assert_msg(!ram_create(&ram, BYTES, &e), "%s", e.text);
	truth = malloc(BYTES);
	ck_assert_ptr_nonnull(truth);
}

static void tear_down(void)
{
	ram_images_close(&images);
	ram_destroy(&ram);
	free(truth);
}

/* --- snapshots ------------------------------------------------------- */

static int begin(struct ram_freeze *f, const struct ram *base, char name[32])
{
	const struct ram_freeze_order order = {
		.fd = memfd_create("image", MFD_CLOEXEC),
		.base = base,
		.moment = name,
		.base_moment = base ? current : NULL,
		.is_tracked = true,
	};

	snprintf(name, 32, "m%u", ++moments);
	ck_assert_msg(!ram_freeze(f, &ram, &order, &e), "%s", e.text);
	return order.fd;
}

static void ck_shows(void)
{
	struct ram again;
	uint64_t at;

	ck_assert_int_eq(ram_create(&again, BYTES, &e), 0);
	ck_assert_msg(!ram_image_map(&again, &images, &e), "%s", e.text);
	for (at = 0; at < BYTES; at += PAGE)
		ck_assert_msg(!memcmp(again.host + at, truth + at, PAGE),
			      "seed %llu, moment %s of %u images: %#llx",
			      (unsigned long long)seed, current, images.count,
			      (unsigned long long)at);
	ram_destroy(&again);
}

/* Pages in the file. */
static uint64_t take(bool is_full)
{
	struct ram base = { .host = NULL };
	struct ram_image_figures figures;
	struct ram_freeze f;
	char name[32];
	int fd;

	is_full |= !images.count || images.count == CHAIN;
	if (!is_full) {
		ck_assert_int_eq(ram_create(&base, BYTES, &e), 0);
		ck_assert_int_eq(ram_image_map(&base, &images, &e), 0);
	}
	fd = begin(&f, is_full ? NULL : &base, name);
	memcpy(truth, ram.host, BYTES); /* now: it touches what is not there */
	memset(ram.host + below(BYTES / PAGE) * PAGE, 0x77, PAGE);
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	ram_freeze_cancel(&f);
	if (is_full)
		ram_images_close(&images);
	images.fd[images.count++] = fd;
	snprintf(current, sizeof(current), "%s", name);
	ram_destroy(&base);
	ck_shows();
	return figures.written;
}

/* One that comes to nothing. */
static void take_nothing(void)
{
	struct ram_freeze f;
	char name[32];

	close(begin(&f, NULL, name));
	ram_freeze_cancel(&f);
}

/* --- who writes ------------------------------------------------------ */

static void by_guest(uint64_t at, uint64_t bytes)
{
	memset(ram.host + at, (int)below(3), bytes);
}

static void by_pread(uint64_t at, uint64_t bytes)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_gt(pread(fd, ram.host + at, bytes, 0), 0);
	close(fd);
}

static void by_io_uring(uint64_t at, uint64_t bytes)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	if (io_uring_queue_init(4, &ring, 0)) {
		close(fd);
		by_pread(at, bytes);
		return;
	}
	io_uring_prep_read(io_uring_get_sqe(&ring), fd, ram.host + at,
			   (unsigned int)bytes, 64);
	ck_assert_int_eq(io_uring_submit_and_wait(&ring, 1), 1);
	ck_assert_int_eq(io_uring_peek_cqe(&ring, &cqe), 0);
	ck_assert_int_gt(cqe->res, 0);
	io_uring_queue_exit(&ring);
	close(fd);
}

static void discard(uint64_t at, uint64_t bytes)
{
	uint64_t from = at & ~(PAGE - 1);

	if (below(3) == 0) { /* with its table */
		from = at & ~(HUGE - 1);
		bytes = HUGE;
	}
	ram_discard(&ram, ram.host + from, (bytes + PAGE - 1) & ~(PAGE - 1));
	if (below(2)) /* and looked at again */
		ck_assert_int_lt(ram.host[from], 256);
}

static void write_something(void)
{
	static void (*const by[])(uint64_t, uint64_t) = {
		by_guest, by_guest, by_pread, by_io_uring, discard,
	};
	uint64_t at = below(BYTES - 3 * MIB);
	uint64_t bytes = 1 + below(below(4) ? 3 * PAGE : 2 * MIB);

	by[below(5)](at, bytes);
}

/* --- what comes in between ------------------------------------------- */

static void go_back(void)
{
	ck_assert_msg(!ram_image_rewind(&ram, &images, &e), "%s", e.text);
	ck_assert_int_eq(memcmp(ram.host, truth, BYTES), 0);
}

static void restore(void)
{
	ram_destroy(&ram);
	ck_assert_int_eq(ram_create(&ram, BYTES, &e), 0);
	ck_assert_msg(!ram_image_map(&ram, &images, &e), "%s", e.text);
}

/* Of no more descriptors: nothing can be known. */
static void take_without_knowing(void)
{
	struct rlimit was, limit;
	struct ram_track_cut cut = { .moment = "x" };
	uint64_t *maybe = calloc(ram_track_words(&ram), sizeof(*maybe));

	getrlimit(RLIMIT_NOFILE, &was);
	limit = was;
	limit.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(!ram_track_cut(&ram, &cut, maybe));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	ck_assert_int_eq(ram.track.uffd, -1);
	free(maybe);
}

static void something_else(void)
{
	switch (below(6)) {
	case 0:
		take_nothing();
		break;
	case 1:
		go_back();
		break;
	case 2:
		restore();
		break;
	case 3:
		take_without_knowing();
		break;
	default:
		break;
	}
}

START_TEST(increments_are_the_truth_whoever_writes)
{
	uint64_t steps = seeded_setting("TRACK_STEPS", 12), n;

	seed = seeded_setting("TRACK_SEED", 0) + (uint64_t)_i;
	set_up();
	memset(ram.host, 3, 16 * MIB);
	take(true);
	while (steps--) {
		for (n = below(12); n; n--)
			write_something();
		if (below(3) == 0)
			something_else();
		for (n = below(3); n; n--)
			write_something();
		take(below(8) == 0);
	}
	tear_down();
}
END_TEST

/* --- what is looked at ------------------------------------------------ */

static bool kernel_knows(void)
{
	struct ram_track_cut cut = { .moment = "probe" };
	uint64_t *maybe = calloc(ram_track_words(&ram), sizeof(*maybe));
	bool knows;

	ram_track_cut(&ram, &cut, maybe);
	knows = *ram.track.since;
	free(maybe);
	if (!knows)
		fprintf(stderr, "this kernel does not know who wrote what\n");
	return knows;
}

static uint64_t bits(const uint64_t *maybe)
{
	uint64_t i, n = 0;

	for (i = 0; i < ram_track_words(&ram); i++)
		n += (uint64_t)__builtin_popcountll(maybe[i]);
	return n;
}

static bool is_set(const uint64_t *maybe, uint64_t at)
{
	return maybe[at / PAGE / 64] >> at / PAGE % 64 & 1;
}

static bool cut(const char *moment, const char *base, uint64_t *maybe)
{
	static const struct ram shown; /* it has a name: nobody looks */
	struct ram_track_cut here = { .moment = moment,
				      .base_name = base,
				      .base = &shown };

	memset(maybe, 0, ram_track_words(&ram) * sizeof(*maybe));
	return ram_track_cut(&ram, &here, maybe);
}

START_TEST(pages_that_were_written_are_known_and_no_others)
{
	uint64_t *maybe;

	set_up();
	maybe = calloc(ram_track_words(&ram), sizeof(*maybe));
	memset(ram.host, 1, 16 * MIB);
	if (kernel_knows()) {
		ram.host[5 * PAGE] = 1; /* also with what was there */
		by_pread(4 * MIB + 1, PAGE);
		by_io_uring(8 * MIB, PAGE);
		ram_discard(&ram, ram.host + 12 * MIB, 2 * PAGE);
		ram_discard(&ram, ram.host + 14 * MIB,
			    HUGE); /* its table, too */
		ck_assert(cut("two", "probe", maybe));
		ck_assert_uint_eq(bits(maybe), 1 + 2 + 1 + 2 + HUGE / PAGE);
		ck_assert(is_set(maybe, 5 * PAGE));
		ck_assert(is_set(maybe, 4 * MIB));
		ck_assert(is_set(maybe, 4 * MIB + PAGE));
		ck_assert(is_set(maybe, 8 * MIB));
		ck_assert(is_set(maybe, 12 * MIB + PAGE));
		ck_assert(cut("three", "two", maybe));
		ck_assert_uint_eq(bits(maybe), 0);
		/* What was since another moment says nothing. */
		ck_assert(!cut("four", "two", maybe));
		ram_track_forget(&ram);
		ck_assert(!cut("five", "four", maybe));
	}
	free(maybe);
	tear_down();
}
END_TEST

START_TEST(an_increment_of_little_has_little)
{
	set_up();
	memset(ram.host, 1, 16 * MIB);
	take(true);
	take(false);
	ram.host[6 * MIB] = 2;
	/* That, and what was written beside the last one. */
	ck_assert_uint_le(take(false), 2 * RAM_GRANULE_MIN / PAGE);
	restore();
	ram.host[7 * MIB] = 2;
	ck_assert_uint_eq(take(false), RAM_GRANULE_MIN / PAGE);
	tear_down();
}
END_TEST

START_TEST(a_child_gets_all_that_may_have_changed_in_few_ranges)
{
	static const uint64_t every[] = { 1, 3, 16, 17, 100, 6143 };
	struct ram_image_job job = { .ram = &ram };
	struct ram_share s;
	uint64_t *maybe, page;
	unsigned int i, k;

	set_up();
	maybe = calloc(ram_track_words(&ram), sizeof(*maybe));
	job.maybe = maybe;
	for (k = 0; k < sizeof(every) / sizeof(every[0]); k++) {
		memset(maybe, 0, ram_track_words(&ram) * sizeof(*maybe));
		for (page = every[k] - 1; page < BYTES / PAGE; page += every[k])
			maybe[page / 64] |= UINT64_C(1) << page % 64;
		ram_share_for(&s, &job);
		ck_assert_uint_le(s.count, RAM_SHARE_RANGES);
		for (page = every[k] - 1, i = 0; page < BYTES / PAGE;
		     page += every[k]) {
			while (i < s.count && page * PAGE >= s.range[i].to)
				i++;
			ck_assert_uint_lt(i, s.count);
			ck_assert_uint_ge(page * PAGE, s.range[i].from);
		}
		for (i = 0; i < s.count; i++)
			ck_assert_uint_eq(s.range[i].from % RAM_GRANULE_MIN, 0);
	}
	memset(maybe, 0, ram_track_words(&ram) * sizeof(*maybe));
	ram_share_for(&s, &job);
	ck_assert_uint_eq(s.count, 0);
	free(maybe);
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const others[] = {
		pages_that_were_written_are_known_and_no_others,
		an_increment_of_little_has_little,
		a_child_gets_all_that_may_have_changed_in_few_ranges,
	};

	return seeded_run("ram track", 60,
			  increments_are_the_truth_whoever_writes, 12, others,
			  3);
}
