/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk at rest that goes back to a frozen layer: all or nothing, with a way
 * back, and not while somebody uses it.
 */
#include "disk/layers.h"
#include "tests/unit/fault_ops.h"
#include "tests/unit/layer_rig.h"
#include "tests/unit/name_calls.h"

static uint8_t frozen[BYTES], later[BYTES];

/* 1.qcow2 is frozen, top.qcow2 has more; closed. */
static void make_two(void)
{
	make_top();
	put(0, 65536, 'a');
	must_push("1.qcow2");
	memcpy(frozen, model, BYTES);
	put(4096, 8192, 'b');
	memcpy(later, model, BYTES);
	image_close(&rig);
}

static void shows(const uint8_t *bytes)
{
	memcpy(model, bytes, BYTES);
	open_top(DISK_WRITEBACK);
	is_model();
	image_close(&rig);
	is_judged();
}

static int restore(char **undo, struct err *e)
{
	return layer_restore(rig.path, in_rig("1.qcow2"), undo, rig.ops, e);
}

static void must_restore(char **undo)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!restore(undo, &e), "%s", e.text);
}

START_TEST(disk_is_what_it_was_and_can_be_written)
{
	make_two();
	ck_assert_int_eq(chmod(rig.path, 0640), 0);
	must_restore(NULL);
	has_only("1.qcow2 top.qcow2");
	ck_assert_int_eq(mode_of("top.qcow2"), 0640);
	ck_assert_int_eq(mode_of("1.qcow2"), 0444);
	shows(frozen);
	open_top(DISK_WRITEBACK);
	put(0, 512, 'c');
	image_close(&rig);
	is_judged();
	must_restore(NULL);
	shows(frozen);
	image_fini(&rig);
}
END_TEST

START_TEST(replaced_file_is_kept_for_a_way_back)
{
	char *undo = NULL, *more = NULL;

	make_two();
	must_restore(&undo);
	ck_assert_str_eq(strrchr(undo, '/'), "/top.qcow2.old.0");
	has_only("1.qcow2 top.qcow2 top.qcow2.old.0");
	shows(frozen);
	must_restore(&more);
	has_only("1.qcow2 top.qcow2 top.qcow2.old.0 top.qcow2.old.1");
	ck_assert_int_eq(unlink(more), 0);
	ck_assert_int_eq(rename(undo, rig.path), 0);
	has_only("1.qcow2 top.qcow2");
	shows(later);
	free(undo);
	free(more);
	image_fini(&rig);
}
END_TEST

START_TEST(disk_that_is_gone_comes_back)
{
	char nothing, *undo = &nothing;
	struct err e = ERR_NONE;

	make_two();
	ck_assert_int_eq(unlink(rig.path), 0);
	must_restore(&undo);
	ck_assert_ptr_null(undo);
	ck_assert_int_eq(mode_of("top.qcow2"), 0600);
	has_only("1.qcow2 top.qcow2");
	shows(frozen);
	IMAGE_MUST(&rig, "rm top.qcow2 && ln -s nowhere top.qcow2");
	ck_assert_int_eq(restore(NULL, &e), -ENOENT);
	has_only("1.qcow2 top.qcow2");
	image_fini(&rig);
}
END_TEST

START_TEST(size_is_the_layer_s)
{
	make_two();
	open_top(DISK_WRITEBACK);
	ck_assert_int_eq(disk_resize(rig.disk, rig.q, 2 * BYTES, NULL), 0);
	image_close(&rig);
	must_restore(NULL);
	open_top(DISK_WRITEBACK);
	ck_assert_uint_eq(disk_get_info(rig.disk)->bytes, BYTES);
	image_close(&rig);
	shows(frozen);
	image_fini(&rig);
}
END_TEST

START_TEST(layer_that_a_kill_left_unfrozen_is_frozen)
{
	make_two();
	ck_assert_int_eq(chmod(in_rig("1.qcow2"), 0644), 0);
	must_restore(NULL);
	ck_assert_int_eq(mode_of("1.qcow2"), 0444);
	shows(frozen);
	image_fini(&rig);
}
END_TEST

/* --- refusals -------------------------------------------------------- */

START_TEST(what_somebody_uses_is_not_touched)
{
	struct disk_config config = { .format = DISK_QCOW2 };
	struct err e = ERR_NONE;
	struct disk *d;

	make_two();
	open_top(DISK_WRITEBACK);
	ck_assert_int_eq(restore(NULL, &e), -EBUSY);
	memcpy(model, later, BYTES);
	is_model();
	image_close(&rig);
	/* Somebody writes to the layer. */
	ck_assert_int_eq(chmod(in_rig("1.qcow2"), 0644), 0);
	config.path = in_rig("1.qcow2");
	ck_assert_int_eq(disk_open(&d, &config, &e), 0);
	ck_assert_int_eq(restore(NULL, &e), -EBUSY);
	disk_close(d);
	has_only("1.qcow2 top.qcow2");
	ck_assert_int_eq(chmod(in_rig("1.qcow2"), 0444), 0);
	shows(later);
	image_fini(&rig);
}
END_TEST

