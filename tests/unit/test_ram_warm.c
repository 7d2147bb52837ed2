/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restored guest used is written down and fetched the next time; and
 * nothing comes of it where that can't be.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "devices/platform.h"
#include "tests/unit/suite.h"
#include "vmm/ram_image.h"
#include "vmm/ram_set.h"
#include "vmm/ram_track.h"
#include "vmm/ram_warm.h"

#define MIB   (1ULL << 20)
#define PAGE  4096ULL
#define BYTES (64 * MIB)

static char name[] = "/tmp/amber-warm-XXXXXX";
static int dir, image;
static struct ram ram;
static struct ram_warm *warm;
static struct err e;

/* A directory on a disk, with an image that has data everywhere. */
static void set_up(void)
{
	uint8_t *page = malloc(MIB);
	uint64_t at;

	ck_assert_ptr_nonnull(mkdtemp(name));
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	image = openat(dir, "memory", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(page, 7, MIB);
	for (at = 0; at < BYTES; at += MIB)
		ck_assert_int_eq(pwrite(image, page, MIB, (off_t)at), MIB);
	ck_assert_int_eq(fsync(image), 0);
	free(page);
}

static void tear_down(void)
{
	close(image);
	close(dir);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, name, &e), 0);
}

static void begin(void)
{
	struct ram_images images = { .fd = { image }, .count = 1 };

	ck_assert_int_eq(ram_create(&ram, BYTES, &e), 0);
	ck_assert_int_eq(ram_image_map(&ram, &images, &e), 0);
	ck_assert_int_eq(ram_warm_start(&warm, &ram, dir), 0);
}

static void end(void)
{
	ram_warm_stop(warm);
	ram_destroy(&ram);
}

/* What is written down; -ENOENT. */
static int look(struct ram_set *set)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, RAM_SET_BYTES);
	r = file_read(dir, RAM_WARM_FILE, RAM_SET_BYTES, &bytes, &e);
	if (!r)
		ck_assert_msg(!ram_set_load(set, bytes.data, bytes.len, &e),
			      "%s", e.text);
	buf_fini(&bytes);
	return r;
}

static bool is_used(const struct ram_set *set, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < set->count; i++)
		if (set->range[i].from <= at && at < set->range[i].to)
			return true;
	return false;
}

static bool is_cached(uint64_t at)
{
	unsigned char is_there;
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, image, (off_t)at);

	ck_assert_int_eq(mincore(page, PAGE, &is_there), 0);
	munmap(page, PAGE);
	return is_there & 1;
}

/* False: this file system keeps what it has. */
static bool forget(void)
{
	posix_fadvise(image, 0, 0, POSIX_FADV_DONTNEED);
	return !is_cached(5 * MIB) && !is_cached(40 * MIB);
}

/* It is seen to by the thread before long, if ever. */
static bool is_watched(bool is_expected)
{
	bool is;
	int i;

	for (i = 0, is = false; !is && i < (is_expected ? 1000000 : 1000);
	     i++) {
		lock_take(&ram.track.lock);
		is = ram.track.uffd >= 0;
		lock_release(&ram.track.lock);
		sched_yield();
	}
	return is;
}

/* True: the kernel can tell what is used, and did. */
static bool use(void)
{
	bool can;

	begin();
	can = is_watched(true);
	ram_warm_run(warm);
	ram_warm_run(warm);
	ck_assert_int_eq(ram.host[5 * MIB], 7);
	ram.host[40 * MIB] = 1;
	end();
	return can;
}

static bool knows(void)
{
	bool can = use();

	if (!can)
		fprintf(stderr, "this kernel does not know what is used\n");
	return can;
}

static void grow_old(void)
{
	const struct timespec then[2] = { { 1000000, 0 }, { 1000000, 0 } };

	ck_assert_int_eq(utimensat(dir, RAM_WARM_FILE, then, 0), 0);
}

START_TEST(what_was_used_is_written_down)
{
	struct ram_set set;

	set_up();
	if (knows()) {
		ck_assert_int_eq(look(&set), 0);
		ck_assert_uint_eq(set.bytes, BYTES);
		ck_assert_uint_eq(set.count, 2);
		ck_assert(is_used(&set, 5 * MIB));
		ck_assert(is_used(&set, 40 * MIB));
		ram_set_fini(&set);
	}
	tear_down();
}
END_TEST

