/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the boot loaders put into guest memory: kernel, initrd, command line,
 * zero page, start info, page tables; and that a refusal leaves it zero. One
 * thread, no files.
 */
#include <stdlib.h>

#include "tests/unit/boot_rig.h"
#include "tests/unit/suite.h"

#define RSDP 0xe0000

static struct gmem mem;
static struct boot_result boot;
static struct err why;

static void setup(void)
{
	rig_memory(&mem, 64 * MIB);
	memset(&boot, 0, sizeof(boot));
	why = (struct err)ERR_NONE;
}

static void teardown(void)
{
	rig_free(&mem);
}

static uint8_t *at(gpa_t gpa)
{
	uint8_t *p = gmem_slice(&mem, gpa, 1);

	ck_assert_ptr_nonnull(p);
	return p;
}

static int load(const struct image *im, const struct boot_reader *initrd,
		const char *cmdline)
{
	struct boot_reader kernel = image_reader(im);
	struct boot_request req = { &kernel, initrd, cmdline, RSDP };

	return boot_load(&boot, &req, &mem, &why);
}

/* Pages of the first region that the process touched. */
static size_t touched(void)
{
	size_t i, n = 0, pages = mem.region[0].bytes / 4096;
	unsigned char *in = malloc(pages);

	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(mincore(mem.region[0].host, pages * 4096, in), 0);
	for (i = 0; i < pages; i++)
		n += in[i] & 1;
	free(in);
	return n;
}

static void expect_e820(const uint8_t *entry, uint64_t start, uint64_t end,
			uint32_t type)
{
	ck_assert_uint_eq(get_le64(entry), start);
	ck_assert_uint_eq(get_le64(entry + 8), end - start);
	ck_assert_uint_eq(get_le32(entry + 16), type);
}

START_TEST(a_bzimage_lies_at_its_place_and_only_there)
{
	struct image im;

	image_bzimage(&im);
	ck_assert_msg(load(&im, NULL, "quiet") == 0, "%s", why.text);
	ck_assert_mem_eq(at(BZ_LOAD), im.bytes + BZ_KERNEL, BZ_KERNEL_BYTES);
	ck_assert_uint_eq(*at(BZ_LOAD + BZ_KERNEL_BYTES), 0);
	ck_assert_uint_eq(boot.entry, BZ_LOAD + 0x200);
	ck_assert_uint_eq(boot.kernel_end, BZ_LOAD + BZ_INIT_BYTES);
	ck_assert_uint_eq(boot.kernel_bytes, BZ_KERNEL_BYTES);
	ck_assert_uint_eq(boot.start_info, 0);
	/* kernel, GDT, zero page, command line, six page tables */
	ck_assert_uint_eq(touched(), 10);
}
END_TEST

START_TEST(the_zero_page_of_a_bzimage_has_header_and_loader_fields)
{
	struct boot_reader initrd;
	struct image im;
	uint8_t *zp;

	image_bzimage(&im);
	im.bytes[0x226] = im.bytes[0x227] = 0x55;
	put_le64(im.bytes + 0x250, 0xbad);
	boot_reader_bytes(&initrd, im.bytes, 1000, "/i");
	ck_assert_int_eq(load(&im, &initrd, "quiet"), 0);
	zp = at(boot.zero_page);
	ck_assert_uint_eq(boot.zero_page, BOOT_ZERO_PAGE);
	ck_assert_mem_eq(zp + 0x202, "HdrS", 4);
	ck_assert_uint_eq(get_le16(zp + 0x1fe), 0xaa55);
	ck_assert_uint_eq(get_le16(zp + 0x1fa), 0xffff);
	ck_assert_uint_eq(get_le16(zp + 0x206), 0x020f);
	ck_assert_uint_eq(zp[0x210], 0xff);
	ck_assert_uint_eq(zp[0x211], 0x01);
	ck_assert_uint_eq(get_le32(zp + 0x214), BZ_LOAD);
	ck_assert_uint_eq(get_le32(zp + 0x218), 64 * MIB - 4096);
	ck_assert_uint_eq(get_le32(zp + 0x21c), 1000);
	ck_assert_uint_eq(zp[0x226] | zp[0x227], 0);
	ck_assert_uint_eq(get_le32(zp + 0x228), BOOT_CMDLINE);
	ck_assert_uint_eq(get_le64(zp + 0x250), 0);
	ck_assert_uint_eq(get_le32(zp + 0x260), BZ_INIT_BYTES);
	ck_assert_uint_eq(get_le64(zp + 0x070), RSDP);
	ck_assert_uint_eq(get_le64(zp + 0x0c0) | get_le32(zp + 0x0c8), 0);
	ck_assert_uint_eq(zp[0x1ef], 0); /* sentinel */
	ck_assert_str_eq((char *)at(BOOT_CMDLINE), "quiet");
	ck_assert_uint_eq(boot.cmdline_bytes, 5);
}
END_TEST

