/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that no snapshot names: which of them go, which never do, and what
 * is merged, of a disk that nobody has open.
 */
#include "snapshot/tidy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "disk/lock.h"
#include "tests/unit/layer_rig.h"
#include "tests/unit/suite.h"

#define ONE "top.00000001.qcow2"
#define TWO "top.00000002.qcow2"

static struct vm_config config;
static struct tidy_done done;
static int dir;

/* The rig's directory is the VM's, too. Layers one and two, closed. */
static void make_vm(void)
{
	make_top();
	put(0, 65536, 'a');
	must_push(ONE);
	put(65536, 65536, 'b');
	must_push(TWO);
	put(131072, 65536, 'c');
	image_close(&rig);
	IMAGE_MUST(&rig, "mkdir snapshots");
	dir = file_open_dir(AT_FDCWD, rig.dir, NULL);
	ck_assert_int_ge(dir, 0);
	config.disks = 1;
	config.disk[0].path = rig.path;
	done = (struct tidy_done){ .removed = 0 };
}

static void close_vm(void)
{
	close(dir);
	image_fini(&rig);
}

/* As if a snapshot of that ID had had it. */
static void note(const char *layer, const char *id)
{
	static char path[160];
	struct snapshot_meta m = { .disks = 1 };
	struct err e = ERR_NONE;

	snprintf(path, sizeof(path), "%s", layer);
	snprintf(m.id, sizeof(m.id), "%s", id);
	m.disk[0].path = rig.path;
	m.disk[0].layer = path;
	ck_assert_msg(!unused_note(dir, &m, &e), "%s", e.text);
}

static void note_both(void)
{
	note(in_rig(ONE), "00000001");
	note(in_rig(TWO), "00000002");
}

static void tidy(void)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!tidy_all(dir, &config, &done, &e), "%s", e.text);
}

static bool is_there(const char *name)
{
	return !access(in_rig(name), F_OK);
}

START_TEST(needed_ones_stay_and_are_merged_one_by_one)
{
	struct tidy_merge merge;
	struct layer_map map;
	struct err e = ERR_NONE;
	unsigned int i;

	make_vm();
	note_both();
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(layer_map_read(&map, dir, &config, &e), 0);
		ck_assert_int_eq(tidy_remove(&map, &done, &e), 0);
		ck_assert_uint_eq(done.waiting, 2 - i);
		ck_assert(tidy_next(&map, &merge));
		ck_assert_str_eq(merge.layer, in_rig(i ? ONE : TWO));
		ck_assert(merge.is_top && merge.disk == 0);
		ck_assert_msg(!tidy_merge(&merge, NULL, NULL, &e), "%s",
			      e.text);
		layer_map_fini(&map);
	}
	tidy();
	ck_assert_uint_eq(done.removed, 2);
	ck_assert(!unused_exists(dir));
	has_only("snapshots top.qcow2");
	is_judged();
	close_vm();
}
END_TEST

START_TEST(those_that_nothing_stands_on_go)
{
	make_vm();
	note_both();
	IMAGE_MUST(&rig, "cp " ONE " top.qcow2");
	tidy();
	ck_assert_uint_eq(done.removed, 2);
	ck_assert(!unused_exists(dir));
	has_only("snapshots top.qcow2");
	close_vm();
}
END_TEST

START_TEST(names_without_the_id_of_their_snapshot_are_not_noted)
{
	make_vm();
	note("/etc/passwd", "00000001");
	note(in_rig(TWO), "00000001");
	note(in_rig("other.qcow2"), "00000001");
	ck_assert(!unused_exists(dir));
	close_vm();
}
END_TEST

START_TEST(second_name_of_the_disks_own_file_goes)
{
	make_vm();
	IMAGE_MUST(&rig, "ln top.qcow2 top.00000003.qcow2");
	note(in_rig("top.00000003.qcow2"), "00000003");
	tidy();
	ck_assert(!unused_exists(dir));
	has_only("snapshots " ONE " " TWO " top.qcow2");
	is_judged();
	close_vm();
}
END_TEST

