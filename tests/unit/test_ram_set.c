/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of memory, and the pages that a guest uses: found, saved, loaded. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/state.h"
#include "tests/unit/seeded.h"
#include "vmm/ram_image.h"
#include "vmm/ram_scan.h"
#include "vmm/ram_set.h"
#include "vmm/ram_track.h"

#define MIB  (1ULL << 20)
#define PAGE 4096ULL

static struct err e;

START_TEST(ranges_are_what_was_added_while_there_is_room)
{
	struct ram_range room[4];
	struct ram_ranges r = { .range = room, .max = 4, .gap = 1 };

	ram_ranges_add(&r, 0, 4);
	ram_ranges_add(&r, 4, 8); /* adjacent */
	ram_ranges_add(&r, 9, 10);
	ram_ranges_add(&r, 20, 30);
	ck_assert_uint_eq(r.count, 3);
	ck_assert_uint_eq(room[0].to, 8);
	ck_assert_uint_eq(room[1].from, 9);
	ck_assert_uint_eq(room[2].to, 30);
}
END_TEST

START_TEST(ranges_that_are_too_many_cover_all_that_was_added)
{
	uint64_t state = seeded_start(7), at, from[2000], to[2000];
	struct ram_range room[16];
	unsigned int turn, i, k, n;

	for (turn = 0; turn < 200; turn++) {
		struct ram_ranges r = { .range = room, .max = 16, .gap = 1 };

		n = 1 + (unsigned int)(seeded_next(&state) % 2000);
		for (i = 0, at = 0; i < n; i++) {
			from[i] = at + seeded_next(&state) % 50;
			at = to[i] = from[i] + 1 + seeded_next(&state) % 9;
			ram_ranges_add(&r, from[i], to[i]);
		}
		ck_assert_uint_le(r.count, 16);
		for (i = 0, k = 0; i < n; i++) {
			while (k < r.count && from[i] >= room[k].to)
				k++;
			ck_assert_uint_lt(k, r.count);
			ck_assert(room[k].from <= from[i] &&
				  to[i] <= room[k].to);
		}
		for (k = 1; k < r.count; k++)
			ck_assert_uint_gt(room[k].from, room[k - 1].to);
		ck_assert_uint_eq(room[0].from, from[0]);
		ck_assert_uint_eq(room[r.count - 1].to, to[n - 1]);
	}
}
END_TEST

/* --- scans ------------------------------------------------------------- */

static int set_bits(void *ctx, uint8_t *host, uint64_t bytes, struct err *why)
{
	struct {
		uint8_t *base;
		uint8_t bit[2048];
	} *c = ctx;

	(void)why;
	memset(c->bit + (uint64_t)(host - c->base) / PAGE, 1, bytes / PAGE);
	return 0;
}

/* An older kernel's way gives the same. */
START_TEST(pages_are_found_one_by_one_as_all_at_once)
{
	static const struct ram_scan kinds[] = {
		{ .none = RAM_SCAN_FILE,
		  .any = RAM_SCAN_PRESENT | RAM_SCAN_SWAPPED },
		{ .any = RAM_SCAN_PRESENT | RAM_SCAN_SWAPPED },
		{ .all = RAM_SCAN_PRESENT | RAM_SCAN_FILE },
		{ .all = RAM_SCAN_WRITTEN },
	};
	struct {
		uint8_t *base;
		uint8_t bit[2048];
	} a, b;
	int file = memfd_create("file", MFD_CLOEXEC), pagemap;
	uint64_t state = seeded_start(3);
	unsigned int i;

	ck_assert_int_eq(ftruncate(file, 8 * MIB), 0);
	a.base = b.base = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE, file, 0);
	for (i = 0; i < 300; i++) {
		uint8_t *at = a.base + seeded_next(&state) % (8 * MIB);

		if (i % 2)
			*at = 1;
		else
			ck_assert_int_lt(*(volatile uint8_t *)at, 2);
	}
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 4; i++) {
		struct ram_scan what = kinds[i];
		int r;

		memset(a.bit, 0, sizeof(a.bit));
		memset(b.bit, 0, sizeof(b.bit));
		what.found = set_bits;
		what.ctx = &b;
		r = ram_scan_entries(pagemap, &what, b.base, 8 * MIB, &e);
		if (what.all & RAM_SCAN_WRITTEN) {
			ck_assert_int_eq(r, -ENOTTY);
			break;
		}
		ck_assert_int_eq(r, 0);
		what.ctx = &a;
		ck_assert_int_eq(ram_scan(pagemap, &what, a.base, 8 * MIB, &e),
				 0);
		ck_assert_int_eq(memcmp(a.bit, b.bit, sizeof(a.bit)), 0);
		ck_assert_ptr_nonnull(memchr(a.bit, 1, sizeof(a.bit)));
	}
	close(pagemap);
	munmap(a.base, 8 * MIB);
	close(file);
}
END_TEST

/* --- sets -------------------------------------------------------------- */

