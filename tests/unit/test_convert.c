/* SPDX-License-Identifier: Apache-2.0 */
/* When a new image is on the disk, and what is left when it can't be. */
#include "tests/unit/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/convert.h"
#include "tests/unit/disk_rig.h"

#define BYTES (8u << 20)

static struct disk_rig rig;
static struct file_ops ops;
static char path[80];
static unsigned int syncs, named_at; /* named_at: it had its name then */
static unsigned int fail_at;	     /* 0: never */

static int count_sync(void *ctx, int fd)
{
	(void)ctx;
	syncs++;
	if (!named_at && !access(path, F_OK))
		named_at = syncs;
	errno = EIO;
	return syncs == fail_at ? -1 : fdatasync(fd);
}

static void setup(void)
{
	uint8_t data[4096];
	unsigned int i;

	rig_create(&rig, BYTES);
	for (i = 0; i < BYTES / 2; i += sizeof(data)) {
		memset(data, (int)(i / sizeof(data) % 255 + 1), sizeof(data));
		ck_assert_int_eq(pwrite(rig.fd, data, sizeof(data), i),
				 sizeof(data));
	}
	ck_assert_int_eq(rig_open(&rig, DISK_WRITEBACK, true, NULL), 0);
	snprintf(path, sizeof(path), "%s.new", rig.path);
	ops = file_ops_real;
	ops.fdatasync = count_sync;
	syncs = named_at = fail_at = 0;
}

static int convert(const struct file_ops *files, struct err *e)
{
	struct convert c = { .format = DISK_QCOW2,
			     .options = qcow2_defaults,
			     .files = files };

	return disk_convert(rig.disk, path, &c, e);
}

static void teardown(void)
{
	unlink(path);
	rig_teardown(&rig);
}

static void check_content(void)
{
	const struct disk_config config = { .path = path,
					    .format = DISK_QCOW2,
					    .read_only = true };
	struct err e = ERR_NONE;
	struct disk *copy;
	uint64_t at;

	ck_assert_msg(!disk_open(&copy, &config, &e), "%s", e.text);
	ck_assert_int_eq(disk_compare(rig.disk, copy, &at, NULL, NULL, &e), 0);
	disk_close(copy);
}

START_TEST(a_new_image_has_its_name_when_it_is_on_the_disk)
{
	setup();
	ck_assert_int_eq(convert(&ops, NULL), 0);
	/* Its data and tables, and then its name. */
	ck_assert_uint_ge(syncs, 2);
	ck_assert_uint_eq(named_at, syncs);
	check_content();
	teardown();
}
END_TEST

START_TEST(what_can_not_be_synced_gets_no_name)
{
	unsigned int all, i;

	setup();
	ck_assert_int_eq(convert(&ops, NULL), 0);
	all = syncs;
	for (i = 1; i < all; i++) {
		struct err e = ERR_NONE;

		unlink(path);
		syncs = 0;
		fail_at = i;
		ck_assert_int_eq(convert(&ops, &e), -EIO);
		ck_assert_ptr_nonnull(strstr(e.text, path));
		ck_assert_int_ne(access(path, F_OK), 0);
	}
	teardown();
}
END_TEST

START_TEST(an_image_that_is_not_synced_is_whole)
{
	setup();
	ck_assert_int_eq(convert(&file_ops_unsynced, NULL), 0);
	check_content();
	/* The kernel, asked to sync no file, would have refused. */
	ck_assert_int_eq(file_ops_unsynced.fdatasync(NULL, -1), 0);
	ck_assert_ptr_null(file_ops_unsynced.begin_sync);
	teardown();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_new_image_has_its_name_when_it_is_on_the_disk,
		what_can_not_be_synced_gets_no_name,
		an_image_that_is_not_synced_is_whole,
	};

	return SUITE_RUN("convert", tests);
}
