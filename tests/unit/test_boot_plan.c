/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of the boot loaders: good kernels of each kind, and the limits on
 * both sides. One thread, no files, 32 MiB of untouched memory.
 */
#include <stdlib.h>

#include "tests/unit/boot_rig.h"
#include "tests/unit/suite.h"

static struct gmem mem;
static struct boot_plan plan;
static struct err why;

static void setup(void)
{
	rig_memory(&mem, 32 * MIB);
	memset(&plan, 0, sizeof(plan));
	why = (struct err)ERR_NONE;
}

static void teardown(void)
{
	rig_free(&mem);
}

static int plan_image(const struct image *im)
{
	struct boot_reader r = image_reader(im);

	return boot_plan_kernel(&plan, &r, &mem, &why);
}

START_TEST(a_bzimage_is_planned_at_its_preferred_address)
{
	struct image im;

	image_bzimage(&im);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	ck_assert_int_eq(plan.kind, BOOT_LINUX64);
	ck_assert_uint_eq(plan.entry, BZ_LOAD + 0x200);
	ck_assert_uint_eq(plan.segments, 1);
	ck_assert_uint_eq(plan.segment[0].file_offset, BZ_KERNEL);
	ck_assert_uint_eq(plan.segment[0].file_bytes, BZ_KERNEL_BYTES);
	ck_assert_uint_eq(plan.kernel_start, BZ_LOAD);
	ck_assert_uint_eq(plan.kernel_end, BZ_LOAD + BZ_INIT_BYTES);
	ck_assert_uint_eq(plan.header_bytes, 0x26c - 0x1f1);
	ck_assert_mem_eq(plan.header, im.bytes + 0x1f1, plan.header_bytes);
	ck_assert_uint_eq(plan.initrd_limit, 32 * MIB);
	ck_assert_uint_eq(plan.cmdline_max, 2047);
}
END_TEST

START_TEST(a_bzimage_sets_the_limits_of_initrd_and_command_line)
{
	struct image im;

	image_bzimage(&im);
	put_le32(im.bytes + 0x22c, 0x17fffff);
	put_le32(im.bytes + 0x238, 255);
	ck_assert_int_eq(plan_image(&im), 0);
	ck_assert_uint_eq(plan.initrd_limit, 0x1800000);
	ck_assert_uint_eq(plan.cmdline_max, 255);
}
END_TEST

START_TEST(bytes_behind_a_bzimage_are_not_loaded)
{
	struct image im;

	image_bzimage(&im);
	im.len += 100;
	ck_assert_int_eq(plan_image(&im), 0);
	ck_assert_uint_eq(plan.segment[0].file_bytes, BZ_KERNEL_BYTES);
}
END_TEST

START_TEST(a_bzimage_may_miss_the_padding_of_its_last_paragraph)
{
	struct image im;

	image_bzimage(&im);
	im.len -= 15;
	ck_assert_int_eq(plan_image(&im), 0);
	ck_assert_uint_eq(plan.segment[0].file_bytes, BZ_KERNEL_BYTES - 15);
}
END_TEST

START_TEST(an_elf_without_the_note_is_entered_at_its_entry_point)
{
	struct image im;

	image_elf(&im);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	ck_assert_int_eq(plan.kind, BOOT_ELF64);
	ck_assert_uint_eq(plan.entry, ELF_ENTRY);
	ck_assert_uint_eq(plan.segments, 2);
	ck_assert_uint_eq(plan.kernel_start, ELF_LOAD);
	ck_assert_uint_eq(plan.kernel_end, ELF_DATA_LOAD + ELF_DATA_MEM);
	ck_assert_uint_eq(plan.header_bytes, 0);
}
END_TEST

START_TEST(an_elf_with_the_note_is_entered_by_pvh)
{
	struct image im;

	image_pvh(&im);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	ck_assert_int_eq(plan.kind, BOOT_ELF_PVH);
	ck_assert_uint_eq(plan.entry, ELF_PVH_ENTRY);
}
END_TEST