START_TEST(a_set_has_the_pages_that_were_touched)
{
	int image = memfd_create("image", MFD_CLOEXEC);
	struct ram_images images = { .fd = { image }, .count = 1 };
	struct ram_set set;
	struct ram ram;
	bool is_exact;

	ck_assert_int_eq(ram_create(&ram, 16 * MIB, &e), 0);
	ck_assert_int_eq(ftruncate(image, 16 * MIB), 0);
	ck_assert_int_eq(pwrite(image, "x", 1, 3 * MIB), 1);
	ck_assert_int_eq(ram_image_map(&ram, &images, &e), 0);
	is_exact = ram_track_watch(&ram);
	ck_assert_int_eq(ram.host[3 * MIB], 'x');
	ram.host[5 * MIB] = ram.host[5 * MIB + PAGE] = 2;
	ck_assert_msg(!ram_set_look(&set, &ram, &e), "%s", e.text);
	ck_assert_uint_eq(set.bytes, 16 * MIB);
	if (is_exact) {
		ck_assert_uint_eq(set.count, 2);
		ck_assert_uint_eq(set.range[0].from, 3 * MIB);
		ck_assert_uint_eq(set.range[0].to, 3 * MIB + PAGE);
		ck_assert_uint_eq(set.range[1].to, 5 * MIB + 2 * PAGE);
	}
	ram_set_fini(&set);
	ram_track_unwatch(&ram);
	ram_track_unwatch(&ram);
	ck_assert_int_eq(ram.track.uffd, -1);
	ck_assert_int_eq(ram.host[3 * MIB], 'x');
	ram_destroy(&ram);
	close(image);
}
END_TEST

static void save(struct ram_set *set, struct buf *out)
{
	buf_init(out, RAM_SET_BYTES);
	ck_assert_msg(!ram_set_save(set, out, &e), "%s", e.text);
}

START_TEST(a_set_comes_back_as_it_was_saved)
{
	struct ram_set set = { .bytes = 1ULL << 40, .count = RAM_SET_RANGES };
	struct ram_set again, none;
	struct buf bytes;
	uint32_t i;

	set.range = calloc(set.count, sizeof(*set.range));
	for (i = 0; i < set.count; i++) {
		set.range[i].from = i * 2 * PAGE;
		set.range[i].to = set.range[i].from + PAGE;
	}
	save(&set, &bytes); /* the largest there is */
	ck_assert_msg(!ram_set_load(&again, bytes.data, bytes.len, &e), "%s",
		      e.text);
	ck_assert_uint_eq(again.bytes, set.bytes);
	ck_assert_uint_eq(again.count, set.count);
	ck_assert_int_eq(
		memcmp(again.range, set.range, set.count * sizeof(*set.range)),
		0);
	for (i = 0; i < bytes.len; i += 1 + (uint32_t)bytes.len / 100) {
		((uint8_t *)bytes.data)[i] ^= 0x41;
		ck_assert_int_ne(ram_set_load(&none, bytes.data, bytes.len, &e),
				 0);
		((uint8_t *)bytes.data)[i] ^= 0x41;
		ck_assert_int_ne(ram_set_load(&none, bytes.data, i, &e), 0);
	}
	buf_fini(&bytes);
	ram_set_fini(&again);
	ram_set_fini(&set);
}
END_TEST

/* With a checksum that is right. */
START_TEST(a_set_that_no_memory_could_have_is_refused)
{
	static const struct ram_range bad[][2] = {
		{ { 0, PAGE }, { PAGE, 2 * PAGE } },	     /* adjacent */
		{ { 4 * PAGE, 5 * PAGE }, { 0, PAGE } },     /* backwards */
		{ { 0, 3 * PAGE }, { 2 * PAGE, 4 * PAGE } }, /* over another */
		{ { 0, PAGE }, { 2 * PAGE, 2 * PAGE } },     /* nothing */
		{ { 0, PAGE }, { 3 * PAGE, 2 * PAGE } },
		{ { 0, PAGE }, { 2 * PAGE, 2 * PAGE + 1 } },
		{ { 1, PAGE }, { 2 * PAGE, 3 * PAGE } },
		{ { 0, PAGE }, { 2 * PAGE, 9 * PAGE } }, /* beyond */
		{ { 0, PAGE }, { 2 * PAGE, UINT64_MAX - PAGE + 1 } },
	};
	struct ram_range range[2];
	struct ram_set set = { .bytes = 8 * PAGE, .range = range, .count = 2 };
	struct ram_set again;
	struct buf bytes;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(range, bad[i], sizeof(range));
		save(&set, &bytes);
		e.code = 0;
		ck_assert_int_eq(
			ram_set_load(&again, bytes.data, bytes.len, &e),
			-EBADMSG);
		ck_assert_ptr_nonnull(strstr(e.text, "range"));
		ck_assert_ptr_null(again.range);
		buf_fini(&bytes);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		ranges_are_what_was_added_while_there_is_room,
		ranges_that_are_too_many_cover_all_that_was_added,
		pages_are_found_one_by_one_as_all_at_once,
		a_set_has_the_pages_that_were_touched,
		a_set_comes_back_as_it_was_saved,
		a_set_that_no_memory_could_have_is_refused,
	};

	return SUITE_RUN("ram set", tests);
}
