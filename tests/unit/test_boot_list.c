/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot lists over real files, the words of the boot log, and the first
 * registers of the boot CPU. One thread; files in a directory of its own
 * that each test removes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/boot_rig.h"
#include "tests/unit/suite.h"

#define NAMES 6

static struct gmem mem;
static struct boot_result boot;
static struct err why;
static size_t chosen;
static char dir[64];
static char path[NAMES][96];
static struct buf refusals;

static void setup(void)
{
	unsigned int i;

	snprintf(dir, sizeof(dir), "/tmp/amber-boot-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (i = 0; i < NAMES; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%u", dir, i);
	rig_memory(&mem, 64 * MIB);
	buf_init(&refusals, 4096);
	chosen = 99;
}

static void teardown(void)
{
	unsigned int i;

	for (i = 0; i < NAMES; i++)
		unlink(path[i]);
	rmdir(dir);
	buf_fini(&refusals);
	rig_free(&mem);
}

static void put_file(unsigned int i, const void *bytes, size_t len)
{
	int fd = open(path[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static void put_elf(unsigned int i)
{
	struct image im;

	image_elf(&im);
	put_file(i, im.bytes, im.len);
}

static void note_refusal(void *ctx, const char *file, const struct err *e)
{
	ck_assert_ptr_eq(ctx, &chosen);
	ck_assert_int_lt(e->code, 0);
	buf_printf(&refusals, "%s|%s\n", file + strlen(dir) + 1,
		   e->text + strlen(dir) + 1);
}

static int load_list(size_t count, const char *initrd, const char *cmdline)
{
	const char *names[NAMES];
	struct boot_list list = {
		.kernels = names,
		.count = count,
		.initrd = initrd,
		.cmdline = cmdline,
		.refused = note_refusal,
		.ctx = &chosen,
	};
	size_t i;

	for (i = 0; i < NAMES; i++)
		names[i] = path[i];
	return boot_first_loadable(&boot, &chosen, &list, &mem, &why);
}

START_TEST(the_first_good_kernel_is_used_and_the_others_are_not_looked_at)
{
	put_file(0, "junk", 4);
	/* 1 is missing */
	put_file(2, "", 0);
	put_elf(3);
	put_file(4, "junk", 4);
	ck_assert_msg(load_list(5, NULL, "x") == 0, "%s", why.text);
	ck_assert_uint_eq(chosen, 3);
	ck_assert_str_eq(boot.kernel_path, path[3]);
	ck_assert_str_eq(
		buf_text(&refusals),
		"0|0: is neither a bzImage (boot flag 0x0000 at 0x1fe, magic "
		"0x00000000 at 0x202) nor ELF (it starts with 6a 75 6e 6b)\n"
		"1|1: cannot be opened: No such file or directory\n"
		"2|2: is empty\n");
}
END_TEST

START_TEST(one_bad_kernel_is_refused_with_its_own_words)
{
	ck_assert_int_eq(load_list(1, NULL, ""), -ENOENT);
	ck_assert_str_eq(why.text + strlen(dir) + 1,
			 "0: cannot be opened: No such file or directory");
	ck_assert_uint_eq(chosen, 99);
}
END_TEST

START_TEST(when_all_are_refused_the_first_reason_is_told)
{
	char want[256];

	put_file(1, "junk", 4);
	ck_assert_int_eq(load_list(2, NULL, ""), -ENOENT);
	snprintf(want, sizeof(want),
		 "none of 2 kernels can be loaded; the first: %s: cannot be "
		 "opened: No such file or directory",
		 path[0]);
	ck_assert_str_eq(why.text, want);
}
END_TEST

START_TEST(an_empty_list_is_refused)
{
	ck_assert_int_eq(load_list(0, NULL, ""), -EINVAL);
	ck_assert_str_eq(why.text, "no kernel was given");
}
END_TEST

START_TEST(a_missing_initrd_blames_the_initrd_and_tries_no_kernel)
{
	put_elf(0);
	ck_assert_int_eq(load_list(1, path[1], ""), -ENOENT);
	ck_assert_msg(!strncmp(why.text, "initrd: /tmp/", 13), "%s", why.text);
	ck_assert_str_eq(buf_text(&refusals), "");
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_at_once)
{
	ck_assert_int_eq(mkfifo(path[0], 0600), 0);
	ck_assert_int_eq(load_list(1, NULL, ""), -EINVAL);
	ck_assert_str_eq(why.text + strlen(dir) + 1,
			 "0: is a FIFO, not a regular file");
	unlink(path[0]);
	ck_assert_int_eq(symlink("/dev/zero", path[0]), 0);
	ck_assert_int_eq(load_list(1, NULL, ""), -EINVAL);
	ck_assert_str_eq(why.text + strlen(dir) + 1,
			 "0: is a character device, not a regular file");
	unlink(path[0]);
	ck_assert_int_eq(symlink("/", path[0]), 0);
	ck_assert_int_eq(load_list(1, NULL, ""), -EINVAL);
	ck_assert_str_eq(why.text + strlen(dir) + 1,
			 "0: is a directory, not a regular file");
}
END_TEST

START_TEST(a_sparse_file_over_the_limit_is_refused)
{
	put_elf(0);
	ck_assert_int_eq(truncate(path[0], (1 << 30) + 1), 0);
	ck_assert_int_eq(load_list(1, NULL, ""), -EFBIG);
	ck_assert_str_eq(why.text + strlen(dir) + 1,
			 "0: has 1073741825 bytes, more than the limit of "
			 "1073741824");
	ck_assert_int_eq(truncate(path[0], 1 << 30), 0);
	ck_assert_msg(load_list(1, NULL, "") == 0, "%s", why.text);
}
END_TEST

START_TEST(no_descriptor_stays_open)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	close(before);
	put_file(0, "junk", 4);
	put_elf(1);
	put_file(2, "initrd", 6);
	ck_assert_int_eq(load_list(2, path[2], ""), 0);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(the_boot_log_says_where_everything_lies)
{
	struct boot_result b = {
		.kind = BOOT_LINUX64,
		.kernel_path = "/boot/vm\nlinuz",
		.initrd_path = "/boot/initrd",
		.cmdline = "console=ttyS0\tquiet",
		.entry = 0x1000200,
		.kernel_start = 0x1000000,
		.kernel_end = 0x3a00000,
		.kernel_bytes = 8000000,
		.initrd_start = 0x7000000,
		.initrd_end = 0x7000064,
		.cmdline_gpa = 0x20000,
		.cmdline_bytes = 19,
		.gdt = 0x500,
		.zero_page = 0x7000,
		.page_tables = 0x9000,
		.rsdp = 0xe0000,
		.times = { 12345, 2000000, 1500999, 0 },
	};
	struct buf out;

	buf_init(&out, 4096);
	boot_describe(&b, &out);
	ck_assert_str_eq(
		buf_text(&out),
		"kernel: /boot/vm?linuz: bzImage, 64-bit Linux boot protocol, "
		"at 0x1000000-0x3a00000 (8000000 bytes read), entry "
		"0x1000200\n"
		"initrd: /boot/initrd: at 0x7000000-0x7000064 (100 bytes)\n"
		"command line: 19 characters at 0x20000: console=ttyS0?quiet\n"
		"tables: GDT 0x500, zero page 0x7000, identity page tables "
		"0x9000, RSDP 0xe0000\n"
		"times: plan 0.012 ms, kernel 2.000 ms, initrd 1.500 ms, "
		"tables 0.000 ms\n");
	buf_fini(&out);
}
END_TEST

/* The descriptor in guest memory that a selector names. */
static uint64_t descriptor(uint16_t selector)
{
	uint8_t raw[8];

	ck_assert_int_eq(gmem_read(&mem, boot.gdt + selector, raw, 8), 0);
	return get_le64(raw);
}

/* A segment register agrees with its descriptor, hidden parts included. */
static void expect_segment(const struct kvm_segment *s)
{
	uint64_t d = descriptor(s->selector), limit;

	limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	if (d >> 55 & 1)
		limit = limit << 12 | 0xfff;
	ck_assert_uint_eq(s->base, (d >> 16 & 0xffffff) | (d >> 56) << 24);
	ck_assert_uint_eq(s->limit, limit);
	ck_assert_uint_eq(s->type, d >> 40 & 15);
	ck_assert_uint_eq(s->s, d >> 44 & 1);
	ck_assert_uint_eq(s->dpl, d >> 45 & 3);
	ck_assert_uint_eq(s->present, d >> 47 & 1);
	ck_assert_uint_eq(s->l, d >> 53 & 1);
	ck_assert_uint_eq(s->db, d >> 54 & 1);
	ck_assert_uint_eq(s->g, d >> 55 & 1);
	ck_assert_uint_eq(s->unusable, 0);
}

static void cpu_for(void (*make)(struct image *), struct kvm_regs *regs,
		    struct kvm_sregs *sregs)
{
	struct image im;

	make(&im);
	put_file(0, im.bytes, im.len);
	ck_assert_msg(load_list(1, NULL, "") == 0, "%s", why.text);
	memset(regs, 0xff, sizeof(*regs));
	memset(sregs, 0xff, sizeof(*sregs));
	sregs->apic_base = 0xfee00900;
	boot_cpu_state(&boot, regs, sregs);
	ck_assert_uint_eq(sregs->apic_base, 0xfee00900);
	ck_assert_uint_eq(sregs->gdt.base, BOOT_GDT);
	ck_assert_uint_eq(sregs->gdt.limit, 47);
	ck_assert_uint_eq(sregs->idt.limit, 0);
	ck_assert_uint_eq(sregs->cr2 | sregs->cr8, 0);
	ck_assert_uint_eq(regs->rflags, 2);
	expect_segment(&sregs->cs);
	expect_segment(&sregs->ds);
	expect_segment(&sregs->es);
	expect_segment(&sregs->ss);
	expect_segment(&sregs->fs);
	expect_segment(&sregs->gs);
	expect_segment(&sregs->tr);
	ck_assert_uint_eq(sregs->cs.selector, 0x10);
	ck_assert_uint_eq(sregs->ds.selector, 0x18);
	ck_assert_uint_eq(sregs->ldt.unusable, 1);
}

static void expect_long_mode(const struct kvm_sregs *s)
{
	ck_assert_uint_eq(s->cr0, 0x80000031);
	ck_assert_uint_eq(s->cr3, BOOT_PAGE_TABLES);
	ck_assert_uint_eq(s->cr4, 0x20);
	ck_assert_uint_eq(s->efer, 0x500);
	ck_assert_uint_eq(s->cs.l, 1);
	ck_assert_uint_eq(s->cs.db, 0);
}

START_TEST(a_bzimage_starts_in_long_mode_with_its_zero_page)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	cpu_for(image_bzimage, &regs, &sregs);
	expect_long_mode(&sregs);
	ck_assert_uint_eq(regs.rip, BZ_LOAD + 0x200);
	ck_assert_uint_eq(regs.rsi, BOOT_ZERO_PAGE);
	ck_assert_uint_eq(regs.rdi | regs.rbx | regs.rsp, 0);
}
END_TEST

START_TEST(an_elf_starts_in_long_mode_with_zero_page_and_start_info)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	cpu_for(image_elf, &regs, &sregs);
	expect_long_mode(&sregs);
	ck_assert_uint_eq(regs.rip, ELF_ENTRY);
	ck_assert_uint_eq(regs.rsi, BOOT_ZERO_PAGE);
	ck_assert_uint_eq(regs.rdi, BOOT_START_INFO);
}
END_TEST

START_TEST(a_pvh_kernel_starts_in_protected_mode_without_paging)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	cpu_for(image_pvh, &regs, &sregs);
	ck_assert_uint_eq(sregs.cr0, 0x11);
	ck_assert_uint_eq(sregs.cr3 | sregs.cr4 | sregs.efer, 0);
	ck_assert_uint_eq(sregs.cs.db, 1);
	ck_assert_uint_eq(regs.rip, ELF_PVH_ENTRY);
	ck_assert_uint_eq(regs.rbx, BOOT_START_INFO);
	ck_assert_uint_eq(regs.rsi | regs.rdi, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot_list");
	TCase *t = tcase_create("list");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(
		t,
		the_first_good_kernel_is_used_and_the_others_are_not_looked_at);
	tcase_add_test(t, one_bad_kernel_is_refused_with_its_own_words);
	tcase_add_test(t, when_all_are_refused_the_first_reason_is_told);
	tcase_add_test(t, an_empty_list_is_refused);
	tcase_add_test(t,
		       a_missing_initrd_blames_the_initrd_and_tries_no_kernel);
	tcase_add_test(t, what_is_no_regular_file_is_refused_at_once);
	tcase_add_test(t, a_sparse_file_over_the_limit_is_refused);
	tcase_add_test(t, no_descriptor_stays_open);
	tcase_add_test(t, the_boot_log_says_where_everything_lies);
	tcase_add_test(t, a_bzimage_starts_in_long_mode_with_its_zero_page);
	tcase_add_test(
		t, an_elf_starts_in_long_mode_with_zero_page_and_start_info);
	tcase_add_test(t, a_pvh_kernel_starts_in_protected_mode_without_paging);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