START_TEST(the_memory_map_leaves_out_low_reserved_memory)
{
	struct image im;
	uint8_t *zp;

	image_bzimage(&im);
	ck_assert_int_eq(load(&im, NULL, NULL), 0);
	zp = at(boot.zero_page);
	ck_assert_uint_eq(zp[0x1e8], 3);
	expect_e820(zp + 0x2d0, 0, 0x9fc00, 1);
	expect_e820(zp + 0x2e4, 0x9fc00, 0x100000, 2);
	expect_e820(zp + 0x2f8, 0x100000, 64 * MIB, 1);
	ck_assert_str_eq((char *)at(BOOT_CMDLINE), "");
}
END_TEST

START_TEST(the_memory_map_and_the_initrd_respect_the_hole)
{
	uint8_t bytes[4097], *zp;
	struct boot_reader initrd;
	struct image im;

	rig_free(&mem);
	rig_memory(&mem, 5 * GIB);
	image_bzimage(&im);
	put_le32(im.bytes + 0x22c, 0xffffffff);
	memset(bytes, 0x5a, sizeof(bytes));
	boot_reader_bytes(&initrd, bytes, sizeof(bytes), "/i");
	ck_assert_msg(load(&im, &initrd, "") == 0, "%s", why.text);
	zp = at(boot.zero_page);
	ck_assert_uint_eq(zp[0x1e8], 4);
	expect_e820(zp + 0x2f8, 0x100000, 3 * GIB, 1);
	expect_e820(zp + 0x30c, 4 * GIB, 6 * GIB, 1);
	ck_assert_uint_eq(boot.initrd_start, 3 * GIB - 8192);
	ck_assert_uint_eq(boot.initrd_end, 3 * GIB - 8192 + 4097);
	ck_assert_mem_eq(at(boot.initrd_start), bytes, sizeof(bytes));
}
END_TEST

START_TEST(the_first_four_gib_are_identity_mapped)
{
	struct image im;
	uint64_t i, pdpt, pd;

	image_elf(&im);
	ck_assert_int_eq(load(&im, NULL, ""), 0);
	ck_assert_uint_eq(boot.page_tables, BOOT_PAGE_TABLES);
	ck_assert_uint_eq(get_le64(at(boot.page_tables)), 0xa003);
	pdpt = 0xa000;
	for (i = 0; i < 2048; i++) {
		pd = get_le64(at(pdpt + i / 512 * 8));
		ck_assert_uint_eq(pd & 0xfff, 3);
		ck_assert_uint_eq(get_le64(at((pd & ~0xfffULL) + i % 512 * 8)),
				  i * 0x200000 | 0x83);
	}
	ck_assert_uint_eq(get_le64(at(pdpt + 4 * 8)), 0);
	ck_assert_uint_eq(get_le64(at(boot.page_tables + 8)), 0);
}
END_TEST

START_TEST(an_elf_kernel_gets_segments_zero_page_and_start_info)
{
	struct image im;
	uint8_t *zp;

	image_elf(&im);
	ck_assert_msg(load(&im, NULL, "a=b") == 0, "%s", why.text);
	ck_assert_mem_eq(at(ELF_LOAD), im.bytes + ELF_CODE, ELF_CODE_LEN);
	ck_assert_uint_eq(*at(ELF_LOAD + ELF_CODE_LEN), 0);
	ck_assert_mem_eq(at(ELF_DATA_LOAD), im.bytes + ELF_DATA, ELF_DATA_LEN);
	ck_assert_uint_eq(boot.kernel_bytes, ELF_CODE_LEN + ELF_DATA_LEN);
	ck_assert_uint_eq(boot.start_info, BOOT_START_INFO);
	zp = at(boot.zero_page);
	ck_assert_mem_eq(zp + 0x202, "HdrS", 4);
	ck_assert_uint_eq(get_le16(zp + 0x1fe), 0xaa55);
	ck_assert_uint_eq(get_le16(zp + 0x206), 0x020c);
	ck_assert_uint_eq(get_le32(zp + 0x228), BOOT_CMDLINE);
	ck_assert_uint_eq(zp[0x1e8], 3);
}
END_TEST