START_TEST(a_pvh_entry_of_four_bytes_is_understood)
{
	struct image im;

	image_pvh(&im);
	put_le32(im.bytes + ELF_NOTE + 24, 4);
	put_le32(im.bytes + ELF_NOTE + 40, 0xffffffff);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	ck_assert_uint_eq(plan.entry, ELF_PVH_ENTRY);
}
END_TEST

START_TEST(notes_aligned_to_eight_bytes_are_understood)
{
	struct image im;
	uint8_t *n = im.bytes + ELF_NOTE;

	image_pvh(&im);
	memset(n, 0, 44);
	put_le32(n, 4);
	put_le32(n + 4, 4);
	put_le32(n + 8, 5);
	memcpy(n + 12, "GNU", 4);
	n += 24; /* the descriptor of 4 bytes is padded to 8 */
	put_le32(n, 4);
	put_le32(n + 4, 8);
	put_le32(n + 8, 18);
	memcpy(n + 12, "Xen", 4);
	put_le64(n + 16, ELF_PVH_ENTRY);
	put_le64(image_phdr(&im, 2) + 32, 48);
	put_le64(image_phdr(&im, 2) + 48, 8);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	ck_assert_int_eq(plan.kind, BOOT_ELF_PVH);
}
END_TEST

START_TEST(a_note_18_of_another_name_is_not_pvh)
{
	struct image im;

	image_pvh(&im);
	memcpy(im.bytes + ELF_NOTE + 32, "Xem", 4);
	ck_assert_int_eq(plan_image(&im), 0);
	ck_assert_int_eq(plan.kind, BOOT_ELF64);
}
END_TEST

START_TEST(a_plan_touches_no_guest_memory)
{
	unsigned char in[32 * MIB / 4096];
	struct image im;
	size_t i;

	image_bzimage(&im);
	ck_assert_int_eq(plan_image(&im), 0);
	ck_assert_int_eq(mincore(mem.region[0].host, 32 * MIB, in), 0);
	for (i = 0; i < sizeof(in); i++)
		ck_assert_uint_eq(in[i] & 1, 0);
}
END_TEST

START_TEST(limits_hold_on_their_good_side)
{
	struct image im;

	image_bzimage(&im);
	im.bytes[0x201] = 0x66;
	put_le32(im.bytes + 0x260, 0x1000000);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	im.bytes[0x201] = 0x8e;
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
	image_elf(&im);
	put_le64(image_phdr(&im, 0) + 40, 0x2000);
	ck_assert_msg(plan_image(&im) == 0, "%s", why.text);
}
END_TEST

START_TEST(an_elf_of_only_empty_segments_is_refused)
{
	struct image im;

	image_elf(&im);
	image_set_phdr(&im, 0, 1, 0, 0, 0, 0);
	image_set_phdr(&im, 1, 6, 0, 0, 0, 0);
	ck_assert_int_eq(plan_image(&im), -EINVAL);
	ck_assert_str_eq(why.text, "/k: has no segment to load");
}
END_TEST

/* An ELF of n segments, one page each; freed by the caller. */
static uint8_t *many_segments(struct boot_reader *r, unsigned int n)
{
	size_t i, len = 64 + (size_t)n * 56;
	uint8_t *b = calloc(1, len), *ph;
	struct image im;

	ck_assert_ptr_nonnull(b);
	image_elf(&im);
	memcpy(b, im.bytes, 64);
	put_le16(b + 56, (uint16_t)n);
	put_le64(b + 24, ELF_LOAD);
	for (i = 0; i < n; i++) {
		ph = b + 64 + i * 56;
		put_le32(ph, 1);
		put_le64(ph + 24, ELF_LOAD + i * 4096);
		put_le64(ph + 32, 16);
		put_le64(ph + 40, 4096);
	}
	boot_reader_bytes(r, b, len, "/k");
	return b;
}

