/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that are frozen, put on a disk, merged and linked: who may open
 * them, what a failure leaves, and that no more is copied than is needed.
 */
#include <signal.h>
#include <sys/stat.h>

#include "disk/disk_tool.h"
#include "disk/link.h"
#include "disk/overlay.h"
#include "disk/stream.h"
#include "tests/unit/fault_ops.h"
#include "tests/unit/qcow2_rig.h"

#define BYTES (4u << 20)

static struct qcow2_rig rig;
static uint8_t memory[BYTES];

static void make_raw(void)
{
	IMAGE_MUST(&rig, "truncate -s %u base.raw", BYTES);
}

static void open_raw(enum disk_cache cache)
{
	const struct disk_config config = { .path = rig.path,
					    .format = DISK_RAW,
					    .cache = cache,
					    .files = rig.ops };
	struct err e = ERR_NONE;

	snprintf(rig.path, sizeof(rig.path), "%s/base.raw", rig.dir);
	ck_assert_msg(!disk_open(&rig.disk, &config, &e), "%s", e.text);
	ck_assert_int_eq(ioq_open(&rig.q, rig.engine, 32, rig.ops, NULL), 0);
	disk_attach(rig.disk, rig.q);
}

static int push(const char *name, struct err *e)
{
	struct overlay *o;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	r = overlay_prepare(&o, rig.disk, path, NULL, e);
	if (r)
		return r;
	r = overlay_push(o, rig.disk, e);
	if (r)
		overlay_close(o);
	return r;
}

static void must_push(const char *name)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!push(name, &e), "%s", e.text);
}

static void put(uint64_t at, uint64_t bytes, int value)
{
	memset(memory, value, bytes);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, at, memory, bytes), 0);
}

static void is_all(uint64_t at, uint64_t bytes, int value)
{
	uint64_t i;

	ck_assert_int_eq(image_do(&rig, DISK_READ, at, memory, bytes), 0);
	for (i = 0; i < bytes; i++)
		if (memory[i] != value)
			ck_abort_msg("byte %llu is %d, not %d",
				     (unsigned long long)(at + i), memory[i],
				     value);
}

static mode_t mode_of(const char *name)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static int try_open(const char *name, bool read_only, struct err *e)
{
	struct disk_config config = { .read_only = read_only };
	struct disk *d;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	config.path = path;
	config.format = strstr(name, ".raw") ? DISK_RAW : DISK_QCOW2;
	r = disk_open(&d, &config, e);
	if (!r)
		disk_close(d);
	return r;
}

/* --- freezing -------------------------------------------------------- */

START_TEST(what_is_below_is_frozen_and_others_may_read_it)
{
	struct err e = ERR_NONE;

	image_init(&rig);
	make_raw();
	open_raw(DISK_WRITEBACK);
	put(0, 65536, 'a');
	ck_assert_int_eq(try_open("base.raw", true, NULL), -EBUSY);
	must_push("1.qcow2");
	put(4096, 4096, 'b');
	must_push("2.qcow2");
	put(8192, 4096, 'c');
	is_all(0, 4096, 'a');
	is_all(4096, 4096, 'b');
	is_all(8192, 4096, 'c');
	is_all(12288, 4096, 'a');
	ck_assert_int_eq(mode_of("base.raw"), 0444);
	ck_assert_int_eq(mode_of("1.qcow2"), 0444);
	ck_assert_int_ne(mode_of("2.qcow2") & 0200, 0);
	ck_assert_int_eq(try_open("base.raw", true, NULL), 0);
	ck_assert_int_eq(try_open("1.qcow2", true, NULL), 0);
	ck_assert_int_eq(try_open("2.qcow2", true, NULL), -EBUSY);
	ck_assert_int_eq(try_open("1.qcow2", false, &e), -EACCES);
	ck_assert_ptr_nonnull(strstr(e.text, "other disks may stand on it"));
	ck_assert_int_ne(image_sh(&rig, "qemu-img info 2.qcow2"), 0);
	image_close(&rig);
	IMAGE_MUST(&rig, "qemu-img check 2.qcow2; qemu-img check 1.qcow2");
	IMAGE_MUST(&rig,
		   "qemu-io -r -c 'read -P 97 0 4k' -c 'read -P 98 4k 4k' "
		   "-c 'read -P 99 8k 4k' 2.qcow2 | tee o; "
		   "! grep -i pattern o");
	image_fini(&rig);
}
END_TEST

