/* SPDX-License-Identifier: Apache-2.0 */
/* Memory written behind the back of who changes it. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/platform.h"
#include "tests/unit/suite.h"
#include "vmm/ram_freeze.h"
#include "vmm/ram_share.h"

#define MIB  (1ULL << 20)
#define PAGE 4096ULL

static struct ram ram;
static struct ram_freeze f;
static struct ram_image_figures figures;
static struct err e;
static int image;

static void set_up(uint64_t bytes)
{
	ck_assert_msg(!ram_create(&ram, bytes, &e), "%s", e.text);
	image = memfd_create("image", MFD_CLOEXEC);
}

static void tear_down(void)
{
	close(image);
	ram_destroy(&ram);
}

static void freeze(void)
{
	const struct ram_freeze_order order = { .fd = image, .moment = "full" };

	ck_assert_msg(!ram_freeze(&f, &ram, &order, &e), "%s", e.text);
}

static void wait_for_it(void)
{
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	ck_assert_msg(!ram_map_verify(&f.map, image, &e), "%s", e.text);
	ram_freeze_cancel(&f);
}

/* Memory that shows these images. */
static void show(struct ram *r, int a, int b)
{
	struct ram_images images = { .fd = { a, b }, .count = b < 0 ? 1 : 2 };

	ck_assert_msg(!ram_image_map(r, &images, &e), "%s", e.text);
}

static void rewind_to(int fd)
{
	struct ram_images images = { .fd = { fd }, .count = 1 };

	ck_assert_msg(!ram_image_rewind(&ram, &images, &e), "%s", e.text);
}

/* The byte at an address of the guest, in the image. */
static uint8_t saved(uint64_t at)
{
	uint8_t byte;

	ck_assert_int_eq(pread(image, &byte, 1, (off_t)at), 1);
	return byte;
}

START_TEST(frozen_memory_is_what_it_was_whatever_is_written_since)
{
	uint64_t at;

	set_up(64 * MIB);
	for (at = 0; at < 48 * MIB; at += PAGE)
		ram.host[at] = (uint8_t)(1 + at / PAGE % 250);
	freeze();
	memset(ram.host, 0xee, ram.bytes);
	wait_for_it();
	ck_assert_uint_eq(figures.written, 48 * MIB / PAGE);
	ck_assert_uint_eq(figures.pages, 64 * MIB / PAGE);
	for (at = 0; at < 64 * MIB; at += PAGE)
		ck_assert_uint_eq(saved(at),
				  at < 48 * MIB ? 1 + at / PAGE % 250 : 0);
	ck_assert_uint_eq(ram.host[5 * PAGE], 0xee);
	tear_down();
}
END_TEST

START_TEST(memory_above_the_hole_is_frozen_at_its_address)
{
	set_up(RAM_HOLE_START + 4 * MIB);
	ram.host[RAM_HOLE_START + MIB] = 7;
	ram.host[PAGE] = 8;
	freeze();
	ram.host[RAM_HOLE_START + MIB] = 9;
	wait_for_it();
	ck_assert_uint_eq(figures.written, 2);
	ck_assert_uint_eq(saved(RAM_HOLE_END + MIB), 7);
	ck_assert_uint_eq(saved(PAGE), 8);
	tear_down();
}
END_TEST

