/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is rewound to the layer below its top: it shows that layer and
 * nothing of what came after, at work and after a kill, as often as one likes.
 */
#include <malloc.h>

#include "disk/overlay.h"
#include "disk/qcow2_disk.h"
#include "disk/stream.h"
#include "tests/unit/fault_ops.h"
#include "tests/unit/layer_rig.h"
#include "tests/unit/name_calls.h"
#include "tests/unit/seeded.h"

static uint8_t frozen[BYTES];

static void freeze(const char *layer)
{
	must_push(layer);
	memcpy(frozen, model, BYTES);
}

static void must_return_to(const char *layer)
{
	must_rewind(layer);
	memcpy(model, frozen, BYTES);
	is_model();
}

/* --- what is shown --------------------------------------------------- */

START_TEST(rewind_shows_the_layer_and_nothing_else)
{
	unsigned int i;

	make_top();
	put(0, 65536, 'a');
	put(1 << 20, 65536, 'b');
	must_push("0.qcow2");
	put(2 << 20, 65536, 'c');
	freeze("1.qcow2");
	for (i = 0; i < 3; i++) {
		put(i * 4096, 8192, 'd');
		put((3 << 20) + i * 512, 512, 'e');
		ck_assert_int_eq(
			image_do(&rig, DISK_ZERO, 1 << 20, NULL, 65536), 0);
		ck_assert_int_eq(
			image_do(&rig, DISK_DISCARD, 2 << 20, NULL, 65536), 0);
		if (i)
			flush();
		must_return_to("1.qcow2");
		has_only("0.qcow2 1.qcow2 top.qcow2");
	}
	ck_assert_str_eq(disk_path(rig.disk), rig.path);
	ck_assert_uint_eq(disk_layers(rig.disk), 3);
	ck_assert_int_eq(try_open("top.qcow2", true, NULL), -EBUSY);
	put(0, 512, 'f');
	is_model();
	image_close(&rig);
	is_judged();
	open_top(DISK_WRITEBACK);
	is_model();
	image_fini(&rig);
}
END_TEST

/* The cluster unpacked last was the old top's. */
START_TEST(rewind_forgets_compressed_clusters)
{
	make_top();
	put(0, 65536, 'a');
	freeze("1.qcow2");
	image_close(&rig);
	IMAGE_MUST(&rig, "qemu-io -c 'write -c -P 66 0 64k' top.qcow2");
	open_top(DISK_WRITEBACK);
	memset(model, 66, 65536);
	is_model();
	must_return_to("1.qcow2");
	ck_assert(!qcow2_disk(rig.disk)->chain.unpacked.is_valid);
	image_fini(&rig);
}
END_TEST

START_TEST(layers_may_be_pushed_and_merged_after_a_rewind)
{
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	freeze("1.qcow2");
	put(0, 4096, 'b');
	must_return_to("1.qcow2");
	put(4096, 4096, 'c');
	freeze("2.qcow2");
	put(8192, 4096, 'd');
	ck_assert_int_eq(rewind_to("1.qcow2", &e), -ESTALE);
	must_return_to("2.qcow2");
	put(12288, 4096, 'e');
	image_close(&rig);
	IMAGE_MUST(&rig, "qemu-img info --backing-chain top.qcow2 | "
			 "grep ^image: | tr '\\n' ' ' | "
			 "grep -x 'image: top.qcow2 image: 2.qcow2 "
			 "image: 1.qcow2 '");
	is_judged();
	image_fini(&rig);
}
END_TEST

static void merged(struct merge *m, int error)
{
	ck_assert_msg(!error, "%s", m->stream.err.text);
	m->layer = 0;
}

