/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that go below the name of a disk: its name shows what was written
 * at every moment, whatever fails, and nobody else gets in between.
 */
#include "disk/overlay.h"
#include "disk/stream.h"
#include "tests/unit/fault_ops.h"
#include "tests/unit/layer_rig.h"
#include "tests/unit/name_calls.h"

/* --- names ----------------------------------------------------------- */

START_TEST(disk_keeps_its_name_and_shows_what_it_showed)
{
	struct err e = ERR_NONE;

	make_top();
	ck_assert_int_eq(chmod(rig.path, 0640), 0);
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(4096, 8192, 'b');
	must_push("2.qcow2");
	put(8192, 512, 'c');
	is_model();
	ck_assert_str_eq(disk_path(rig.disk), rig.path);
	ck_assert_uint_eq(disk_layers(rig.disk), 3);
	ck_assert_str_eq(disk_layer_path(rig.disk, 0), rig.path);
	ck_assert_str_eq(strrchr(disk_layer_path(rig.disk, 1), '/'),
			 "/2.qcow2");
	ck_assert_str_eq(strrchr(disk_layer_path(rig.disk, 2), '/'),
			 "/1.qcow2");
	ck_assert_int_eq(mode_of("1.qcow2"), 0444);
	ck_assert_int_eq(mode_of("2.qcow2"), 0444);
	ck_assert_int_eq(mode_of("top.qcow2"), 0640);
	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	ck_assert_int_eq(try_open("2.qcow2", true, NULL), 0);
	ck_assert_int_eq(try_open("2.qcow2", false, &e), -EACCES);
	ck_assert_int_ne(image_sh(&rig, "qemu-img info top.qcow2"), 0);
	image_close(&rig);
	has_only("1.qcow2 2.qcow2 top.qcow2");
	IMAGE_MUST(&rig, "qemu-img info --backing-chain top.qcow2 | "
			 "grep ^image: | tr '\\n' ' ' | "
			 "grep -x 'image: top.qcow2 image: 2.qcow2 "
			 "image: 1.qcow2 '");
	is_judged();
	open_top(DISK_WRITEBACK);
	is_model();
	image_fini(&rig);
}
END_TEST