/* At both ends of pieces, of the memory, and beside the hole. */
START_TEST(a_few_pages_of_much_memory_are_found_wherever_they_are)
{
	static const uint64_t at[] = { 0,
				       2 * MIB - PAGE,
				       256 * MIB,
				       512 * MIB - PAGE,
				       1024 * MIB + 3 * PAGE,
				       RAM_HOLE_START - PAGE,
				       RAM_HOLE_START,
				       RAM_HOLE_START + 2048 * MIB - PAGE };
	const struct ram_image_job job = { .ram = &ram };
	unsigned int i, n = sizeof(at) / sizeof(at[0]);
	struct ram_share shared;
	uint64_t gpa, all = 0;

	set_up(RAM_HOLE_START + 2048 * MIB);
	for (i = 0; i < n; i++)
		ram.host[at[i]] = (uint8_t)(i + 1);
	ram_share_for(&shared, &job);
	for (i = 0; i < shared.count; i++)
		all += shared.range[i].to - shared.range[i].from;
	freeze();
	memset(ram.host, 0xee, MIB);
	wait_for_it();
	ck_assert_uint_eq(figures.written, n);
	for (i = 0; i < n; i++) {
		gpa = at[i] < RAM_HOLE_START
			      ? at[i]
			      : at[i] - RAM_HOLE_START + RAM_HOLE_END;
		ck_assert_uint_eq(saved(gpa), i + 1);
		ck_assert(ram_share_has(&shared, at[i], at[i] + PAGE));
	}
	ck_assert_uint_le(all, ram.bytes);
	tear_down();
}
END_TEST

START_TEST(memory_that_nobody_used_is_an_empty_image)
{
	set_up(1024 * MIB);
	freeze();
	wait_for_it();
	ck_assert_uint_eq(figures.written, 0);
	ck_assert_uint_eq(figures.pages, 1024 * MIB / PAGE);
	tear_down();
}
END_TEST

/* Once more from what was mapped from the first image. */
START_TEST(restored_memory_is_frozen_with_what_was_never_touched)
{
	int first;

	set_up(16 * MIB);
	memset(ram.host, 1, 4 * MIB);
	freeze();
	wait_for_it();
	first = image;
	show(&ram, first, -1);
	image = memfd_create("second", MFD_CLOEXEC);
	ram.host[MIB] = 2;
	ram.host[8 * MIB] = 3;
	freeze();
	ram.host[2 * MIB] = 4;
	wait_for_it();
	ck_assert_uint_eq(figures.written, 4 * MIB / PAGE + 1);
	ck_assert_uint_eq(saved(0), 1);
	ck_assert_uint_eq(saved(MIB), 2);
	ck_assert_uint_eq(saved(2 * MIB), 1);
	ck_assert_uint_eq(saved(8 * MIB), 3);
	close(first);
	tear_down();
}
END_TEST

START_TEST(a_full_disk_is_the_writers_error)
{
	struct rlimit was, limit;
	char name[] = "/tmp/amber-freeze-XXXXXX";

	set_up(16 * MIB);
	close(image);
	image = mkstemp(name);
	unlink(name);
	memset(ram.host, 1, 8 * MIB);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	limit = was;
	limit.rlim_cur = 16 * MIB - 1;
	setrlimit(RLIMIT_FSIZE, &limit);
	freeze();
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_int_eq(ram_freeze_wait(&f, &figures, &e), -EFBIG);
	ram_freeze_cancel(&f);
	tear_down();
}
END_TEST