START_TEST(rewind_does_not_disturb_a_merge)
{
	struct merge m = { .layer = 1, .over = merged };
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(65536, 65536, 'b');
	freeze("2.qcow2");
	put(131072, 65536, 'c');
	m.disk = rig.disk;
	ck_assert_msg(!merge_start(&m, &e), "%s", e.text);
	must_return_to("2.qcow2");
	while (m.layer)
		ck_assert_int_ge(ioq_run(rig.q, 10 * NS_PER_S), 0);
	is_model();
	IMAGE_MUST(&rig, "rm 1.qcow2");
	put(131072, 512, 'd');
	must_return_to("2.qcow2");
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

/* --- a top in trouble ------------------------------------------------ */

START_TEST(trouble_of_the_top_goes_with_it)
{
	struct fault_ops fault;
	struct err e = ERR_NONE;

	fault_init(&fault);
	image_init(&rig);
	create_top();
	rig.ops = &fault.ops;
	open_top(DISK_WRITEBACK);
	put(0, 65536, 'a');
	freeze("1.qcow2");
	put(0, 4096, 'b');
	fault_set(&fault, FAULT_SYNC, EIO, 0, false);
	ck_assert_int_ne(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	fault_set(&fault, FAULT_SYNC, 0, 0, false);
	ck_assert(disk_is_poisoned(rig.disk));
	ck_assert_int_eq(push("2.qcow2", &e), -EIO);
	must_return_to("1.qcow2");
	ck_assert(!disk_is_poisoned(rig.disk));
	put(4096, 4096, 'c');
	flush();
	is_model();
	/* Damaged. */
	qcow2_wrong(top_of(rig.disk), "so it seems");
	ck_assert_ptr_nonnull(disk_damage(rig.disk));
	must_return_to("1.qcow2");
	ck_assert_ptr_null(disk_damage(rig.disk));
	put(4096, 4096, 'd');
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

/* --- refusals and failures ------------------------------------------- */

START_TEST(rewind_refuses_what_cannot_be)
{
	struct overlay_place place;
	struct overlay *o;
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	flush();
	ck_assert_int_eq(rewind_to("top.qcow2", &e), -EINVAL);
	ck_assert_int_eq(rewind_to("none.qcow2", &e), -ENOENT);
	IMAGE_MUST(&rig, "cp top.qcow2 other.qcow2 && mkdir sub && "
			 "cp top.qcow2 sub && ln -s other.qcow2 link");
	ck_assert_int_eq(rewind_to("other.qcow2", &e), -ESTALE);
	ck_assert_int_eq(mode_of("other.qcow2"), 0444);
	ck_assert_int_eq(rewind_to("link", &e), -EINVAL);
	ck_assert_int_eq(rewind_to("sub/top.qcow2", &e), -EINVAL);
	freeze("1.qcow2");
	put(0, 512, 'b');
	place = place_of("1.qcow2");
	place.bytes *= 2;
	ck_assert_int_eq(overlay_prepare_fresh(&o, &place, &e), 0);
	ck_assert_int_eq(overlay_rewind(o, rig.disk, &e), -ESTALE);
	overlay_close(o);
	/* Another file has the layer's name. */
	IMAGE_MUST(&rig, "mv 1.qcow2 x && cp x 1.qcow2");
	ck_assert_int_eq(rewind_to("1.qcow2", &e), -ESTALE);
	IMAGE_MUST(&rig, "mv x 1.qcow2");
	IMAGE_MUST(&rig, "mv top.qcow2 x && cp x top.qcow2");
	ck_assert_int_eq(rewind_to("1.qcow2", &e), -EINVAL);
	IMAGE_MUST(&rig, "mv x top.qcow2");
	is_model();
	has_only("1.qcow2 link other.qcow2 sub top.qcow2");
	must_return_to("1.qcow2");
	image_fini(&rig);
}
END_TEST

static void a_rewind_that_fails(struct fault_ops *fault, unsigned int *hits)
{
	struct err e = ERR_NONE;

	if (!rewind_to("1.qcow2", &e)) {
		memcpy(model, frozen, BYTES);
	} else {
		++*hits;
		is_model();
		ck_assert(!disk_is_poisoned(rig.disk));
	}
	fault_set(fault, fault->call, 0, 0, false);
	name_calls_set(CALL_LINK, 0, 0);
	has_only("1.qcow2 top.qcow2");
	put(8192, 4096, 'c');
	flush();
	is_model();
	must_return_to("1.qcow2");
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}

static void begin(struct fault_ops *fault)
{
	fault_init(fault);
	image_init(&rig);
	create_top();
	rig.ops = &fault->ops;
	open_top(DISK_WRITEBACK);
	put(0, 65536, 'a');
	freeze("1.qcow2");
	put(4096, 4096, 'b');
}

START_TEST(failed_rewind_changes_nothing)
{
	struct fault_ops fault;
	unsigned int call, at, hits = 0;

	for (call = 0; call < FAULT_CALLS; call++)
		for (at = 0; at < 10; at++) {
			begin(&fault);
			fault_set(&fault, (enum fault_call)call, EIO, at,
				  false);
			a_rewind_that_fails(&fault, &hits);
		}
	ck_assert_uint_gt(hits, 5);
	for (hits = call = 0; call < NAME_CALLS; call++)
		for (at = 0; at < 3; at++) {
			begin(&fault);
			name_calls_set((enum name_call)call, EIO, at);
			a_rewind_that_fails(&fault, &hits);
		}
	ck_assert_uint_eq(hits, 0 + 1 + 1 + 1);
}
END_TEST

/* --- crashes --------------------------------------------------------- */

static unsigned int copies;

static void copy(void)
{
	IMAGE_MUST(&rig, "mkdir -p copies/%u && cp -a *.qcow2* copies/%u/",
		   copies, copies);
	copies++;
}

START_TEST(name_opens_to_the_old_or_the_new_top)
{
	unsigned int i;

	make_top();
	put(0, 65536, 'a');
	freeze("1.qcow2");
	write_model("layer.raw");
	put(4096, 4096, 'b');
	flush();
	write_model("model.raw");
	name_calls.look = copy;
	must_rewind("1.qcow2");
	name_calls.look = NULL;
	ck_assert_uint_eq(copies, 3);
	for (i = 0; i < copies; i++)
		IMAGE_MUST(&rig,
			   "qemu-img check copies/%u/top.qcow2 && qemu-img "
			   "compare -F raw copies/%u/top.qcow2 %s.raw",
			   i, i, i < 2 ? "model" : "layer");
	image_fini(&rig);
}
END_TEST

/* What is flushed to the new top is under the name, too. */
START_TEST(first_flush_after_a_rewind_syncs_the_name)
{
	struct err e = ERR_NONE;

	make_top();
	put(0, 65536, 'a');
	freeze("1.qcow2");
	must_return_to("1.qcow2");
	name_calls_set(CALL_FSYNC, 0, 0);
	flush();
	ck_assert_uint_eq(name_calls.made, 1);
	flush();
	ck_assert_uint_eq(name_calls.made, 1);
	must_return_to("1.qcow2");
	put(0, 512, 'b');
	name_calls_set(CALL_FSYNC, EIO, 0);
	ck_assert_int_ne(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	ck_assert(disk_is_poisoned(rig.disk));
	disk_verified(rig.disk);
	flush();
	ck_assert_uint_eq(name_calls.made, 2);
	/* A push needs it as well. */
	must_return_to("1.qcow2");
	name_calls_set(CALL_FSYNC, EIO, 1);
	ck_assert_int_eq(push("2.qcow2", &e), -EIO);
	ck_assert(disk_is_poisoned(rig.disk));
	disk_verified(rig.disk);
	must_push("2.qcow2");
	is_model();
	image_fini(&rig);
}
END_TEST

/* --- again and again ------------------------------------------------- */

/* Sanitizers, whose malloc() is another one, look for leaks themselves. */
static size_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

START_TEST(thousand_rewinds_leave_nothing)
{
	unsigned int i, fds = 0, files = 0;
	size_t bytes = 0;

	make_top();
	put(0, 65536, 'a');
	freeze("1.qcow2");
	for (i = 0; i < 1000; i++) {
		put((i % 32) * 65536, 8192, (int)(i % 250) + 1);
		put(65536 * 33, 512, 'x');
		if (i % 3 == 0)
			flush();
		must_rewind("1.qcow2");
		memcpy(model, frozen, BYTES);
		if (i % 100 == 0)
			is_model();
		if (i == 100) {
			fds = entries("/proc/self/fd");
			files = entries(rig.dir);
			bytes = heap_bytes();
		}
	}
	is_model();
	ck_assert_uint_eq(entries("/proc/self/fd"), fds);
	ck_assert_uint_eq(entries(rig.dir), files);
	ck_assert_uint_le(heap_bytes(), bytes + 4096);
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

/* --- the flat twin --------------------------------------------------- */

#define FLIGHT 4
#define STEPS  150
#define DEPTH  6

static struct {
	struct disk_try t[FLIGHT];
	uint8_t bytes[FLIGHT][65536];
	struct disk_hold hold;
	struct overlay *o;
	bool is_rewind, is_over;
	char layer[24];
	unsigned int depth;
	uint64_t random;
} twin;

static void now(struct disk_hold *h)
{
	struct err e = ERR_NONE;
	int r = twin.is_rewind ? overlay_rewind(twin.o, rig.disk, &e)
			       : overlay_push(twin.o, rig.disk, &e);

	ck_assert_msg(!r, "%s", e.text);
	if (twin.is_rewind)
		overlay_close(twin.o);
	disk_let_go(rig.disk, h);
	twin.is_over = true;
}

/* In different quarters of the disk: none waits for another's bytes. */
static void begin_some(void)
{
	unsigned int i;

	for (i = 0; i < FLIGHT; i++) {
		uint64_t part = BYTES / FLIGHT, r = seeded_next(&twin.random);
		uint64_t n = 512 * (1 + r % 128);
		uint64_t at = i * part + (r >> 8) % ((part - n) / 512) * 512;
		enum disk_op op = (r >> 40) % 4 ? DISK_WRITE : DISK_ZERO;

		memset(twin.bytes[i], op == DISK_WRITE ? (int)(r >> 48) : 0, n);
		memcpy(model + at, twin.bytes[i], n);
		rig_make(&twin.t[i], op, at, twin.bytes[i], n);
		twin.t[i].r.may_unmap = r >> 63;
		disk_submit(rig.disk, &twin.t[i].r);
	}
}

static void end_all(void)
{
	unsigned int i;

	image_run(&rig);
	for (i = 0; i < FLIGHT; i++) {
		ck_assert_int_eq(twin.t[i].calls, 1);
		ck_assert_int_eq(twin.t[i].error, 0);
	}
}

static void change_layers(bool is_rewind)
{
	struct overlay_place place;
	struct err e = ERR_NONE;
	int r;

	if (!is_rewind)
		snprintf(twin.layer, sizeof(twin.layer), "%u.qcow2",
			 twin.depth++);
	place = place_of(twin.layer);
	begin_some();
	r = is_rewind ? overlay_prepare_fresh(&twin.o, &place, &e)
		      : overlay_prepare_under(&twin.o, &place, &e);
	ck_assert_msg(!r, "%s", e.text);
	twin.is_rewind = is_rewind;
	twin.is_over = false;
	twin.hold.quiet = now;
	disk_hold(rig.disk, &twin.hold);
	memcpy(is_rewind ? model : frozen, is_rewind ? frozen : model, BYTES);
	end_all();
	begin_some(); /* held, perhaps */
	end_all();
	ck_assert(twin.is_over);
}

static void step(void)
{
	uint64_t n = seeded_next(&twin.random) % 100;

	if (n < 5 && twin.depth < DEPTH)
		change_layers(false);
	else if (n < 30 && twin.depth)
		change_layers(true);
	else if (n < 40)
		flush();
	else if (n < 45) {
		image_close(&rig);
		open_top(DISK_WRITEBACK);
	} else {
		begin_some();
		end_all();
	}
	if (n % 8 == 0)
		is_model();
}

START_TEST(disk_is_its_flat_twin)
{
	unsigned int i;

	memset(&twin, 0, sizeof(twin));
	twin.random =
		seeded_start(seeded_setting("REWIND_SEED", 1) + (uint64_t)_i);
	make_top();
	for (i = 0; i < seeded_setting("REWIND_STEPS", STEPS); i++)
		step();
	is_model();
	image_close(&rig);
	is_judged();
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		rewind_shows_the_layer_and_nothing_else,
		rewind_forgets_compressed_clusters,
		layers_may_be_pushed_and_merged_after_a_rewind,
		rewind_does_not_disturb_a_merge,
		trouble_of_the_top_goes_with_it,
		rewind_refuses_what_cannot_be,
		failed_rewind_changes_nothing,
		name_opens_to_the_old_or_the_new_top,
		first_flush_after_a_rewind_syncs_the_name,
		thousand_rewinds_leave_nothing,
	};

	return seeded_run("overlay_rewind", 120, disk_is_its_flat_twin, 20,
			  tests, sizeof(tests) / sizeof(tests[0]));
}