START_TEST(direct_disk_keeps_its_name_too)
{
	image_init_at(&rig, "build");
	create_top();
	open_top(DISK_DIRECT);
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(4096, 8192, 'b');
	must_push("2.qcow2");
	put(8192, 4096, 'c');
	is_model();
	ck_assert_int_eq(try_open("1.qcow2", true, NULL), 0);
	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	must_rewind("2.qcow2");
	memset(model + 8192, 'b', 4096);
	is_model();
	put(0, 4096, 'd');
	is_model();
	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

START_TEST(link_to_a_disk_is_followed)
{
	image_init(&rig);
	create_top();
	IMAGE_MUST(&rig, "mv top.qcow2 data && ln -s data top.qcow2");
	open_top(DISK_WRITEBACK);
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(4096, 512, 'b');
	must_rewind("1.qcow2");
	memset(model, 'a', 65536);
	is_model();
	put(0, 512, 'c');
	ck_assert_str_eq(disk_path(rig.disk), rig.path);
	image_close(&rig);
	IMAGE_MUST(&rig, "test -L top.qcow2");
	has_only("1.qcow2 data top.qcow2");
	open_top(DISK_WRITEBACK);
	is_model();
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

/* A backing file is looked for where the link is, also by QEMU. */
START_TEST(link_to_another_directory_is_refused)
{
	struct err e = ERR_NONE;

	image_init(&rig);
	create_top();
	IMAGE_MUST(&rig, "mkdir real && mv top.qcow2 real/data && "
			 "ln -s real/data top.qcow2");
	open_top(DISK_WRITEBACK);
	ck_assert_int_eq(push("1.qcow2", &e), -EINVAL);
	ck_assert_int_eq(push("real/1.qcow2", &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "name the disk by its file"));
	has_only("real top.qcow2");
	image_fini(&rig);
}
END_TEST

static void over(struct merge *m, int error)
{
	ck_assert_msg(!error, "%s", m->stream.err.text);
	m->layer = 0;
}

static void streamed(struct stream *s, int error)
{
	ck_assert_msg(!error, "%s", s->err.text);
	s->last = 0;
}

START_TEST(jobs_and_other_layers_find_the_new_names)
{
	struct merge m = { .layer = 1, .over = over };
	struct stream s = { .last = 1, .over = streamed };
	struct err e = ERR_NONE;
	struct overlay *o;

	make_top();
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(65536, 65536, 'b');
	must_push("2.qcow2");
	put(131072, 65536, 'c');
	m.disk = s.disk = rig.disk;
	ck_assert_msg(!merge_start(&m, &e), "%s", e.text);
	must_push("3.qcow2"); /* while it runs */
	while (m.layer)
		ck_assert_int_ge(ioq_run(rig.q, 10 * NS_PER_S), 0);
	IMAGE_MUST(&rig, "rm 1.qcow2");
	is_model();
	put(0, 512, 'd');
	ck_assert_msg(!stream_start(&s, &e), "%s", e.text);
	ck_assert_int_eq(push("4.qcow2", &e), -EBUSY);
	ck_assert_int_eq(rewind_to("3.qcow2", &e), -EBUSY);
	while (s.last)
		ck_assert_int_ge(ioq_run(rig.q, 10 * NS_PER_S), 0);
	IMAGE_MUST(&rig, "rm 3.qcow2");
	is_model();
	ck_assert_msg(
		!overlay_prepare(&o, rig.disk, in_rig("new.qcow2"), NULL, &e),
		"%s", e.text);
	ck_assert_msg(!overlay_push(o, rig.disk, &e), "%s", e.text);
	put(512, 512, 'e');
	is_model();
	image_close(&rig);
	has_only("2.qcow2 new.qcow2 top.qcow2");
	IMAGE_MUST(&rig, "mv new.qcow2 x && qemu-img rebase -u -f qcow2 -F "
			 "qcow2 -b top.qcow2 x && mv top.qcow2 y && "
			 "qemu-img rebase -u -f qcow2 -F qcow2 -b y x && "
			 "mv x top.qcow2");
	is_judged();
	image_fini(&rig);
}
END_TEST

/* --- refusals -------------------------------------------------------- */

START_TEST(raw_disk_is_refused_in_words)
{
	struct overlay_place place;
	struct disk_config config = { .format = DISK_RAW };
	struct overlay *o;
	struct disk *d;
	struct err e = ERR_NONE;

	image_init(&rig);
	create_top();
	IMAGE_MUST(&rig, "truncate -s %u base.raw", BYTES);
	place = place_of("1.qcow2");
	place.path = in_rig("base.raw");
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.text,
				     "raw images have no layers; convert it to "
				     "qcow2 (amber disk convert)"));
	/* The bytes of a qcow2 image, as they are. */
	place.path = config.path = rig.path;
	ck_assert_int_eq(disk_open(&d, &config, &e), 0);
	place.bytes = disk_get_info(d)->bytes;
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	ck_assert_int_eq(overlay_push(o, d, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.text, "raw images have no layers"));
	overlay_close(o);
	disk_close(d);
	has_only("base.raw top.qcow2");
	image_fini(&rig);
}
END_TEST

static void is_refused(const char *layer, int error)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(push(layer, &e), error);
	ck_assert_int_ne(e.text[0], 0);
}

START_TEST(names_that_cannot_be_are_refused)
{
	struct overlay_place place;
	struct overlay *o;
	struct err e = ERR_NONE;

	make_top();
	IMAGE_MUST(&rig, "mkdir sub && touch there && ln -s nowhere dangling");
	is_refused("there", -EEXIST);
	is_refused("dangling", -EEXIST);
	is_refused("top.qcow2", -EEXIST);
	is_refused("sub/1.qcow2", -EINVAL);
	is_refused("no/1.qcow2", -ENOENT);
	is_refused("nbd:1.qcow2", -EINVAL);
	is_refused("", -EEXIST);
	is_refused("..", -EEXIST);
	/* It comes in between. */
	place = place_of("1.qcow2");
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	IMAGE_MUST(&rig, "touch 1.qcow2");
	ck_assert_int_eq(overlay_push(o, rig.disk, &e), -EEXIST);
	overlay_close(o);
	has_only("1.qcow2 dangling sub there top.qcow2");
	ck_assert_int_ne(mode_of("top.qcow2") & 0200, 0);
	put(0, 512, 'x');
	is_model();
	image_fini(&rig);
}
END_TEST

