/* SPDX-License-Identifier: Apache-2.0 */
/* Raw disks: what is opened, what is refused, and what requests do. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/disk_rig.h"

#define MIB (1U << 20)

static struct disk_rig rig;

/* --- opening --------------------------------------------------------- */

/* Returns the text of the refusal. */
static const char *refused(const char *path, enum disk_format format, int code)
{
	static struct err e;
	struct disk_config config = { .path = path, .format = format };
	struct disk *d = NULL;

	memset(&e, 0, sizeof(e));
	ck_assert_int_eq(disk_open(&d, &config, &e), code);
	ck_assert_ptr_null(d);
	return e.text;
}

static void contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' lacks '%s'", text, part);
}

START_TEST(only_files_and_block_devices_are_disks)
{
	char fifo[] = "build/fifo.XXXXXX";

	contains(refused("build", DISK_RAW, -EINVAL), "a directory");
	contains(refused("/dev/null", DISK_RAW, -EINVAL), "character device");
	contains(refused("build/none", DISK_RAW, -ENOENT), "build/none: No");
	close(mkstemp(fifo));
	unlink(fifo);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	contains(refused(fifo, DISK_RAW, -EINVAL), "a FIFO");
	unlink(fifo);
}
END_TEST

START_TEST(a_size_that_is_not_made_of_sectors_is_refused)
{
	rig_create(&rig, 0);
	contains(refused(rig.path, DISK_RAW, -EINVAL), "is empty");
	ck_assert_int_eq(ftruncate(rig.fd, 1000), 0);
	contains(refused(rig.path, DISK_RAW, -EINVAL),
		 "size 1000 is not a multiple of 512");
	ck_assert_int_eq(ftruncate(rig.fd, 1), 0);
	contains(refused(rig.path, DISK_FORMAT_UNKNOWN, -EINVAL), "size 1 is");
	rig_teardown(&rig);
}
END_TEST

START_TEST(what_looks_like_another_format_is_only_raw_when_told)
{
	static const struct {
		off_t at;
		const char *magic, *says;
	} rows[] = {
		{ 0, "QFI\xfb", "format=qcow2" },
		{ 0, "KDMV", "VMDK" },
		{ 0, "vhdxfile", "VHDX" },
		{ 64, "\x7f\x10\xda\xbe", "VDI" },
	};
	const struct disk_config raw = { .path = rig.path, .format = DISK_RAW };
	struct disk *d;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rig_create(&rig, MIB);
		ck_assert_int_gt(pwrite(rig.fd, rows[i].magic,
					strlen(rows[i].magic), rows[i].at),
				 0);
		contains(refused(rig.path, DISK_FORMAT_UNKNOWN, -EINVAL),
			 rows[i].says);
		contains(refused(rig.path, DISK_FORMAT_UNKNOWN, -EINVAL),
			 "format=raw");
		ck_assert_int_eq(disk_open(&d, &raw, NULL), 0);
		ck_assert_int_eq(disk_get_info(d)->format, DISK_RAW);
		disk_close(d);
		rig_teardown(&rig);
	}
}
END_TEST

START_TEST(an_open_disk_says_what_it_is)
{
	const struct disk_config config = { .path = rig.path };
	const struct disk_info *info;
	struct disk *d;

	rig_create(&rig, MIB);
	contains(refused(rig.path, DISK_QCOW2, -EINVAL), "not a qcow2 image");
	ck_assert_int_eq(disk_open(&d, &config, NULL), 0);
	info = disk_get_info(d);
	ck_assert_uint_eq(info->bytes, MIB);
	ck_assert_int_eq(info->format, DISK_RAW);
	ck_assert_uint_eq(info->logical_bytes, 512);
	ck_assert_uint_ge(info->physical_bytes, 512);
	ck_assert(!info->read_only);
	ck_assert_str_eq(disk_path(d), rig.path);
	disk_close(d);
	disk_close(NULL);
	rig_teardown(&rig);
}
END_TEST

START_TEST(names_are_parsed_as_they_are_printed)
{
	ck_assert_str_eq(disk_format_text(DISK_QCOW2), "qcow2");
	ck_assert_int_eq(disk_format_parse("raw"), DISK_RAW);
	ck_assert_int_eq(disk_format_parse("vmdk"), -1);
	ck_assert_int_eq(disk_format_parse(""), -1);
	ck_assert_str_eq(disk_cache_text(DISK_WRITETHROUGH), "writethrough");
	ck_assert_int_eq(disk_cache_parse("none"), DISK_DIRECT);
	ck_assert_int_eq(disk_cache_parse("direct"), -1);
	ck_assert_str_eq(disk_format_text(99), "unknown");
}
END_TEST