START_TEST(a_killed_writer_is_an_error_that_names_the_signal)
{
	set_up(256 * MIB);
	memset(ram.host, 1, 64 * MIB);
	freeze();
	kill(f.pid, SIGKILL);
	ck_assert_int_eq(ram_freeze_wait(&f, &figures, &e), -EIO);
	ck_assert_ptr_nonnull(strstr(e.text, "signal 9"));
	ram_freeze_cancel(&f);
	freeze();
	ram_freeze_cancel(&f);
	ck_assert_int_eq(f.pid, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	tear_down();
}
END_TEST

/* A lock that the writer had would outlive who took it. */
START_TEST(the_writer_holds_nothing_of_the_parents)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int held, other, i;

	set_up(512 * MIB);
	memset(ram.host, 1, 128 * MIB);
	held = memfd_create("lock", MFD_CLOEXEC);
	other = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(fcntl(held, F_OFD_SETLK, &lock), 0);
	freeze();
	close(held);
	for (i = 0; i < 1000; i++) {
		char path[64], there[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", f.pid, other);
		n = readlink(path, there, sizeof(there));
		if (n < 0)
			break;
		usleep(1000);
	}
	ck_assert_int_lt(i, 1000);
	ram_freeze_cancel(&f);
	close(other);
	tear_down();
}
END_TEST

START_TEST(rewound_memory_is_its_image_again)
{
	unsigned int turn;
	uint64_t at;
	int first;

	set_up(64 * MIB);
	for (at = 0; at < 32 * MIB; at += PAGE)
		ram.host[at] = (uint8_t)(1 + at / PAGE % 250);
	freeze();
	wait_for_it();
	first = image;
	image = memfd_create("other", MFD_CLOEXEC);
	for (turn = 0; turn < 5; turn++) {
		for (at = turn * PAGE; at < 64 * MIB; at += 7 * PAGE)
			ram.host[at] = 0xee;
		rewind_to(first);
		for (at = 0; at < 64 * MIB; at += PAGE)
			ck_assert_uint_eq(ram.host[at],
					  at < 32 * MIB ? 1 + at / PAGE % 250
							: 0);
	}
	/* Another image than the one it shows. */
	ck_assert_int_eq(ftruncate(image, 64 * MIB), 0);
	ck_assert_int_eq(pwrite(image, "x", 1, 5 * PAGE), 1);
	rewind_to(image);
	ck_assert_uint_eq(ram.host[5 * PAGE], 'x');
	ck_assert_uint_eq(ram.host[6 * PAGE], 0);
	close(first);
	tear_down();
}
END_TEST

/* Writes what memory is now as an increment of what base shows. */
static int make_increment(const struct ram *base)
{
	const struct ram_freeze_order order = {
		.fd = memfd_create("increment", MFD_CLOEXEC),
		.base = base,
		.moment = "increment",
		.base_moment = "full",
	};
	int fd = order.fd;

	ck_assert_msg(!ram_freeze(&f, &ram, &order, &e), "%s", e.text);
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	ck_assert(f.map.is_increment);
	ck_assert_msg(!ram_map_verify(&f.map, fd, &e), "%s", e.text);
	ram_freeze_cancel(&f);
	return fd;
}

/* What these tests touch: below 80 MiB, and above the hole. */
static void ck_same(const struct ram *other)
{
	uint64_t low = ram.bytes < 80 * MIB ? ram.bytes : 80 * MIB;

	ck_assert_int_eq(memcmp(ram.host, other->host, low), 0);
	if (ram.bytes > RAM_HOLE_START)
		ck_assert_int_eq(memcmp(ram.host + RAM_HOLE_START,
					other->host + RAM_HOLE_START,
					ram.bytes - RAM_HOLE_START),
				 0);
}

/* Of memory of our own, and of memory that shows the base's image itself. */
START_TEST(an_increment_has_what_has_changed_and_shows_all)
{
	struct ram base, again;
	int first, second, turn;

	set_up(RAM_HOLE_START + 8 * MIB);
	memset(ram.host, 5, 16 * MIB);
	ram.host[RAM_HOLE_START + MIB] = 1;
	freeze();
	wait_for_it();
	first = image;
	image = memfd_create("unused", MFD_CLOEXEC);
	for (turn = 0; turn < 2; turn++) {
		if (turn)
			show(&ram, first, -1);
		ck_assert_int_eq(ram_create(&base, ram.bytes, &e), 0);
		show(&base, first, -1);
		ck_same(&base);
		ram.host[MIB + 7] = 9;
		memset(ram.host + 2 * MIB, 0, MIB); /* to zero */
		ram.host[64 * MIB] = 3;		    /* from zero */
		ram.host[RAM_HOLE_START + 2 * MIB] = 4;
		second = make_increment(&base);
		ck_assert_uint_le(figures.written,
				  (MIB + 4 * RAM_GRANULE_MAX) / PAGE);
		ram_destroy(&base);
		ck_assert_int_eq(ram_create(&again, ram.bytes, &e), 0);
		show(&again, first, second);
		ck_same(&again);
		ram_destroy(&again);
		close(second);
	}
	close(first);
	tear_down();
}
END_TEST

START_TEST(memory_that_shows_two_images_is_rewound_to_both)
{
	struct ram base;
	int first, second;

	set_up(64 * MIB);
	memset(ram.host, 1, 8 * MIB);
	freeze();
	wait_for_it();
	first = image;
	image = memfd_create("unused", MFD_CLOEXEC);
	ck_assert_int_eq(ram_create(&base, ram.bytes, &e), 0);
	show(&base, first, -1);
	ram.host[4 * MIB] = 2;
	second = make_increment(&base);
	show(&ram, first, second);
	memset(ram.host, 7, 32 * MIB);
	show(&base, first, second);
	{
		struct ram_images both = { .fd = { first, second },
					   .count = 2 };

		ck_assert_int_eq(ram_image_rewind(&ram, &both, &e), 0);
	}
	ck_same(&base);
	ck_assert_uint_eq(ram.host[4 * MIB], 2);
	ck_assert_uint_eq(ram.host[0], 1);
	/* An increment of it is empty. */
	close(make_increment(&base));
	ck_assert_uint_eq(figures.written, 0);
	ram_destroy(&base);
	close(first);
	close(second);
	tear_down();
}
END_TEST

START_TEST(a_changed_image_is_found_by_its_checksums)
{
	struct buf bytes;
	struct ram_map map;
	size_t i;

	set_up(16 * MIB);
	memset(ram.host, 1, 4 * MIB);
	freeze();
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	buf_init(&bytes, RAM_MAP_BYTES);
	ck_assert_int_eq(ram_map_save(&f.map, &bytes, &e), 0);
	ram_freeze_cancel(&f);
	ck_assert_int_eq(ram_map_load(&map, bytes.data, bytes.len, &e), 0);
	ck_assert_int_eq(ram_map_verify(&map, image, &e), 0);
	ck_assert_int_eq(pwrite(image, "x", 1, MIB + 5), 1);
	ck_assert_int_eq(ram_map_verify(&map, image, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "0x100000"));
	ck_assert_int_eq(pwrite(image, "\1", 1, MIB + 5), 1);
	ck_assert_int_eq(ram_map_verify(&map, image, &e), 0);
	ck_assert_int_eq(pwrite(image, "x", 1, 8 * MIB), 1);
	ck_assert_int_eq(ram_map_verify(&map, image, &e), -EBADMSG);
	ck_assert_int_eq(ftruncate(image, 3 * MIB), 0);
	ck_assert_int_eq(ram_map_verify(&map, image, &e), -EBADMSG);
	ram_map_fini(&map);
	for (i = 0; i < bytes.len; i += 1 + bytes.len / 50) {
		((uint8_t *)bytes.data)[i] ^= 0x41;
		ck_assert_int_ne(ram_map_load(&map, bytes.data, bytes.len, &e),
				 0);
		((uint8_t *)bytes.data)[i] ^= 0x41;
	}
	buf_fini(&bytes);
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		frozen_memory_is_what_it_was_whatever_is_written_since,
		memory_above_the_hole_is_frozen_at_its_address,
		a_few_pages_of_much_memory_are_found_wherever_they_are,
		memory_that_nobody_used_is_an_empty_image,
		restored_memory_is_frozen_with_what_was_never_touched,
		a_full_disk_is_the_writers_error,
		a_killed_writer_is_an_error_that_names_the_signal,
		the_writer_holds_nothing_of_the_parents,
		rewound_memory_is_its_image_again,
		an_increment_has_what_has_changed_and_shows_all,
		memory_that_shows_two_images_is_rewound_to_both,
		a_changed_image_is_found_by_its_checksums,
	};

	return SUITE_RUN("ram freeze", tests);
}
