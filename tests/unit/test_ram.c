/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: what was touched is counted, what is given back is gone. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/platform.h"
#include "tests/unit/suite.h"
#include "vmm/ram_image.h"

#define MIB  (1ULL << 20)
#define HUGE (2 * MIB)
#define PAGE 4096ULL

static struct ram ram;

static void open_ram(uint64_t bytes)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!ram_create(&ram, bytes, &e), "%s", e.text);
}

START_TEST(what_nobody_touched_costs_nothing)
{
	open_ram(64 * MIB);
	ck_assert_uint_eq(ram_resident_bytes(&ram), 0);
	ram_destroy(&ram);
	ck_assert_uint_eq(ram_resident_bytes(&ram), 0);
}
END_TEST

START_TEST(a_tiny_kernel_costs_the_pages_it_touches)
{
	unsigned int i;

	open_ram(64 * MIB);
	for (i = 0; i < 5; i++)
		ram.host[MIB + i * PAGE] = 1;
	ck_assert_uint_eq(ram_resident_bytes(&ram), 5 * PAGE);
	ram_destroy(&ram);
}
END_TEST

START_TEST(huge_pages_of_the_host_are_huge_pages_of_the_guest)
{
	open_ram(64 * MIB + PAGE);
	ck_assert_uint_eq((uintptr_t)ram.host % HUGE, 0);
	ck_assert_uint_eq(RAM_HOLE_START % HUGE, 0);
	ram.host[64 * MIB + PAGE - 1] = 1; /* the last byte is there */
	ram_destroy(&ram);
}
END_TEST

/* Pages of [host, host + bytes) that are no file's (pagemap.rst). */
static unsigned int private_pages(const uint8_t *host, uint64_t bytes)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int found = 0;
	uint64_t at, entry;

	ck_assert_int_ge(fd, 0);
	for (at = 0; at < bytes; at += PAGE) {
		off_t where = (off_t)(((uintptr_t)host + at) / PAGE * 8);

		ck_assert_int_eq(pread(fd, &entry, 8, where), 8);
		found += entry >> 63 && !(entry >> 61 & 1);
	}
	close(fd);
	return found;
}

START_TEST(memory_above_the_hole_follows_the_memory_below_it)
{
	open_ram(RAM_HOLE_START + 16 * MIB);
	ck_assert_uint_eq(ram.mem.count, 2);
	ck_assert_ptr_eq(gmem_slice(&ram.mem, RAM_HOLE_END, PAGE),
			 ram.host + RAM_HOLE_START);
	ck_assert_ptr_null(gmem_slice(&ram.mem, RAM_HOLE_START, 1));
	ram_destroy(&ram);
}
END_TEST

START_TEST(memory_given_back_reads_as_zeroes_and_is_not_counted)
{
	uint64_t before;

	open_ram(64 * MIB);
	memset(ram.host + 8 * MIB, 0x5a, 8 * MIB);
	before = ram_resident_bytes(&ram);
	ck_assert_uint_ge(before, 8 * MIB);
	ram_discard(&ram, ram.host + 10 * MIB, 2 * MIB);
	ram_discard(&ram, ram.host + 13 * MIB, PAGE);
	ck_assert_uint_eq(ram_resident_bytes(&ram), before - 2 * MIB - PAGE);
	ck_assert_uint_eq(ram.host[10 * MIB], 0);
	ck_assert_uint_eq(ram.host[13 * MIB], 0);
	ck_assert_uint_eq(ram.host[13 * MIB + PAGE], 0x5a);
	ck_assert_uint_eq(ram.host[12 * MIB], 0x5a);
	ram_destroy(&ram);
}
END_TEST

START_TEST(memory_of_an_image_is_given_back_as_well)
{
	struct ram_images images = {
		.count = 1, .fd = { memfd_create("image", MFD_CLOEXEC) }
	};
	struct err e = ERR_NONE;

	open_ram(16 * MIB);
	ck_assert(!ftruncate(images.fd[0], 16 * MIB));
	ck_assert_int_eq(pwrite(images.fd[0], "x", 1, 8 * MIB), 1);
	ck_assert_msg(!ram_image_map(&ram, &images, &e), "%s", e.text);
	memset(ram.host + 8 * MIB, 0x5a, 4 * MIB);
	ck_assert_uint_eq(private_pages(ram.host + 8 * MIB, 4 * MIB), 1024);
	ram_discard(&ram, ram.host + 8 * MIB, 2 * MIB);
	ck_assert_uint_eq(private_pages(ram.host + 8 * MIB, 4 * MIB), 512);
	ck_assert_uint_eq(ram.host[8 * MIB], 'x');
	ck_assert_uint_eq(ram.host[9 * MIB], 0);
	ck_assert_uint_eq(ram.host[10 * MIB], 0x5a);
	ram_images_close(&images);
	ram_destroy(&ram);
}
END_TEST

START_TEST(nothing_outside_is_given_back)
{
	open_ram(4 * MIB);
	ram.host[0] = ram.host[4 * MIB - 1] = 7;
	ram_discard(&ram, ram.host + 4 * MIB, PAGE);
	ram_discard(&ram, ram.host + 4 * MIB - PAGE, 2 * PAGE);
	ram_discard(&ram, ram.host - PAGE, 2 * PAGE);
	ck_assert_uint_eq(ram.host[0], 7);
	ck_assert_uint_eq(ram.host[4 * MIB - 1], 7);
	ram_destroy(&ram);
}
END_TEST

/* It would write-protect all of the guest's memory for nothing. */
START_TEST(a_child_process_does_not_share_it)
{
	int status;
	pid_t pid;

	open_ram(4 * MIB);
	ram.host[0] = 1;
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(ram.host[0]);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 1);
	ram_destroy(&ram);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_nobody_touched_costs_nothing,
		a_tiny_kernel_costs_the_pages_it_touches,
		huge_pages_of_the_host_are_huge_pages_of_the_guest,
		memory_above_the_hole_follows_the_memory_below_it,
		memory_given_back_reads_as_zeroes_and_is_not_counted,
		memory_of_an_image_is_given_back_as_well,
		nothing_outside_is_given_back,
		a_child_process_does_not_share_it,
	};

	return SUITE_RUN("ram", tests);
}