/* --- requests -------------------------------------------------------- */

static const enum disk_cache caches[] = { DISK_WRITEBACK, DISK_WRITETHROUGH,
					  DISK_DIRECT };

START_TEST(what_was_written_is_read_in_each_cache_mode)
{
	static uint8_t out[MIB] __attribute__((aligned(4096)));
	static uint8_t in[MIB] __attribute__((aligned(4096)));
	size_t i;

	for (i = 0; i < 3; i++) {
		rig_setup(&rig, 4 * MIB, caches[i], NULL);
		rig_fill(out, MIB, (unsigned int)i);
		memset(in, 0, MIB);
		ck_assert_int_eq(rig_do(&rig, DISK_WRITE, MIB, out, MIB), 0);
		ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
		ck_assert_int_eq(rig_do(&rig, DISK_READ, MIB, in, MIB), 0);
		ck_assert_mem_eq(in, out, MIB);
		ck_assert_int_eq(pread(rig.fd, in, MIB, MIB), MIB);
		ck_assert_mem_eq(in, out, MIB);
		rig_teardown(&rig);
	}
}
END_TEST

/* Pieces at odd addresses of odd lengths; more than one bounce buffer. */
START_TEST(direct_io_works_from_any_memory)
{
	enum { BYTES = 600 * 512 };
	static uint8_t out[BYTES + 1], in[BYTES + 1];
	struct disk_try t;
	struct iovec iov[3] = {
		{ .iov_base = in + 1, .iov_len = 700 },
		{ .iov_base = in + 701, .iov_len = 131072 },
		{ .iov_base = in + 131773, .iov_len = BYTES - 131772 },
	};

	rig_setup(&rig, MIB, DISK_DIRECT, NULL);
	rig_fill(out, sizeof(out), 4);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 512 * 3, out + 1, BYTES), 0);
	rig_make(&t, DISK_READ, 512 * 3, NULL, BYTES);
	t.r.iov = iov;
	t.r.iovs = 3;
	ck_assert_int_eq(rig_finish(&rig, &t), 0);
	ck_assert_ptr_null(t.r.bounce);
	ck_assert_mem_eq(in + 1, out + 1, BYTES);
	t.calls = 0;
	t.r.op = DISK_WRITE;
	t.r.offset = 0;
	ck_assert_int_eq(rig_finish(&rig, &t), 0);
	ck_assert_int_eq(pread(rig.fd, in, BYTES, 0), BYTES);
	ck_assert_mem_eq(in, out + 1, BYTES);
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_range_that_is_not_inside_is_refused)
{
	static const struct {
		uint64_t offset, bytes;
	} rows[] = {
		{ 1, 512 },
		{ 0, 511 },
		{ MIB, 512 },
		{ MIB - 512, 1024 },
		{ UINT64_MAX - 511, 512 },
		{ 512, UINT64_MAX - 511 },
		{ INT64_MAX - 511, 512 },
	};
	static const enum disk_op ops[] = { DISK_READ, DISK_WRITE, DISK_DISCARD,
					    DISK_ZERO };
	uint8_t memory[1024];
	struct disk_try t;
	size_t i, j;

	rig_setup(&rig, MIB, DISK_WRITEBACK, NULL);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (j = 0; j < 4; j++)
			ck_assert_int_eq(rig_do(&rig, ops[j], rows[i].offset,
						memory, rows[i].bytes),
					 -EINVAL);
	rig_make(&t, DISK_WRITE, 0, memory, 512)->iov.iov_len = 100;
	ck_assert_int_eq(rig_finish(&rig, &t), -EINVAL);
	rig_make(&t, (enum disk_op)77, 0, memory, 512);
	ck_assert_int_eq(rig_finish(&rig, &t), -EINVAL);
	ck_assert_int_eq(rig_do(&rig, DISK_READ, MIB, memory, 0), 0);
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_read_only_disk_is_not_changed)
{
	uint8_t memory[512];
	struct err e = ERR_NONE;

	rig_create(&rig, MIB);
	ck_assert_int_eq(fchmod(rig.fd, 0400), 0);
	ck_assert_int_eq(rig_open(&rig, DISK_WRITEBACK, true, &e), 0);
	ck_assert_int_eq(ioq_open(&rig.q, IOQ_AUTO, 16, NULL, &e), 0);
	disk_attach(rig.disk, rig.q);
	ck_assert_int_eq(rig_do(&rig, DISK_READ, 0, memory, 512), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, memory, 512), -EROFS);
	ck_assert_int_eq(rig_do(&rig, DISK_ZERO, 0, NULL, 512), -EROFS);
	ck_assert_int_eq(rig_do(&rig, DISK_DISCARD, 0, NULL, 512), -EROFS);
	ck_assert(!disk_get_info(rig.disk)->can_discard);
	rig_teardown(&rig);
}
END_TEST