START_TEST(direct_disk_gets_layers_too)
{
	struct err e = ERR_NONE;

	image_init_at(&rig, "build");
	make_raw();
	open_raw(DISK_DIRECT);
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(4096, 8192, 'b');
	must_push("2.qcow2");
	put(8192, 4096, 'c');
	is_all(0, 4096, 'a');
	is_all(4096, 4096, 'b');
	is_all(8192, 4096, 'c');
	ck_assert_int_eq(try_open("1.qcow2", true, &e), 0);
	ck_assert_int_eq(try_open("2.qcow2", true, &e), -EBUSY);
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	image_close(&rig);
	IMAGE_MUST(&rig, "qemu-img check 2.qcow2 && qemu-img check 1.qcow2");
	image_fini(&rig);
}
END_TEST

/* --- failures -------------------------------------------------------- */

static void a_push_that_fails_changes_nothing(enum fault_call call,
					      unsigned int at, bool is_raw)
{
	struct fault_ops fault;
	struct err e = ERR_NONE;
	int r;

	fault_init(&fault);
	image_init(&rig);
	rig.ops = &fault.ops;
	make_raw();
	open_raw(DISK_WRITEBACK);
	if (!is_raw)
		must_push("0.qcow2");
	put(0, 65536, 'a');
	fault_set(&fault, call, EIO, at, false);
	r = push("1.qcow2", &e);
	fault_set(&fault, call, 0, 0, false);
	if (r) {
		ck_assert_int_ne(image_sh(&rig, "test -e 1.qcow2"), 0);
		ck_assert_int_ne(
			mode_of(is_raw ? "base.raw" : "0.qcow2") & 0200, 0);
		if (disk_is_poisoned(rig.disk))
			disk_verified(rig.disk);
		put(4096, 4096, 'b');
		must_push("1.qcow2");
	} else {
		put(4096, 4096, 'b');
	}
	put(8192, 4096, 'c');
	is_all(0, 4096, 'a');
	is_all(4096, 4096, 'b');
	is_all(8192, 4096, 'c');
	image_close(&rig);
	IMAGE_MUST(&rig, "qemu-img check 1.qcow2");
	image_fini(&rig);
}

START_TEST(failed_push_leaves_the_disk_as_it_was)
{
	unsigned int call, at, raw;

	for (call = 0; call < FAULT_CALLS; call++)
		for (at = 0; at < 8; at++)
			for (raw = 0; raw < 2; raw++)
				a_push_that_fails_changes_nothing(
					(enum fault_call)call, at, raw);
}
END_TEST

START_TEST(push_refuses_what_cannot_be)
{
	struct err e = ERR_NONE;
	struct overlay *o;

	image_init(&rig);
	make_raw();
	open_raw(DISK_WRITEBACK);
	IMAGE_MUST(&rig, "touch there.qcow2");
	ck_assert_int_eq(push("there.qcow2", &e), -EEXIST);
	IMAGE_MUST(&rig, "test -e there.qcow2");
	ck_assert_int_eq(push("no/where.qcow2", &e), -ENOENT);
	/* The disk was resized since: it does not fit. */
	snprintf(rig.path, sizeof(rig.path), "%s/1.qcow2", rig.dir);
	ck_assert_int_eq(overlay_prepare(&o, rig.disk, rig.path, NULL, &e), 0);
	ck_assert_int_eq(disk_resize(rig.disk, rig.q, BYTES * 2, &e), 0);
	ck_assert_int_eq(overlay_push(o, rig.disk, &e), -EINVAL);
	ck_assert_int_ne(mode_of("base.raw") & 0200, 0);
	overlay_close(o);
	ck_assert_int_ne(image_sh(&rig, "test -e 1.qcow2"), 0);
	put(0, 4096, 'x');
	image_fini(&rig);
}
END_TEST

/* --- constant -------------------------------------------------------- */

START_TEST(push_costs_the_same_whatever_the_size)
{
	uint64_t calls[2];
	struct fault_ops fault;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fault_init(&fault);
		image_init(&rig);
		rig.ops = &fault.ops;
		IMAGE_MUST(&rig, "truncate -s %s base.raw", i ? "100G" : "1G");
		open_raw(DISK_WRITEBACK);
		must_push("1.qcow2");
		put(123456u << 9, 4096, 'a');
		fault_set(&fault, FAULT_WRITE, 0, 0, false);
		must_push("2.qcow2");
		calls[i] = fault.made;
		ck_assert_uint_gt(calls[i], 0);
		image_fini(&rig);
	}
	ck_assert_uint_eq(calls[0], calls[1]);
}
END_TEST

/* --- merging --------------------------------------------------------- */

struct end {
	bool is_over;
	int error;
};

static struct end ended;

static void stream_over(struct stream *s, int error)
{
	(void)s;
	ended = (struct end){ true, error };
}

static void merge_over(struct merge *m, int error)
{
	(void)m;
	ended = (struct end){ true, error };
}

static int run_to_end(void)
{
	while (!ended.is_over)
		ck_assert_int_ge(ioq_run(rig.q, 10 * NS_PER_S), 0);
	return ended.error;
}

