/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is beside a disk when a VM starts: leftovers go, by name and by what
 * they are; all else stays, however much it looks like one.
 */
#include "snapshot/sweep.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/disk.h"
#include "disk/lock.h"
#include "tests/unit/layer_rig.h"
#include "tests/unit/suite.h"

static unsigned int sweep(void)
{
	static struct vm_config config;

	config.disks = 1;
	config.disk[0].path = rig.path;
	return sweep_disks(&config);
}

/* A disk that was pushed once: top.qcow2 on top.0123abcd.qcow2. */
static void make_disk(void)
{
	make_top();
	put(0, 65536, 'a');
	must_push("top.0123abcd.qcow2");
	image_close(&rig);
}

START_TEST(leftovers_go)
{
	make_disk();
	IMAGE_MUST(&rig, "cp top.qcow2 top.qcow2.new.aB3dE6 && "
			 ": > top.qcow2.new.zzzzzz && "
			 "truncate -s 300K top.qcow2.new.noHead && "
			 "cp top.qcow2 top.qcow2.was.0123abcd && "
			 "ln top.0123abcd.qcow2 top.qcow2.old.0 && "
			 "ln top.qcow2 top.89abcdef.qcow2");
	ck_assert_uint_eq(sweep(), 6);
	has_only("top.0123abcd.qcow2 top.qcow2");
	is_judged();
	image_fini(&rig);
}
END_TEST

START_TEST(other_names_stay)
{
	make_disk();
	IMAGE_MUST(
		&rig,
		"for n in .new.aB3dE .new.aB3dE67 .new.aB-dE6 .was.0123abc "
		".was.0123ABCD .was.0123abcd.1 .old. .old.x .old.1x .bak; do "
		"cp top.qcow2 top.qcow2$n; done; "
		"cp top.qcow2 top.new.aB3dE6; cp top.qcow2 other.qcow2; "
		"cp top.qcow2 xtop.qcow2.new.aB3dE6");
	ck_assert_uint_eq(sweep(), 0);
	image_fini(&rig);
}
END_TEST

START_TEST(names_of_leftovers_that_are_something_else_stay)
{
	make_disk();
	IMAGE_MUST(&rig, "cp top.0123abcd.qcow2 top.qcow2.new.backup && "
			 "echo notes > top.qcow2.new.letter && "
			 "truncate -s 8M top.qcow2.new.larger && "
			 "mkdir top.qcow2.new.folder && "
			 "ln -s top.qcow2 top.qcow2.new.symbol && "
			 "mkfifo top.qcow2.was.0123abcd && "
			 "cp top.qcow2 top.qcow2.old.1 && "
			 "cp top.qcow2 top.89abcdef.qcow2");
	ck_assert_uint_eq(sweep(), 0);
	image_fini(&rig);
}
END_TEST

START_TEST(what_somebody_has_locked_stays)
{
	int fd;

	make_disk();
	IMAGE_MUST(&rig, "cp top.qcow2 top.qcow2.new.aB3dE6");
	fd = open(in_rig("top.qcow2.new.aB3dE6"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(image_lock(fd, false, "it", NULL), 0);
	ck_assert_uint_eq(sweep(), 0);
	close(fd);
	ck_assert_uint_eq(sweep(), 1);
	image_fini(&rig);
}
END_TEST

START_TEST(link_of_a_disk_is_followed_to_its_file)
{
	make_disk();
	IMAGE_MUST(&rig, "mv top.qcow2 data.qcow2 && "
			 "ln -s data.qcow2 top.qcow2 && "
			 "cp data.qcow2 data.qcow2.was.0123abcd && "
			 "cp data.qcow2 top.qcow2.was.0123abcd");
	ck_assert_uint_eq(sweep(), 1);
	has_only("data.qcow2 top.0123abcd.qcow2 top.qcow2 "
		 "top.qcow2.was.0123abcd");
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		leftovers_go,
		other_names_stay,
		names_of_leftovers_that_are_something_else_stay,
		what_somebody_has_locked_stays,
		link_of_a_disk_is_followed_to_its_file,
	};

	return SUITE_RUN("sweep", tests);
}
