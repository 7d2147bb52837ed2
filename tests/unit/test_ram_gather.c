/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in small pages is put together, and nothing else is. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "vmm/ram_freeze.h"
#include "vmm/ram_gather.h"

#define MIB	 (1ULL << 20)
#define PAGE	 4096ULL
#define COLLAPSE 25	   /* MADV_COLLAPSE of Linux 6.1 */
#define FROM	 (2 * MIB) /* before it pages are small in any case */

static struct ram ram;
static struct ram_freeze f;
static struct err e;

/* KiB of the memory that are in huge pages (proc(5), smaps). */
static unsigned long huge_kib(void)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long from, to, found = 0, kib;
	bool is_ours = false;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_ours = from >= (uintptr_t)ram.host &&
				  to <= (uintptr_t)ram.host + ram.bytes;
		else if (is_ours &&
			 sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
			found += kib;
	}
	if (maps)
		fclose(maps);
	return found;
}

static unsigned long all_kib(void)
{
	return (ram.bytes - FROM) / 1024;
}

/* Each page has something else. */
static void write_all(void)
{
	uint64_t at;

	for (at = FROM; at < ram.bytes; at += PAGE)
		memcpy(ram.host + at, &at, sizeof(at));
}

static void set_up(void)
{
	ck_assert_msg(!ram_create(&ram, 16 * MIB, &e), "%s", e.text);
	write_all();
}

static void is_as_filled(void)
{
	uint64_t at, found;

	for (at = FROM; at < ram.bytes; at += PAGE) {
		memcpy(&found, ram.host + at, sizeof(found));
		ck_assert_uint_eq(found, at);
	}
}

/* A snapshot, while all of the memory is written to. */
static void split(bool is_tracked)
{
	int image = memfd_create("image", MFD_CLOEXEC);
	const struct ram_freeze_order order = { .fd = image,
						.moment = "full",
						.is_tracked = is_tracked };
	struct ram_image_figures figures;

	ck_assert_msg(!ram_freeze(&f, &ram, &order, &e), "%s", e.text);
	write_all();
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	ram_freeze_cancel(&f);
	close(image);
}

/* Until so much is in huge pages: one that the kernel is busy with is left. */
static void gather(unsigned long kib)
{
	struct ram_gather *g;
	int tries;

	for (tries = 0; tries < 50 && huge_kib() < kib; tries++) {
		ck_assert_int_eq(ram_gather_start(&g, &ram), 0);
		ram_gather_wait(g);
	}
	ck_assert_uint_eq(huge_kib(), kib);
}

START_TEST(memory_is_in_huge_pages_again_after_a_snapshot)
{
	set_up();
	split(false);
	ck_assert_uint_lt(huge_kib(), all_kib());
	gather(all_kib());
	is_as_filled();
	ram_destroy(&ram);
}
END_TEST

START_TEST(memory_that_was_given_back_is_not_taken_again)
{
	set_up();
	split(false);
	ram_discard(&ram, ram.host + 4 * MIB + PAGE, PAGE);
	gather(all_kib() - 2048);
	ck_assert_uint_eq(ram_resident_bytes(&ram), ram.bytes - FROM - PAGE);
	ram_destroy(&ram);
}
END_TEST

START_TEST(memory_that_increments_watch_stays_in_small_pages)
{
	struct ram_gather *g;

	set_up();
	split(true);
	ck_assert_int_eq(ram_gather_start(&g, &ram), 0);
	ck_assert_ptr_null(g);
	is_as_filled();
	ram_destroy(&ram);
}
END_TEST

START_TEST(gathering_is_given_up_at_once)
{
	struct ram_gather *g;

	set_up();
	split(false);
	ck_assert_int_eq(ram_gather_start(&g, &ram), 0);
	ram_gather_yield(g);
	ram_gather_stop(g);
	ram_gather_stop(NULL);
	is_as_filled();
	ram_destroy(&ram);
}
END_TEST

static bool host_can(void)
{
	bool has;

	if (ram_create(&ram, 16 * MIB, NULL))
		return false;
	write_all();
	has = huge_kib() == all_kib() &&
	      !madvise(ram.host + FROM, 2 * MIB, COLLAPSE);
	ram_destroy(&ram);
	return has;
}

int main(void)
{
	const TTest *const tests[] = {
		memory_is_in_huge_pages_again_after_a_snapshot,
		memory_that_was_given_back_is_not_taken_again,
		memory_that_increments_watch_stays_in_small_pages,
		gathering_is_given_up_at_once,
	};

	if (!host_can()) {
		puts("this host has no huge pages, or can't put them together "
		     "(Linux 6.1)");
		return 77;
	}
	return SUITE_RUN("memory put together", tests);
}