/* Three layers, each with 64 KiB of its own. */
static void make_three(const struct file_ops *ops)
{
	image_init(&rig);
	rig.ops = ops;
	make_raw();
	open_raw(DISK_WRITEBACK);
	put(0, 65536, 'a');
	must_push("1.qcow2");
	put(65536, 65536, 'b');
	must_push("2.qcow2");
	put(131072, 65536, 'c');
	must_push("3.qcow2");
	put(196608, 65536, 'd');
}

static void shows_three(void)
{
	is_all(0, 65536, 'a');
	is_all(65536, 65536, 'b');
	is_all(131072, 65536, 'c');
	is_all(196608, 65536, 'd');
	is_all(262144, 65536, 0);
}

static int begin_merge(struct merge *m, unsigned int layer, struct err *e)
{
	*m = (struct merge){ .disk = rig.disk,
			     .layer = layer,
			     .over = merge_over };
	ended.is_over = false;
	*e = (struct err)ERR_NONE;
	return merge_start(m, e);
}

static int merge_layer(unsigned int layer, struct err *e)
{
	struct merge m;
	int r = begin_merge(&m, layer, e);

	if (r)
		return r;
	r = run_to_end();
	*e = m.stream.err;
	return r;
}

START_TEST(stream_copies_only_what_lies_between)
{
	struct stream s = { .last = 2, .over = stream_over };
	struct disk_place place;
	struct err e = ERR_NONE;

	make_three(NULL);
	s.disk = rig.disk;
	ended.is_over = false;
	ck_assert_msg(!stream_start(&s, &e), "%s", e.text);
	ck_assert_int_eq(push("4.qcow2", &e), -EBUSY);
	ck_assert_int_eq(stream_start(&s, &e), -EBUSY);
	ck_assert_int_eq(run_to_end(), 0);
	ck_assert_uint_eq(disk_layers(rig.disk), 2);
	shows_three();
	ck_assert_int_eq(disk_look(rig.disk, 0, BYTES, &place), 0);
	ck_assert_uint_eq(place.layer, 1); /* the base's stays there */
	ck_assert_int_eq(disk_look(rig.disk, 65536, BYTES, &place), 0);
	ck_assert_uint_eq(place.layer, 0);
	image_close(&rig);
	IMAGE_MUST(&rig, "rm 1.qcow2 2.qcow2 && qemu-img check 3.qcow2 && "
			 "qemu-img info --backing-chain 3.qcow2");
	image_fini(&rig);
}
END_TEST

START_TEST(merge_takes_a_layer_out_below_a_running_disk)
{
	struct merge m;
	struct err e;

	make_three(NULL);
	ck_assert_msg(!begin_merge(&m, 1, &e), "%s", e.text);
	must_push("4.qcow2"); /* the top may change meanwhile */
	put(262144, 65536, 0);
	ck_assert_int_eq(run_to_end(), 0);
	ck_assert_uint_eq(disk_layers(rig.disk), 4);
	ck_assert_int_eq(mode_of("2.qcow2"), 0444);
	IMAGE_MUST(&rig, "rm 1.qcow2");
	shows_three();
	image_close(&rig);
	IMAGE_MUST(&rig, "for i in 2 3 4; do qemu-img check $i.qcow2 || exit 1;"
			 "done; qemu-img info --backing-chain 4.qcow2");
	image_fini(&rig);
}
END_TEST