START_TEST(a_pvh_kernel_gets_start_info_with_its_module)
{
	struct boot_reader initrd;
	struct image im;
	uint8_t *si, *module, *map;

	image_pvh(&im);
	boot_reader_bytes(&initrd, im.bytes, 300, "/i");
	ck_assert_msg(load(&im, &initrd, "x") == 0, "%s", why.text);
	ck_assert_int_eq(boot.kind, BOOT_ELF_PVH);
	ck_assert_uint_eq(boot.entry, ELF_PVH_ENTRY);
	ck_assert_uint_eq(boot.zero_page | boot.page_tables, 0);
	si = at(boot.start_info);
	ck_assert_uint_eq(get_le32(si), 0x336ec578);
	ck_assert_uint_eq(get_le32(si + 4), 1);
	ck_assert_uint_eq(get_le32(si + 8), 0);
	ck_assert_uint_eq(get_le32(si + 12), 1);
	ck_assert_uint_eq(get_le64(si + 24), BOOT_CMDLINE);
	ck_assert_uint_eq(get_le64(si + 32), RSDP);
	ck_assert_uint_eq(get_le32(si + 48), 3);
	module = at(get_le64(si + 16));
	ck_assert_uint_eq(get_le64(module), boot.initrd_start);
	ck_assert_uint_eq(get_le64(module + 8), 300);
	ck_assert_str_eq((char *)at(get_le64(module + 16)), "");
	map = at(get_le64(si + 40));
	expect_e820(map, 0, 0x9fc00, 1);
	expect_e820(map + 24, 0x9fc00, 0x100000, 2);
	expect_e820(map + 48, 0x100000, 64 * MIB, 1);
	/* code, data, initrd, GDT, start info, command line */
	ck_assert_uint_eq(touched(), 6);
}
END_TEST

START_TEST(without_an_initrd_there_is_no_module)
{
	struct image im;

	image_pvh(&im);
	ck_assert_int_eq(load(&im, NULL, ""), 0);
	ck_assert_uint_eq(get_le32(at(boot.start_info) + 12), 0);
	ck_assert_uint_eq(get_le64(at(boot.start_info) + 16), 0);
	ck_assert_uint_eq(boot.initrd_start | boot.initrd_end, 0);
}
END_TEST

START_TEST(an_initrd_goes_below_a_kernel_that_is_in_its_way)
{
	static uint8_t bytes[8192];
	struct boot_reader initrd;
	struct image im;

	image_elf(&im);
	put_le64(image_phdr(&im, 1) + 24, 64 * MIB - 0x1800);
	boot_reader_bytes(&initrd, bytes, sizeof(bytes), "/i");
	ck_assert_int_eq(load(&im, &initrd, ""), 0);
	ck_assert_uint_eq(boot.initrd_start, 64 * MIB - 0x4000);
	boot_reader_bytes(&initrd, bytes, 0x800, "/i");
	rig_fresh(&mem);
	ck_assert_int_eq(load(&im, &initrd, ""), 0);
	ck_assert_uint_eq(boot.initrd_start, 64 * MIB - 0x2000);
}
END_TEST

START_TEST(an_initrd_stays_below_initrd_addr_max)
{
	struct boot_reader initrd;
	struct image im;

	image_bzimage(&im);
	put_le32(im.bytes + 0x22c, 0x1ffffff);
	boot_reader_bytes(&initrd, im.bytes, 1, "/i");
	ck_assert_int_eq(load(&im, &initrd, ""), 0);
	ck_assert_uint_eq(boot.initrd_start, 0x1fff000);
}
END_TEST

/* A source that has bytes bytes of 0x77 and fails behind good of them. */
struct failing {
	uint64_t good;
	int error;
};

static int read_failing(void *ctx, uint64_t offset, void *to, size_t len)
{
	const struct failing *f = ctx;
	uint64_t n = offset < f->good ? f->good - offset : 0;

	memset(to, 0x77, n < len ? n : len);
	return n < len ? f->error : 0;
}

static struct boot_reader failing_reader(struct failing *f, uint64_t bytes)
{
	return (struct boot_reader){ read_failing, f, bytes, "/i", -1 };
}

START_TEST(an_initrd_that_fits_exactly_is_loaded_and_one_byte_more_refused)
{
	struct failing f = { UINT64_MAX, 0 };
	struct boot_reader initrd;
	struct image im;
	uint64_t room = 64 * MIB - (BZ_LOAD + BZ_INIT_BYTES);

	image_bzimage(&im);
	initrd = failing_reader(&f, room + 1);
	ck_assert_int_eq(load(&im, &initrd, ""), -ENOSPC);
	ck_assert_str_eq(why.text,
			 "/i: 50323457 bytes of initrd fit nowhere in "
			 "[0x100000-0x4000000) beside the kernel at "
			 "[0x1000000-0x1002000)");
	ck_assert_uint_eq(touched(), 0);
	initrd = failing_reader(&f, room);
	ck_assert_int_eq(load(&im, &initrd, ""), 0);
	ck_assert_uint_eq(boot.initrd_start, BZ_LOAD + BZ_INIT_BYTES);
}
END_TEST