START_TEST(readers_of_the_layer_do_not_mind)
{
	struct disk_config config = { .format = DISK_QCOW2, .read_only = true };
	struct disk *d;

	make_two();
	config.path = in_rig("1.qcow2");
	ck_assert_int_eq(disk_open(&d, &config, NULL), 0);
	must_restore(NULL);
	disk_close(d);
	shows(frozen);
	image_fini(&rig);
}
END_TEST

static void is_refused(const char *layer, int error)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(layer_restore(rig.path, in_rig(layer), NULL, NULL, &e),
			 error);
	ck_assert_int_ne(e.text[0], 0);
}

START_TEST(layers_that_cannot_be_are_refused)
{
	make_two();
	IMAGE_MUST(&rig, "mkdir sub && cp 1.qcow2 sub/ && ln -s 1.qcow2 link "
			 "&& truncate -s 4M base.raw && chmod 444 base.raw");
	is_refused("sub/1.qcow2", -EINVAL);
	is_refused("link", -EINVAL);
	is_refused("base.raw", -EINVAL);
	is_refused("none", -ENOENT);
	is_refused("top.qcow2", -EINVAL);
	ck_assert_int_ne(mode_of("top.qcow2") & 0200, 0);
	has_only("1.qcow2 base.raw link sub top.qcow2");
	shows(later);
	image_fini(&rig);
}
END_TEST

/* --- failures and crashes -------------------------------------------- */

static void is_as_before(bool has_undo, const char *undo)
{
	ck_assert(!has_undo || !undo);
	has_only("1.qcow2 top.qcow2");
	shows(later);
}

static void one_failure(struct fault_ops *fault, enum fault_call call,
			unsigned int at, bool has_undo, unsigned int *hits)
{
	struct err e = ERR_NONE;
	char *undo = NULL;
	int r;

	make_two();
	rig.ops = &fault->ops;
	fault_set(fault, call, EIO, at, false);
	r = restore(has_undo ? &undo : NULL, &e);
	fault_set(fault, call, 0, 0, false);
	rig.ops = NULL;
	if (r) {
		++*hits;
		is_as_before(has_undo, undo);
	} else {
		ck_assert(!has_undo || !unlink(undo));
		free(undo);
		shows(frozen);
	}
	image_fini(&rig);
}

START_TEST(failed_file_operation_changes_nothing)
{
	struct fault_ops fault;
	unsigned int call, at, hits = 0;

	fault_init(&fault);
	for (call = 0; call < FAULT_CALLS; call++)
		for (at = 0; at < 8; at++)
			one_failure(&fault, (enum fault_call)call, at, at % 2,
				    &hits);
	ck_assert_uint_gt(hits, 5);
}
END_TEST

START_TEST(failed_name_changes_nothing)
{
	unsigned int call, at, hits = 0;
	struct err e = ERR_NONE;
	char *undo;

	for (call = 0; call < NAME_CALLS; call++)
		for (at = 0; at < 4; at++) {
			make_two();
			undo = NULL;
			name_calls_set((enum name_call)call, EIO, at);
			if (restore(&undo, &e)) {
				hits++;
				name_calls_set(CALL_LINK, 0, 0);
				is_as_before(true, undo);
			} else {
				ck_assert_int_eq(unlink(undo), 0);
				free(undo);
				shows(frozen);
			}
			name_calls_set(CALL_LINK, 0, 0);
			image_fini(&rig);
		}
	/* link; rename; three syncs; the mode of the image */
	ck_assert_uint_eq(hits, 1 + 1 + 3 + 1);
}
END_TEST

static unsigned int copies;

static void copy(void)
{
	IMAGE_MUST(&rig, "mkdir -p copies/%u && cp -a *.qcow2* copies/%u/",
		   copies, copies);
	copies++;
}

START_TEST(name_opens_to_the_old_or_the_new_top)
{
	char *undo;
	unsigned int i;

	make_two();
	write_model("later.raw");
	memcpy(model, frozen, BYTES);
	write_model("frozen.raw");
	name_calls.look = copy;
	must_restore(&undo);
	name_calls.look = NULL;
	ck_assert_uint_eq(copies, 6);
	for (i = 0; i < copies; i++)
		IMAGE_MUST(&rig,
			   "qemu-img check copies/%u/top.qcow2 && qemu-img "
			   "compare -F raw copies/%u/top.qcow2 %s.raw",
			   i, i, i < 4 ? "later" : "frozen");
	free(undo);
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		disk_is_what_it_was_and_can_be_written,
		replaced_file_is_kept_for_a_way_back,
		disk_that_is_gone_comes_back,
		size_is_the_layer_s,
		layer_that_a_kill_left_unfrozen_is_frozen,
		what_somebody_uses_is_not_touched,
		readers_of_the_layer_do_not_mind,
		layers_that_cannot_be_are_refused,
		failed_file_operation_changes_nothing,
		failed_name_changes_nothing,
		name_opens_to_the_old_or_the_new_top,
	};

	return SUITE_RUN("layer_restore", tests);
}