START_TEST(merge_leaves_a_layer_alone_that_others_use)
{
	struct err e;
	pid_t pid;
	int fds[2];
	char c;

	make_three(NULL);
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		alarm(60);
		/* Another disk stands on it. */
		image_sh(&rig, "qemu-img create -f qcow2 -b 2.qcow2 -F qcow2 "
			       "clone.qcow2");
		snprintf(rig.path, sizeof(rig.path), "%s/clone.qcow2", rig.dir);
		image_open(&rig);
		if (write(fds[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	ck_assert_int_eq(merge_layer(1, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "in use by process"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	shows_three();
	/* Now it can be. */
	ck_assert_msg(!merge_layer(1, &e), "%s", e.text);
	shows_three();
	image_fini(&rig);
}
END_TEST

/* Tables that were not in memory when it began are full of what it added. */
START_TEST(layer_that_grows_is_read_all_the_same)
{
	struct merge m;
	struct disk_try t;
	struct err e;

	make_three(NULL);
	image_close(&rig);
	snprintf(rig.path, sizeof(rig.path), "%s/3.qcow2", rig.dir);
	image_open(&rig);
	ck_assert_msg(!begin_merge(&m, 1, &e), "%s", e.text);
	while (m.into) /* its tables are written when it is closed */
		ck_assert_int_ge(ioq_run(rig.q, 10 * NS_PER_S), 0);
	ck_assert(!ended.is_over);
	/* What is under way when it ends sees the old layers. */
	memset(memory, 0, 65536);
	rig_make(&t, DISK_READ, 65536, memory, 65536);
	rig.disk->ops->submit(
		rig.disk, (t.r.disk = rig.disk, rig.disk->in_flight++, &t.r));
	ck_assert_int_eq(run_to_end(), 0);
	ck_assert_int_eq(t.calls, 1);
	ck_assert_int_eq(t.error, 0);
	ck_assert_int_eq(memory[0], 'b');
	shows_three();
	image_fini(&rig);
}
END_TEST

/* Each sync and each read fails once: what is open stays right, what is on
 * the disk opens and shows the same, and a merge of it then works. */
static void a_merge_that_fails_loses_nothing(enum fault_call call,
					     unsigned int at)
{
	struct fault_ops fault;
	struct err e;
	bool failed;

	fault_init(&fault);
	make_three(&fault.ops);
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	fault_set(&fault, call, EIO, at, false);
	failed = merge_layer(1, &e) != 0;
	fault_set(&fault, call, 0, 0, false);
	shows_three();
	/* No other layer goes while two disagree about what is behind. */
	if (failed && !merge_layer(1, &e))
		failed = false;
	if (failed)
		ck_assert_int_ne(merge_layer(1, &e), 0);
	shows_three();
	image_close(&rig);
	snprintf(rig.path, sizeof(rig.path), "%s/3.qcow2", rig.dir);
	image_open(&rig);
	shows_three();
	if (disk_layers(rig.disk) == 4)
		ck_assert_msg(!merge_layer(1, &e), "%s", e.text);
	IMAGE_MUST(&rig, "rm 1.qcow2");
	shows_three();
	image_close(&rig);
	image_open(&rig);
	shows_three();
	image_fini(&rig);
}

START_TEST(failed_merge_loses_nothing)
{
	unsigned int at;

	for (at = 0; at < 40; at++)
		a_merge_that_fails_loses_nothing(FAULT_READ, at);
	for (at = 0; at < 10; at++)
		a_merge_that_fails_loses_nothing(FAULT_WRITE, at);
	for (at = 0; at < 10; at++)
		a_merge_that_fails_loses_nothing(FAULT_SYNC, at);
}
END_TEST

START_TEST(layer_does_not_stand_on_a_file_that_took_the_name)
{
	struct err e = ERR_NONE;

	image_init(&rig);
	make_raw();
	open_raw(DISK_WRITEBACK);
	put(0, 4096, 'a');
	IMAGE_MUST(&rig, "mv base.raw moved.raw; truncate -s 4M base.raw");
	ck_assert_int_eq(push("1.qcow2", &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "another file"));
	ck_assert_int_ne(image_sh(&rig, "test -e 1.qcow2"), 0);
	is_all(0, 4096, 'a');
	image_fini(&rig);
}
END_TEST

/* --- links ----------------------------------------------------------- */

START_TEST(layers_are_linked_all_or_none)
{
	struct err e = ERR_NONE;
	char directory[128];

	make_three(NULL);
	snprintf(directory, sizeof(directory), "%s/other", rig.dir);
	IMAGE_MUST(&rig, "mkdir other && echo x >other/base.raw");
	ck_assert_int_eq(layers_link(rig.disk, false, directory, &e), -EEXIST);
	IMAGE_MUST(&rig, "test $(ls other) = base.raw");
	ck_assert_int_eq(layers_link(rig.disk, true, directory, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "frozen"));
	IMAGE_MUST(&rig, "rm other/base.raw");
	ck_assert_msg(!layers_link(rig.disk, false, directory, &e), "%s",
		      e.text);
	ck_assert_int_eq(layers_link(rig.disk, false, directory, &e), 0);
	image_close(&rig);
	/* Each directory lives without the other. */
	IMAGE_MUST(&rig, "rm *.qcow2 *.raw && cd other && "
			 "qemu-img check 2.qcow2 && "
			 "qemu-io -r -c 'read -P 97 0 64k' 2.qcow2");
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_below_is_frozen_and_others_may_read_it,
		direct_disk_gets_layers_too,
		failed_push_leaves_the_disk_as_it_was,
		push_refuses_what_cannot_be,
		push_costs_the_same_whatever_the_size,
		stream_copies_only_what_lies_between,
		merge_takes_a_layer_out_below_a_running_disk,
		merge_leaves_a_layer_alone_that_others_use,
		layer_that_grows_is_read_all_the_same,
		failed_merge_loses_nothing,
		layer_does_not_stand_on_a_file_that_took_the_name,
		layers_are_linked_all_or_none,
	};

	return SUITE_RUN("overlay", tests);
}