START_TEST(sixty_four_segments_are_loaded_and_no_more)
{
	struct boot_reader r;
	uint8_t *b = many_segments(&r, BOOT_SEGMENTS_MAX);

	ck_assert_int_eq(boot_plan_kernel(&plan, &r, &mem, &why), 0);
	ck_assert_uint_eq(plan.segments, 64);
	free(b);
	b = many_segments(&r, BOOT_SEGMENTS_MAX + 1);
	ck_assert_int_eq(boot_plan_kernel(&plan, &r, &mem, &why), -EINVAL);
	ck_assert_str_eq(why.text, "/k: has more than 64 segments to load");
	free(b);
}
END_TEST

START_TEST(a_kernel_in_the_hole_or_across_it_is_refused)
{
	struct image im;

	rig_free(&mem);
	rig_memory(&mem, 4 * GIB);
	image_bzimage(&im);
	put_le64(im.bytes + 0x258, 0xd0000000);
	ck_assert_int_eq(plan_image(&im), -EINVAL);
	ck_assert_str_eq(why.text,
			 "/k: needs 0x2000 bytes (init_size) at 0xd0000000 "
			 "(pref_address), not all of it guest RAM (RAM is "
			 "[0x0-0xc0000000) [0x100000000-0x140000000))");
	put_le64(im.bytes + 0x258, 0x100000000);
	ck_assert_int_eq(plan_image(&im), -EINVAL);
	ck_assert_str_eq(why.text, "/k: entry point 0x100000200 is not below "
				   "0x100000000");
}
END_TEST

START_TEST(memory_without_a_first_mib_is_refused)
{
	struct image im;

	rig_free(&mem);
	rig_add(&mem, 0, 0xff000);
	image_elf(&im);
	ck_assert_int_eq(plan_image(&im), -EINVAL);
	ck_assert_str_eq(why.text, "guest RAM must begin with [0x0-0x100000): "
				   "RAM is [0x0-0xff000)");
}
END_TEST

START_TEST(a_kernel_of_more_than_1_gib_is_refused)
{
	struct image im;
	struct boot_reader r;

	image_elf(&im);
	r = image_reader(&im);
	r.bytes = BOOT_KERNEL_BYTES_MAX + 1;
	ck_assert_int_eq(boot_plan_kernel(&plan, &r, &mem, &why), -EFBIG);
	ck_assert_str_eq(why.text, "/k: has 1073741825 bytes, more than the "
				   "limit of 1073741824");
}
END_TEST

START_TEST(the_reason_survives_a_very_long_path)
{
	struct boot_reader r;
	char path[2001];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	boot_reader_bytes(&r, "junk", 4, path);
	ck_assert_int_eq(boot_plan_kernel(&plan, &r, &mem, &why), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(why.text, "nor ELF (it starts with 6a"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot_plan");
	TCase *t = tcase_create("plan");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_bzimage_is_planned_at_its_preferred_address);
	tcase_add_test(t, a_bzimage_sets_the_limits_of_initrd_and_command_line);
	tcase_add_test(t, bytes_behind_a_bzimage_are_not_loaded);
	tcase_add_test(t, a_bzimage_may_miss_the_padding_of_its_last_paragraph);
	tcase_add_test(t,
		       an_elf_without_the_note_is_entered_at_its_entry_point);
	tcase_add_test(t, an_elf_with_the_note_is_entered_by_pvh);
	tcase_add_test(t, a_pvh_entry_of_four_bytes_is_understood);
	tcase_add_test(t, notes_aligned_to_eight_bytes_are_understood);
	tcase_add_test(t, a_note_18_of_another_name_is_not_pvh);
	tcase_add_test(t, a_plan_touches_no_guest_memory);
	tcase_add_test(t, limits_hold_on_their_good_side);
	tcase_add_test(t, an_elf_of_only_empty_segments_is_refused);
	tcase_add_test(t, sixty_four_segments_are_loaded_and_no_more);
	tcase_add_test(t, a_kernel_in_the_hole_or_across_it_is_refused);
	tcase_add_test(t, memory_without_a_first_mib_is_refused);
	tcase_add_test(t, a_kernel_of_more_than_1_gib_is_refused);
	tcase_add_test(t, the_reason_survives_a_very_long_path);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