START_TEST(disk_whose_only_name_is_that_of_a_layer_stays)
{
	make_vm();
	IMAGE_MUST(&rig, "mv top.qcow2 top.00000003.qcow2");
	note(in_rig("top.00000003.qcow2"), "00000003");
	config.disk[0].path = strdup(in_rig("top.00000003.qcow2"));
	note(in_rig(ONE), "00000001");
	tidy();
	ck_assert(is_there("top.00000003.qcow2"));
	ck_assert_ptr_nonnull(strstr(done.why, "is a disk of the VM"));
	free(config.disk[0].path);
	close_vm();
}
END_TEST

START_TEST(what_somebody_has_locked_waits)
{
	int fd;

	make_vm();
	note_both();
	IMAGE_MUST(&rig, "cp " ONE " top.qcow2");
	fd = open(in_rig(TWO), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(image_lock(fd, false, "it", NULL), 0);
	tidy();
	ck_assert_uint_eq(done.removed, 1);
	ck_assert_ptr_nonnull(strstr(done.why, TWO));
	ck_assert(is_there(TWO) && unused_exists(dir));
	close(fd);
	tidy();
	ck_assert_uint_eq(done.removed, 2);
	ck_assert(!unused_exists(dir));
	close_vm();
}
END_TEST

/* Each: the disk stands on nothing, but nobody can be sure. */
static void removes_nothing(const char *command, int error)
{
	struct err e = ERR_NONE;

	make_vm();
	note_both();
	IMAGE_MUST(&rig, "cp " ONE " top.qcow2 && %s", command);
	ck_assert_int_eq(tidy_all(dir, &config, &done, &e), error);
	ck_assert(is_there(ONE) && is_there(TWO));
	ck_assert(unused_exists(dir));
	close_vm();
}

START_TEST(in_doubt_nothing_is_removed)
{
	removes_nothing("rm top.qcow2", -ENOENT);
	removes_nothing("echo > snapshots/restoring", -EBUSY);
	removes_nothing("mkdir snapshots/0123abcd", -EBADMSG);
	removes_nothing("echo > snapshots/unused", -EINVAL);
	removes_nothing("printf QFI > top.qcow2 && "
			"printf '\\373' >> top.qcow2",
			-EINVAL);
	removes_nothing("rm top.qcow2 && mkfifo top.qcow2", -EINVAL);
}
END_TEST

START_TEST(links_and_folders_with_such_names_stay)
{
	make_vm();
	IMAGE_MUST(&rig, "ln -s top.qcow2 top.00000003.qcow2 && "
			 "mkdir top.00000004.qcow2");
	note(in_rig("top.00000003.qcow2"), "00000003");
	note(in_rig("top.00000004.qcow2"), "00000004");
	note(in_rig("top.00000005.qcow2"), "00000005"); /* never came */
	tidy();
	ck_assert(!unused_exists(dir));
	ck_assert(is_there("top.00000003.qcow2") &&
		  is_there("top.00000004.qcow2"));
	close_vm();
}
END_TEST

/* The same file for one as raw bytes, for another with layers. */
START_TEST(image_that_lies_about_a_format_removes_nothing)
{
	struct err e = ERR_NONE;

	make_vm();
	note(in_rig(ONE), "00000001");
	IMAGE_MUST(&rig, "qemu-img create -q -f qcow2 -b " TWO " -F raw "
			 "other.qcow2 4M");
	config.disks = 2;
	config.disk[1].path = strdup(in_rig("other.qcow2"));
	ck_assert_int_eq(tidy_all(dir, &config, &done, &e), -EINVAL);
	ck_assert(is_there(ONE));
	free(config.disk[1].path);
	config.disks = 1;
	close_vm();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		needed_ones_stay_and_are_merged_one_by_one,
		those_that_nothing_stands_on_go,
		names_without_the_id_of_their_snapshot_are_not_noted,
		second_name_of_the_disks_own_file_goes,
		disk_whose_only_name_is_that_of_a_layer_stays,
		what_somebody_has_locked_waits,
		in_doubt_nothing_is_removed,
		links_and_folders_with_such_names_stay,
		image_that_lies_about_a_format_removes_nothing,
	};

	return SUITE_RUN("tidy", tests);
}