START_TEST(empty_and_huge_initrds_are_refused)
{
	struct failing f = { UINT64_MAX, 0 };
	struct boot_reader initrd = failing_reader(&f, 0);
	struct image im;

	image_bzimage(&im);
	ck_assert_int_eq(load(&im, &initrd, ""), -EINVAL);
	ck_assert_str_eq(why.text, "/i: is empty");
	initrd.bytes = BOOT_INITRD_BYTES_MAX + 1;
	ck_assert_int_eq(load(&im, &initrd, ""), -EFBIG);
	ck_assert_str_eq(why.text, "/i: has 2147483649 bytes, more than the "
				   "limit of 2147483648");
	initrd.bytes = BOOT_INITRD_BYTES_MAX;
	ck_assert_int_eq(load(&im, &initrd, ""), -ENOSPC);
	ck_assert_uint_eq(touched(), 0);
}
END_TEST

START_TEST(command_lines_are_taken_up_to_the_limit)
{
	char line[2049];
	struct image im;

	memset(line, 'c', sizeof(line));
	line[2048] = 0;
	image_bzimage(&im);
	put_le32(im.bytes + 0x238, 0xffffffff);
	ck_assert_int_eq(load(&im, NULL, line), -EINVAL);
	ck_assert_str_eq(why.text, "command line of 2048 characters is longer "
				   "than the limit of 2047 (amber's)");
	ck_assert_uint_eq(touched(), 0);
	line[2047] = 0;
	ck_assert_int_eq(load(&im, NULL, line), 0);
	ck_assert_str_eq((char *)at(BOOT_CMDLINE), line);
	put_le32(im.bytes + 0x238, 4);
	ck_assert_int_eq(load(&im, NULL, "12345"), -EINVAL);
	ck_assert_str_eq(why.text, "command line of 5 characters is longer "
				   "than the limit of 4 (the kernel's "
				   "cmdline_size)");
}
END_TEST

static void expect_zero_memory(void)
{
	const uint8_t *p = mem.region[0].host;

	ck_assert_uint_eq(p[0], 0);
	ck_assert_int_eq(memcmp(p, p + 1, mem.region[0].bytes - 1), 0);
}

START_TEST(a_read_that_fails_leaves_memory_zero)
{
	struct failing f = { 5000, -EIO };
	struct boot_reader initrd = failing_reader(&f, 10000);
	struct image im;

	image_elf(&im);
	ck_assert_int_eq(load(&im, &initrd, ""), -EIO);
	ck_assert_str_eq(why.text, "/i: cannot read 10000 bytes at offset 0x0: "
				   "Input/output error");
	expect_zero_memory();
	f.error = -ENODATA;
	ck_assert_int_eq(load(&im, &initrd, ""), -ENODATA);
	ck_assert_str_eq(why.text,
			 "/i: became shorter while it was read: wanted 10000 "
			 "bytes at offset 0x0");
	expect_zero_memory();
	ck_assert_ptr_null(boot.kernel_path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot_load");
	TCase *t = tcase_create("load");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_bzimage_lies_at_its_place_and_only_there);
	tcase_add_test(t,
		       the_zero_page_of_a_bzimage_has_header_and_loader_fields);
	tcase_add_test(t, the_memory_map_leaves_out_low_reserved_memory);
	tcase_add_test(t, the_memory_map_and_the_initrd_respect_the_hole);
	tcase_add_test(t, the_first_four_gib_are_identity_mapped);
	tcase_add_test(t, an_elf_kernel_gets_segments_zero_page_and_start_info);
	tcase_add_test(t, a_pvh_kernel_gets_start_info_with_its_module);
	tcase_add_test(t, without_an_initrd_there_is_no_module);
	tcase_add_test(t, an_initrd_goes_below_a_kernel_that_is_in_its_way);
	tcase_add_test(t, an_initrd_stays_below_initrd_addr_max);
	tcase_add_test(
		t,
		an_initrd_that_fits_exactly_is_loaded_and_one_byte_more_refused);
	tcase_add_test(t, empty_and_huge_initrds_are_refused);
	tcase_add_test(t, command_lines_are_taken_up_to_the_limit);
	tcase_add_test(t, a_read_that_fails_leaves_memory_zero);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
