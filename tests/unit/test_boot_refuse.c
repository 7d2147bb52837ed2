/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every refusal of a damaged kernel, with its exact words: golden bad. One
 * field of a good image is damaged at a time. One thread, no files, 32 MiB
 * of untouched memory.
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

/* Damage to a good image: one field, or the length of the file. */
struct damage {
	enum { BZ, ELF, PVH } base;
	size_t at;
	size_t bytes; /* width of the field; 0: at is the file's length */
	uint64_t value;
	const char *text;
};

#define RAM	     "RAM is [0x0-0x2000000)"
#define PH(i, field) (ELF_PHDRS + (i)*56 + (field))

static const struct damage damages[] = {
	{ BZ, 3, 0, 0,
	  "/k: is neither a bzImage (boot flag 0x0000 at 0x1fe, magic "
	  "0x00000000 at 0x202) nor ELF (it starts with 00 00 00 00)" },
	{ BZ, 0x1fe, 2, 0xaa54,
	  "/k: is neither a bzImage (boot flag 0xaa54 at 0x1fe, magic "
	  "0x53726448 at 0x202) nor ELF (it starts with 00 00 00 00)" },
	{ BZ, 0x202, 4, 1,
	  "/k: is neither a bzImage (boot flag 0xaa55 at 0x1fe, magic "
	  "0x00000001 at 0x202) nor ELF (it starts with 00 00 00 00)" },
	{ BZ, 0x202, 1, 0x88,
	  "/k: is neither a bzImage (boot flag 0xaa55 at 0x1fe, magic "
	  "0x53726488 at 0x202) nor ELF (it starts with 00 00 00 00)" },
	{ ELF, 0, 4, 0x00088b1f,
	  "/k: is not a kernel but gzip-compressed data" },
	{ ELF, 0, 4, 0xfd2fb528,
	  "/k: is not a kernel but zstd-compressed data" },
	{ ELF, 0, 4, 0xfb494651, "/k: is not a kernel but a qcow2 disk image" },
	{ ELF, 0, 4, 0x37303730,
	  "/k: is not a kernel but a cpio archive, perhaps the initrd" },
	{ BZ, 0x28f, 0, 0,
	  "/k: 655 bytes are too few for a bzImage's setup header, which ends "
	  "at 656" },
	{ BZ, 0x206, 2, 0x020b, "/k: boot protocol 2.11 is older than 2.12" },
	{ BZ, 0x201, 1, 0x65,
	  "/k: setup header ends at 0x267, not in 0x268..0x290" },
	{ BZ, 0x201, 1, 0x8f,
	  "/k: setup header ends at 0x291, not in 0x268..0x290" },
	{ BZ, 0x211, 1, 0x80,
	  "/k: loadflags 0x80 lack LOADED_HIGH (0x01): a zImage, not a "
	  "bzImage" },
	{ BZ, 0x236, 2, 0xfffe,
	  "/k: xloadflags 0xfffe lack XLF_KERNEL_64 (0x0001): no 64-bit entry "
	  "point" },
	{ BZ, 0x234, 1, 0,
	  "/k: relocatable_kernel is 0; only relocatable kernels are loaded" },
	{ BZ, 0x1f1, 1, 0, "/k: setup_sects 0 is not in 1..64" },
	{ BZ, 0x1f1, 1, 65, "/k: setup_sects 65 is not in 1..64" },
	{ BZ, 0x1f1, 1, 255, "/k: setup_sects 255 is not in 1..64" },
	{ BZ, 0x1f1, 1, 64,
	  "/k: is cut short: 0x240 bytes of kernel (syssize) at offset "
	  "0x8200, 0x0 are there" },
	{ BZ, 0x1f4, 4, 0x20,
	  "/k: syssize 0x20 (0x200 bytes) has no room for the entry point at "
	  "0x200" },
	{ BZ, 0x1f4, 4, 0xffffffff,
	  "/k: is cut short: 0xffffffff0 bytes of kernel (syssize) at offset "
	  "0x400, 0x240 are there" },
	{ BZ, BZ_KERNEL + BZ_KERNEL_BYTES - 16, 0, 0,
	  "/k: is cut short: 0x240 bytes of kernel (syssize) at offset 0x400, "
	  "0x230 are there" },
	{ BZ, 0x24c, 4, 0x31,
	  "/k: payload (offset 0x210, length 0x31) leaves the 0x240 bytes of "
	  "kernel" },
	{ BZ, 0x248, 4, 0xffffffff,
	  "/k: payload (offset 0xffffffff, length 0x30) leaves the 0x240 bytes "
	  "of kernel" },
	{ BZ, 0x230, 4, 0, "/k: kernel_alignment 0x0 is not a power of two" },
	{ BZ, 0x230, 4, 0x300000,
	  "/k: kernel_alignment 0x300000 is not a power of two" },
	{ BZ, 0x258, 8, 0x1100000,
	  "/k: pref_address 0x1100000 is not a multiple of kernel_alignment "
	  "0x200000" },
	{ BZ, 0x258, 8, 0,
	  "/k: segment 0 at 0x0 is below 0x100000, where boot data lies" },
	{ BZ, 0x258, 8, 0x2000000,
	  "/k: needs 0x2000 bytes (init_size) at 0x2000000 (pref_address), not "
	  "all of it guest RAM (" RAM ")" },
	{ BZ, 0x258, 8, 0xffffffffffe00000,
	  "/k: needs 0x2000 bytes (init_size) at 0xffffffffffe00000 "
	  "(pref_address), not all of it guest RAM (" RAM ")" },
	{ BZ, 0x260, 4, 0x23f,
	  "/k: init_size 0x23f is less than the 0x240 bytes of kernel" },
	{ BZ, 0x260, 4, 0x1000001,
	  "/k: needs 0x1000001 bytes (init_size) at 0x1000000 (pref_address), "
	  "not all of it guest RAM (" RAM ")" },
	{ BZ, 0x260, 4, 0xffffffff,
	  "/k: needs 0xffffffff bytes (init_size) at 0x1000000 (pref_address), "
	  "not all of it guest RAM (" RAM ")" },

	{ ELF, 63, 0, 0, "/k: 63 bytes are too few for an ELF header of 64" },
	{ ELF, 4, 1, 1, "/k: ELF class 1 is not 64-bit (2)" },
	{ ELF, 5, 1, 2, "/k: ELF data encoding 2 is not little-endian (1)" },
	{ ELF, 16, 2, 1,
	  "/k: ELF type 1 is neither executable (2) nor shared (3)" },
	{ ELF, 18, 2, 183, "/k: ELF machine 183 is not x86-64 (62)" },
	{ ELF, 54, 2, 32, "/k: ELF program headers of 32 bytes, not 56" },
	{ ELF, 56, 2, 0, "/k: ELF program header count 0 is not in 1..128" },
	{ ELF, 56, 2, 129,
	  "/k: ELF program header count 129 is not in 1..128" },
	{ ELF, 56, 2, 65535,
	  "/k: ELF program header count 65535 is not in 1..128" },
	{ ELF, 32, 8, 0xffffffffffffffc0,
	  "/k: 3 ELF program headers at offset 0xffffffffffffffc0 leave the "
	  "file of 0x380 bytes" },
	{ ELF, 32, 8, 0x2d9,
	  "/k: 3 ELF program headers at offset 0x2d9 leave the file of 0x380 "
	  "bytes" },
	{ ELF, 24, 8, 0x100000000,
	  "/k: entry point 0x100000000 is not below 0x100000000" },
	{ ELF, 24, 8, ELF_LOAD + ELF_CODE_LEN,
	  "/k: entry point 0x200100 is in no segment that is loaded" },
	{ ELF, 24, 8, ELF_DATA_LOAD + ELF_DATA_LEN,
	  "/k: entry point 0x202080 is in no segment that is loaded" },
	{ ELF, PH(0, 0), 4, 3,
	  "/k: is a program that asks for an interpreter, not a kernel" },
	{ ELF, PH(0, 40), 8, 0xff,
	  "/k: segment 0: 0x100 bytes in the file are more than its 0xff bytes "
	  "in memory" },
	{ ELF, PH(0, 8), 8, 0x281,
	  "/k: segment 0: 0x100 bytes at offset 0x281 leave the file of 0x380 "
	  "bytes" },
	{ ELF, PH(0, 8), 8, 0xffffffffffffff80,
	  "/k: segment 0: 0x100 bytes at offset 0xffffffffffffff80 leave the "
	  "file of 0x380 bytes" },
	{ ELF, PH(0, 24), 8, 0xfffff,
	  "/k: segment 0 at 0xfffff is below 0x100000, where boot data lies" },
	{ ELF, PH(0, 24), 8, BOOT_PAGE_TABLES,
	  "/k: segment 0 at 0x9000 is below 0x100000, where boot data lies" },
	{ ELF, PH(0, 24), 8, 0x1ffff01,
	  "/k: segment 0: 0x100 bytes at 0x1ffff01 are not in guest RAM (" RAM
	  ")" },
	{ ELF, PH(1, 40), 8, 0xffffffffffffffff,
	  "/k: segment 1: 0xffffffffffffffff bytes at 0x202000 are not in "
	  "guest RAM (" RAM ")" },
	{ ELF, PH(1, 24), 8, 0xfffffffffffff800,
	  "/k: segment 1: 0x1000 bytes at 0xfffffffffffff800 are not in guest "
	  "RAM (" RAM ")" },
	{ ELF, PH(0, 40), 8, 0x2001,
	  "/k: segments 0 and 1 overlap: 0x2001 bytes at 0x200000, 0x1000 "
	  "bytes at 0x202000" },
	{ PVH, ELF_NOTE + 24, 4, 2,
	  "/k: PVH note: entry point of 2 bytes, not 4 or 8" },
	{ PVH, ELF_NOTE + 24, 4, 9,
	  "/k: ELF note at 0x14: name of 4 and descriptor of 9 bytes leave the "
	  "0x2c bytes of notes" },
	{ PVH, ELF_NOTE, 4, 0xffffffff,
	  "/k: ELF note at 0x0: name of 4294967295 and descriptor of 2 bytes "
	  "leave the 0x2c bytes of notes" },
	{ PVH, PH(2, 32), 8, 65537, "/k: ELF notes of more than 65536 bytes" },
	{ PVH, PH(2, 8), 8, 0x355,
	  "/k: 44 bytes at offset 0x355 leave the file of 896 bytes" },
	{ PVH, ELF_NOTE + 36, 8, 0x1000,
	  "/k: entry point 0x1000 is in no segment that is loaded" },
	{ PVH, ELF_NOTE + 36, 8, 0xffffffff80200020,
	  "/k: entry point 0xffffffff80200020 is not below 0x100000000" },
};

static void damage(struct image *im, const struct damage *d)
{
	if (d->base == BZ)
		image_bzimage(im);
	else if (d->base == ELF)
		image_elf(im);
	else
		image_pvh(im);
	if (d->bytes)
		bytes_put(im->bytes + d->at, d->value, d->bytes);
	else
		im->len = d->at;
}

START_TEST(each_damage_is_refused_in_words)
{
	const struct damage *d = &damages[_i];
	struct image im;
	int r;

	damage(&im, d);
	r = plan_image(&im);
	ck_assert_int_lt(r, 0);
	ck_assert_int_eq(why.code, r);
	ck_assert_str_eq(why.text, d->text);
	ck_assert_uint_eq(plan.segments, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot_refuse");
	TCase *t = tcase_create("refuse");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, each_damage_is_refused_in_words, 0,
			    sizeof(damages) / sizeof(damages[0]));
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