START_TEST(disk_that_is_not_the_one_meant_is_refused)
{
	struct overlay_place place;
	struct overlay *o;
	struct err e = ERR_NONE;

	make_top();
	put(0, 512, 'a');
	place = place_of("1.qcow2");
	place.bytes = BYTES / 2;
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	ck_assert_int_eq(overlay_push(o, rig.disk, &e), -ESTALE);
	overlay_close(o);
	place.bytes = BYTES;
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	IMAGE_MUST(&rig, "cp top.qcow2 x && mv top.qcow2 moved && "
			 "mv x top.qcow2");
	ck_assert_int_eq(overlay_push(o, rig.disk, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "another file"));
	overlay_close(o);
	has_only("moved top.qcow2");
	is_model();
	image_fini(&rig);
}
END_TEST

/* --- failures -------------------------------------------------------- */

/* What a push that failed left is as if it had not been, and it works. */
static void is_as_before(void)
{
	has_only("0.qcow2 top.qcow2");
	ck_assert_int_eq(mode_of("top.qcow2"), 0600);
	if (disk_is_poisoned(rig.disk))
		disk_verified(rig.disk);
	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	put(12288, 4096, 'c');
	is_model();
	must_push("1.qcow2");
}

static void end_of_failure(void)
{
	put(16384, 4096, 'd');
	is_model();
	image_close(&rig);
	has_only("0.qcow2 1.qcow2 top.qcow2");
	is_judged();
	image_fini(&rig);
}

static void begin_failure(const struct file_ops *ops)
{
	image_init(&rig);
	create_top();
	rig.ops = ops;
	open_top(DISK_WRITEBACK);
	put(0, 65536, 'a');
	must_push("0.qcow2");
	put(4096, 4096, 'b');
}

START_TEST(failed_file_operation_changes_nothing)
{
	struct fault_ops fault;
	unsigned int call, at, hits = 0;
	struct err e = ERR_NONE;

	for (call = 0; call < FAULT_CALLS; call++)
		for (at = 0; at < 10; at++) {
			fault_init(&fault);
			begin_failure(&fault.ops);
			fault_set(&fault, (enum fault_call)call, EIO, at,
				  false);
			if (push("1.qcow2", &e)) {
				hits++;
				fault_set(&fault, call, 0, 0, false);
				is_as_before();
			}
			fault_set(&fault, call, 0, 0, false);
			end_of_failure();
		}
	ck_assert_uint_gt(hits, 10);
}
END_TEST

START_TEST(failed_name_changes_nothing)
{
	unsigned int call, at, hits = 0;
	struct err e = ERR_NONE;

	for (call = 0; call < NAME_CALLS; call++)
		for (at = 0; at < 4; at++) {
			begin_failure(NULL);
			name_calls_set((enum name_call)call, EIO, at);
			if (push("1.qcow2", &e)) {
				hits++;
				name_calls_set((enum name_call)call, 0, 0);
				is_as_before();
			}
			name_calls_set((enum name_call)call, 0, 0);
			end_of_failure();
		}
	ck_assert_uint_eq(hits, 1 + 1 + 3 + 2);
}
END_TEST

/* --- every moment ---------------------------------------------------- */

static unsigned int copies;

static void copy(void)
{
	IMAGE_MUST(&rig, "mkdir -p copies/%u && cp -a *.qcow2* copies/%u/",
		   copies, copies);
	copies++;
}