START_TEST(what_was_used_is_fetched_and_nothing_else_is_written_down)
{
	struct ram_set set;
	int i;

	set_up();
	if (knows() && forget()) {
		grow_old();
		begin();
		ck_assert(is_watched(true));
		ram_warm_run(warm);
		/* The alarm of the test is the limit. */
		for (i = 0; !is_cached(5 * MIB) || !is_cached(40 * MIB); i++)
			sched_yield();
		ck_assert(!is_cached(20 * MIB));
		ram.host[20 * MIB] = 2;
		end();
		ck_assert_int_eq(look(&set), 0);
		ck_assert_uint_eq(set.count, 1);
		ck_assert(is_used(&set, 20 * MIB));
		ram_set_fini(&set);
	}
	tear_down();
}
END_TEST

/* It was fetched for nobody; nothing was learned. */
/* Nor is anything slower for it. */
START_TEST(a_recent_record_is_used_and_not_made_anew)
{
	struct ram_set set;
	struct stat was, is;

	set_up();
	if (knows()) {
		ck_assert_int_eq(fstatat(dir, RAM_WARM_FILE, &was, 0), 0);
		begin();
		ck_assert(!is_watched(false));
		ram_warm_run(warm);
		ram.host[20 * MIB] = 2;
		end();
		ck_assert_int_eq(look(&set), 0);
		ck_assert_uint_eq(set.count, 2);
		ram_set_fini(&set);
		ck_assert_int_eq(fstatat(dir, RAM_WARM_FILE, &is, 0), 0);
		ck_assert_uint_eq(was.st_ino, is.st_ino);
	}
	tear_down();
}
END_TEST

START_TEST(a_guest_that_never_ran_leaves_what_was_known)
{
	struct ram_set set;

	set_up();
	if (knows()) {
		grow_old();
		begin();
		end();
		ck_assert_int_eq(look(&set), 0);
		ck_assert_uint_eq(set.count, 2);
		ram_set_fini(&set);
	}
	tear_down();
}
END_TEST

START_TEST(memory_that_shows_something_else_is_not_written_down)
{
	struct ram_set set;

	set_up();
	begin();
	ram_warm_run(warm);
	ram.host[0] = 1;
	ram_warm_drop(warm);
	end();
	ck_assert_int_eq(look(&set), -ENOENT);
	ram_warm_run(NULL);
	ram_warm_drop(NULL);
	ram_warm_stop(NULL);
	tear_down();
}
END_TEST

static void put(const void *bytes, size_t len)
{
	ck_assert_int_eq(
		file_commit(dir, RAM_WARM_FILE, bytes, len, FILE_ATOMIC, &e),
		0);
}

START_TEST(what_was_written_down_may_be_anything)
{
	struct ram_range all = { 0, 1ULL << 40 };
	struct ram_set large = { 1ULL << 40, &all, 1 };
	struct ram_set set;
	struct buf bytes;

	set_up();
	if (knows()) {
		put("", 0);
		use();
		put("what is this?", 13);
		use();
		ck_assert_int_eq(look(&set), 0); /* put right */
		ck_assert_uint_eq(set.count, 2);
		ram_set_fini(&set);
		/* Of another memory. */
		buf_init(&bytes, RAM_SET_BYTES);
		ck_assert_int_eq(ram_set_save(&large, &bytes, &e), 0);
		put(bytes.data, bytes.len);
		buf_fini(&bytes);
		use();
		ck_assert_int_eq(unlinkat(dir, RAM_WARM_FILE, 0), 0);
		ck_assert_int_eq(mkdirat(dir, RAM_WARM_FILE, 0700), 0);
		use();
		ck_assert_int_eq(unlinkat(dir, RAM_WARM_FILE, AT_REMOVEDIR), 0);
		ck_assert_int_eq(symlinkat("memory", dir, RAM_WARM_FILE), 0);
		use();
		ck_assert_uint_eq(ram_end_of(BYTES), BYTES);
	}
	tear_down();
}
END_TEST

/* A set that was deleted meanwhile stays deleted. */
START_TEST(nothing_is_written_into_a_set_that_is_gone)
{
	set_up();
	begin();
	ram_warm_run(warm);
	ram.host[0] = 1;
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, name, &e), 0);
	end();
	ck_assert_int_lt(access(name, F_OK), 0);
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_was_used_is_written_down,
		what_was_used_is_fetched_and_nothing_else_is_written_down,
		a_recent_record_is_used_and_not_made_anew,
		a_guest_that_never_ran_leaves_what_was_known,
		memory_that_shows_something_else_is_not_written_down,
		what_was_written_down_may_be_anything,
		nothing_is_written_into_a_set_that_is_gone,
	};

	return SUITE_RUN("ram warm", tests);
}