static off_t allocated_bytes(void)
{
	struct stat st;

	ck_assert_int_eq(fsync(rig.fd), 0);
	ck_assert_int_eq(fstat(rig.fd, &st), 0);
	ck_assert_int_eq(st.st_size, 4 * MIB);
	return st.st_blocks * 512;
}

static void zero_all(enum disk_op op, bool may_unmap, off_t allocated)
{
	static uint8_t memory[4 * MIB];
	struct disk_try t;

	memset(memory, 0xaa, sizeof(memory));
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, memory, 4 * MIB), 0);
	rig_make(&t, op, 0, NULL, 4 * MIB);
	t.r.may_unmap = may_unmap;
	t.r.durable = true;
	ck_assert_int_eq(rig_finish(&rig, &t), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_READ, 0, memory, 4 * MIB), 0);
	ck_assert(rig_is_zero(memory, sizeof(memory)));
	if (allocated)
		ck_assert_int_ge(allocated_bytes(), allocated);
	else
		ck_assert_int_lt(allocated_bytes(), MIB);
}

START_TEST(zeroes_keep_their_space_unless_they_may_give_it_back)
{
	rig_setup(&rig, 4 * MIB, DISK_WRITEBACK, NULL);
	if (disk_get_info(rig.disk)->can_discard) {
		zero_all(DISK_ZERO, false, 4 * MIB);
		zero_all(DISK_ZERO, true, 0);
		zero_all(DISK_DISCARD, false, 0);
	}
	rig_teardown(&rig);
}
END_TEST

/* Attaches the image to a loop device. False: not allowed here. */
static bool attach_loop(char *path, size_t bytes)
{
	char command[128];
	bool attached;
	FILE *f;

	snprintf(command, sizeof(command),
		 "losetup --find --show %s 2>/dev/null", rig.path);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	attached = fgets(path, (int)bytes, f);
	pclose(f);
	path[strcspn(path, "\n")] = '\0';
	return attached;
}

static void use_device(const char *path, enum disk_cache cache)
{
	static uint8_t memory[8 * 512 + 1];
	struct disk_config config = { .path = path, .cache = cache };
	struct err e = ERR_NONE;

	ck_assert_msg(!disk_open(&rig.disk, &config, &e), "%s", e.text);
	ck_assert_int_eq(ioq_open(&rig.q, IOQ_AUTO, 16, NULL, &e), 0);
	disk_attach(rig.disk, rig.q);
	contains(refused(path, DISK_FORMAT_UNKNOWN, -EBUSY),
		 "this VM has it already");
	ck_assert_uint_eq(disk_get_info(rig.disk)->bytes, 4 * MIB);
	memset(memory, 0xaa, sizeof(memory));
	ck_assert_int_eq(rig_do(&rig, DISK_WRITE, 0, memory + 1, 4096), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_ZERO, 512, NULL, 2048), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_DISCARD, 0, NULL, 512), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(&rig, DISK_READ, 0, memory + 1, 4096), 0);
	ck_assert(rig_is_zero(memory + 1 + 512, 2048));
	ck_assert_uint_eq(memory[1 + 512 + 2048], 0xaa);
	disk_close(rig.disk);
	ioq_close(rig.q);
	rig.disk = NULL;
	rig.q = NULL;
}

START_TEST(a_block_device_is_a_disk)
{
	char path[64], command[128];
	size_t i;

	rig_create(&rig, 4 * MIB);
	if (attach_loop(path, sizeof(path))) {
		for (i = 0; i < 3; i++)
			use_device(path, caches[i]);
		snprintf(command, sizeof(command), "losetup -d %s", path);
		ck_assert_int_eq(system(command), 0);
	} else {
		printf("left out: no loop device can be had\n");
	}
	rig_teardown(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		only_files_and_block_devices_are_disks,
		a_size_that_is_not_made_of_sectors_is_refused,
		what_looks_like_another_format_is_only_raw_when_told,
		an_open_disk_says_what_it_is,
		names_are_parsed_as_they_are_printed,
		what_was_written_is_read_in_each_cache_mode,
		direct_io_works_from_any_memory,
		a_range_that_is_not_inside_is_refused,
		a_read_only_disk_is_not_changed,
		zeroes_keep_their_space_unless_they_may_give_it_back,
		a_block_device_is_a_disk,
	};

	return SUITE_RUN("disk_raw", tests);
}