/* A kill, or a power cut, at any moment: the name opens, all is there. */
static void each_copy_shows_the_model(void)
{
	unsigned int i;

	write_model("model.raw");
	for (i = 0; i < copies; i++) {
		IMAGE_MUST(&rig,
			   "qemu-img check copies/%u/top.qcow2 && "
			   "qemu-img compare -F raw copies/%u/top.qcow2 "
			   "model.raw",
			   i, i);
		snprintf(rig.path, sizeof(rig.path), "%s/copies/%u/top.qcow2",
			 rig.dir, i);
		open_top(DISK_WRITEBACK); /* to write */
		is_model();
		image_close(&rig);
	}
}

static void watch(enum name_call call, int error, unsigned int at)
{
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	must_push("0.qcow2");
	put(4096, 4096, 'b');
	flush();
	copies = 0;
	name_calls.look = copy;
	name_calls_set(call, error, at);
	ck_assert_int_eq(push("1.qcow2", &e), -error);
	name_calls.look = NULL;
	name_calls_set(call, 0, 0);
	image_close(&rig);
	ck_assert_uint_ge(copies, 5);
	each_copy_shows_the_model();
	image_fini(&rig);
}

START_TEST(name_opens_to_all_that_was_written_at_each_step)
{
	watch(CALL_LINK, 0, 0);
}
END_TEST

/* What was flushed when the last thing failed, and while it is put back. */
START_TEST(name_opens_while_a_failed_push_is_undone)
{
	watch(CALL_FSYNC, EIO, 2);
}
END_TEST

static void is_locked(void)
{
	struct stat st;

	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	ck_assert_int_eq(try_open("top.qcow2", false, NULL), -EBUSY);
	ck_assert_int_ne(image_sh(&rig, "qemu-img info top.qcow2"), 0);
	ck_assert_int_ne(image_sh(&rig, "qemu-img info top.qcow2.new.*"), 0);
	if (stat(in_rig("1.qcow2"), &st) < 0)
		return;
	/* Nobody may write to what is below, or will be. */
	ck_assert_int_ne(try_open("1.qcow2", false, NULL), 0);
	ck_assert_int_ne(image_sh(&rig, "qemu-io -c 'write 0 4k' 1.qcow2"), 0);
	copies++;
}

START_TEST(second_opener_is_refused_at_each_step)
{
	struct overlay_place place;
	struct overlay *o;
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	place = place_of("1.qcow2");
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	copies = 0;
	name_calls.look = is_locked;
	ck_assert_msg(!overlay_push(o, rig.disk, &e), "%s", e.text);
	ck_assert_uint_eq(copies, 5);
	ck_assert_int_eq(overlay_prepare_fresh(&o, &place, &e), 0);
	ck_assert_msg(!overlay_rewind(o, rig.disk, &e), "%s", e.text);
	overlay_close(o);
	is_locked();
	name_calls.look = NULL;
	is_model();
	image_fini(&rig);
}
END_TEST

START_TEST(what_was_not_pushed_leaves_nothing)
{
	struct overlay_place place;
	struct overlay *o;
	struct err e = ERR_NONE;

	make_top();
	place = place_of("1.qcow2");
	ck_assert_int_eq(overlay_prepare_under(&o, &place, &e), 0);
	ck_assert_int_eq(overlay_rewind(o, rig.disk, &e), -EINVAL);
	overlay_close(o);
	has_only("top.qcow2");
	must_push("1.qcow2");
	ck_assert_int_eq(overlay_prepare_fresh(&o, &place, &e), 0);
	ck_assert_int_eq(overlay_push(o, rig.disk, &e), -EINVAL);
	overlay_close(o);
	has_only("1.qcow2 top.qcow2");
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		disk_keeps_its_name_and_shows_what_it_showed,
		direct_disk_keeps_its_name_too,
		link_to_a_disk_is_followed,
		link_to_another_directory_is_refused,
		jobs_and_other_layers_find_the_new_names,
		raw_disk_is_refused_in_words,
		names_that_cannot_be_are_refused,
		disk_that_is_not_the_one_meant_is_refused,
		failed_file_operation_changes_nothing,
		failed_name_changes_nothing,
		name_opens_to_all_that_was_written_at_each_step,
		name_opens_while_a_failed_push_is_undone,
		second_opener_is_refused_at_each_step,
		what_was_not_pushed_leaves_nothing,
	};

	return SUITE_RUN("overlay_under", tests);
}
