/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of a block device's disk that become one while the guest writes: it
 * sees nothing of it, and what wants the disk as it is ends it first.
 */
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "devices/vblk_private.h"
#include "disk/qcow2_create.h"
#include "tests/unit/vblk_rig.h"

#define IN    0
#define OUT   1
#define FLUSH 4

static struct blk_rig b;
static char directory[64];

/* What over() has said. */
static struct {
	_Atomic unsigned int calls;
	_Atomic int error;
} told;

static const char *in_dir(const char *name)
{
	static char paths[4][96];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

/* A qcow2 image in a directory of its own; blk_close() knows of the file. */
static void open_it(enum ioq_engine engine)
{
	struct blk_options o = { .engine = engine, .format = DISK_QCOW2 };
	struct qcow2_options options = qcow2_defaults;
	struct err e = ERR_NONE;

	snprintf(directory, sizeof(directory), "/tmp/amber-merge-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	rig_init(&b.rig);
	fault_init(&b.fault);
	snprintf(b.path, sizeof(b.path), "%s", in_dir("d.qcow2"));
	b.fd = open(b.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(b.fd, 0);
	options.bytes = BLK_BYTES;
	ck_assert_int_eq(qcow2_create(b.fd, &options, &file_ops_real, &e), 0);
	blk_make(&b, &o);
	ck_assert_int_eq(vblk_start(b.blk, NULL), 0);
	rig_start(&b.rig, rig_features(&b.rig) & BLK_FLUSH, 1, 256);
	atomic_store(&told.calls, 0);
	atomic_store(&told.error, 1);
}

static void close_it(void)
{
	char command[96];

	blk_close(&b);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void both_engines(void (*test)(enum ioq_engine engine))
{
	test(IOQ_SYNC);
	if (!ioq_available(NULL))
		test(IOQ_URING);
}

static void pause_now(void)
{
	struct device *d = b.rig.device;

	while (!d->ops->quiesce(d, NULL, NULL))
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

static void resume_now(void)
{
	b.rig.device->ops->resume(b.rig.device);
}

static void push(const char *layer)
{
	const struct overlay_place place = { .path = b.path,
					     .layer = in_dir(layer),
					     .bytes = BLK_BYTES };
	struct err e = ERR_NONE;
	struct overlay *o = NULL;

	ck_assert_msg(!overlay_prepare_under(&o, &place, &e), "%s", e.text);
	pause_now();
	ck_assert_msg(!vblk_push_layer(b.blk, o, &e), "%s", e.text);
	resume_now();
}

static void put(uint64_t sector, int value)
{
	memset(blk_data(&b, b.next), value, BLK_DATA);
	ck_assert_uint_eq(blk_do(&b, OUT, sector, BLK_DATA), 0);
}

static void is_there(uint64_t sector, int value)
{
	unsigned int n = b.next, i;

	ck_assert_uint_eq(blk_do(&b, IN, sector, BLK_DATA), 0);
	for (i = 0; i < BLK_DATA; i++)
		ck_assert_int_eq(blk_data(&b, n)[i], value);
}

/* a, b, c of three layers, d of the top. */
static void make_layers(void)
{
	put(0, 'a');
	put(32, 'a');
	push("1.qcow2");
	put(8, 'b');
	push("2.qcow2");
	put(16, 'c');
	push("3.qcow2");
	put(24, 'd');
}

static void is_all_there(void)
{
	is_there(0, 'a');
	is_there(8, 'b');
	is_there(16, 'c');
	is_there(24, 'd');
	is_there(32, 'a');
	is_there(40, 0);
}

static void over(void *ctx, const struct err *e)
{
	ck_assert_ptr_eq(ctx, &told);
	atomic_store(&told.error, e->code);
	atomic_fetch_add(&told.calls, 1);
}

static int begin(const char *layer, struct err *e)
{
	struct vblk_merge merge = { .over = over, .ctx = &told };
	struct stat st;

	ck_assert_int_eq(stat(in_dir(layer), &st), 0);
	merge.device = st.st_dev;
	merge.inode = st.st_ino;
	return vblk_begin_merge(b.blk, &merge, e);
}

static void must_begin(const char *layer)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!begin(layer, &e), "%s", e.text);
}

static void must_merge(const char *layer)
{
	unsigned int calls = atomic_load(&told.calls);

	must_begin(layer);
	BLK_UNTIL(atomic_load(&told.calls) > calls);
	ck_assert_int_eq(atomic_load(&told.error), 0);
	ck_assert_int_eq(unlink(in_dir(layer)), 0); /* nobody needs it */
}

static void merges(enum ioq_engine engine)
{
	open_it(engine);
	make_layers();
	must_merge("1.qcow2"); /* into a frozen one, the last behind it */
	is_all_there();
	must_merge("3.qcow2"); /* into the top */
	is_all_there();
	must_merge("2.qcow2");
	is_all_there();
	put(40, 'e');
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	is_there(40, 'e');
	close_it();
}

START_TEST(layers_become_one_and_the_guest_sees_nothing_of_it)
{
	both_engines(merges);
}
END_TEST

static void flushes(enum ioq_engine engine)
{
	static const char *const layers[] = { "1.qcow2", "2.qcow2", "3.qcow2" };
	struct stat before, after;
	unsigned int i;

	open_it(engine);
	make_layers();
	for (i = 0; i < 9; i++) {
		pause_now();
		if (begin(layers[i % 3], NULL)) {
			resume_now();
			break;
		}
		ck_assert_int_eq(vblk_flush(b.blk, NULL), 0);
		ck_assert_uint_eq(atomic_load(&told.calls), i + 1);
		ck_assert_int_eq(stat(b.path, &before), 0);
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
		ck_assert_int_eq(stat(b.path, &after), 0);
		ck_assert(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
			  before.st_size == after.st_size);
		resume_now();
		is_all_there();
	}
	ck_assert_uint_gt(i, 0);
	close_it();
}

START_TEST(who_has_the_disk_flushed_finds_no_merge_under_way)
{
	both_engines(flushes);
}
END_TEST

static void pushes(enum ioq_engine engine)
{
	char name[16];
	unsigned int i;

	open_it(engine);
	make_layers();
	for (i = 0; i < 4; i++) {
		begin("3.qcow2", NULL);
		snprintf(name, sizeof(name), "n%u.qcow2", i);
		push(name); /* is refused while the top takes something in */
		is_all_there();
	}
	close_it();
}

START_TEST(layer_is_put_on_while_another_is_merged)
{
	both_engines(pushes);
}
END_TEST

static void closes(enum ioq_engine engine)
{
	open_it(engine);
	make_layers();
	must_begin("3.qcow2");
	close_it();
	ck_assert_uint_eq(atomic_load(&told.calls), 1);
}

START_TEST(disk_that_is_closed_ends_its_merge)
{
	both_engines(closes);
}
END_TEST

START_TEST(one_that_is_cancelled_leaves_all_as_it_was)
{
	struct err e = ERR_NONE;

	open_it(IOQ_SYNC);
	make_layers();
	vblk_cancel_merge(b.blk); /* nothing is under way */
	must_begin("2.qcow2");
	vblk_cancel_merge(b.blk);
	BLK_UNTIL(atomic_load(&told.calls) == 1);
	is_all_there();
	if (atomic_load(&told.error)) {
		ck_assert_int_eq(atomic_load(&told.error), -ECANCELED);
		must_merge("2.qcow2");
		is_all_there();
	}
	must_begin("d.qcow2"); /* is no layer behind the top */
	BLK_UNTIL(atomic_load(&told.calls) >= 2 &&
		  atomic_load(&told.error) == -ESTALE);
	ck_assert_int_eq(vblk_flush(b.blk, &e), 0);
	close_it();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		layers_become_one_and_the_guest_sees_nothing_of_it,
		who_has_the_disk_flushed_finds_no_merge_under_way,
		layer_is_put_on_while_another_is_merged,
		disk_that_is_closed_ends_its_merge,
		one_that_is_cancelled_leaves_all_as_it_was,
	};

	return SUITE_RUN("vblk_merge", tests);
}
