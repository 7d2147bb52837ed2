/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of a block device's disk that come and go between a pause and a
 * resume: the guest goes on as if nothing had been, or had been undone.
 */
#include <limits.h>

#include "devices/vblk_private.h"
#include "disk/qcow2_create.h"
#include "tests/unit/vblk_rig.h"

#define IN    0
#define OUT   1
#define FLUSH 4

static struct blk_rig b;
static char layer[80];

/* A qcow2 image in a directory of its own; blk_close() knows of the file. */
static void open_it(struct blk_options o)
{
	struct qcow2_options options = qcow2_defaults;
	char dir[] = "/tmp/amber-layers-XXXXXX";
	struct err e = ERR_NONE;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	rig_init(&b.rig);
	fault_init(&b.fault);
	snprintf(b.path, sizeof(b.path), "%s/d.qcow2", dir);
	snprintf(layer, sizeof(layer), "%s/1.qcow2", dir);
	b.fd = open(b.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(b.fd, 0);
	options.bytes = BLK_BYTES;
	ck_assert_int_eq(qcow2_create(b.fd, &options, &file_ops_real, &e), 0);
	o.format = DISK_QCOW2;
	blk_make(&b, &o);
	ck_assert_int_eq(vblk_start(b.blk, NULL), 0);
	rig_start(&b.rig, rig_features(&b.rig) & BLK_FLUSH, 1, 256);
}

static void close_it(void)
{
	char command[160];

	*strrchr(layer, '/') = '\0';
	snprintf(command, sizeof(command), "rm -r %s", layer);
	blk_close(&b);
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

static struct overlay *prepare(bool is_fresh)
{
	const struct overlay_place place = { .path = b.path,
					     .layer = layer,
					     .bytes = BLK_BYTES };
	struct err e = ERR_NONE;
	struct overlay *o = NULL;
	int r = is_fresh ? overlay_prepare_fresh(&o, &place, &e)
			 : overlay_prepare_under(&o, &place, &e);

	ck_assert_msg(!r, "%s", e.text);
	return o;
}

static void push(void)
{
	struct overlay *o = prepare(false);
	struct err e = ERR_NONE;

	pause_now();
	ck_assert_msg(!vblk_push_layer(b.blk, o, &e), "%s", e.text);
	resume_now();
}

static void rewind_it(void)
{
	struct overlay *o = prepare(true);
	struct err e = ERR_NONE;

	pause_now();
	ck_assert_msg(!vblk_rewind_layer(b.blk, o, &e), "%s", e.text);
	resume_now();
	overlay_close(o);
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

static void a_push_and_a_rewind(enum ioq_engine engine)
{
	open_it((struct blk_options){ .engine = engine });
	put(0, 'a');
	push();
	is_there(0, 'a');
	put(0, 'b');
	put(8, 'c');
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	rewind_it();
	is_there(0, 'a');
	is_there(8, 0);
	put(8, 'd');
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	is_there(8, 'd');
	rewind_it();
	is_there(8, 0);
	close_it();
}

START_TEST(guest_goes_on_after_a_push_and_after_a_rewind)
{
	both_engines(a_push_and_a_rewind);
}
END_TEST

START_TEST(device_tells_the_same_of_its_disk)
{
	struct disk_info before, after;
	char path[PATH_MAX];
	uint64_t sectors;
	struct buf text;

	open_it((struct blk_options){ .engine = IOQ_SYNC });
	vblk_get_disk(b.blk, &before, path, sizeof(path));
	ck_assert_str_eq(path, b.path);
	ck_assert_uint_eq(before.bytes, BLK_BYTES);
	sectors = rig_read(&b.rig, 0x100);
	push();
	rewind_it();
	vblk_get_disk(b.blk, &after, path, sizeof(path));
	ck_assert_str_eq(path, b.path);
	ck_assert_uint_eq(after.bytes, before.bytes);
	ck_assert_uint_eq(after.logical_bytes, before.logical_bytes);
	ck_assert_uint_eq(rig_read(&b.rig, 0x100), sectors);
	buf_init(&text, 4096);
	b.rig.device->ops->describe(b.rig.device, &text);
	buf_printf(&text, "%c", 0);
	ck_assert_ptr_nonnull(strstr((const char *)text.data, b.path));
	buf_fini(&text);
	close_it();
}
END_TEST

START_TEST(push_that_fails_is_told_and_the_guest_goes_on)
{
	struct overlay *o;
	struct err e = ERR_NONE;

	open_it((struct blk_options){ .engine = IOQ_SYNC });
	put(0, 'a');
	o = prepare(false);
	pause_now();
	close(open(layer, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(vblk_push_layer(b.blk, o, &e), -EEXIST);
	ck_assert_ptr_nonnull(strstr(e.text, "1.qcow2"));
	ck_assert_int_eq(vblk_rewind_layer(b.blk, o, NULL), -EINVAL);
	ck_assert_int_eq(vblk_flush(b.blk, &e), 0);
	overlay_close(o);
	ck_assert_int_eq(unlink(layer), 0);
	resume_now();
	is_there(0, 'a');
	push();
	is_there(0, 'a');
	close_it();
}
END_TEST

/* The guest is to be loaded with what it was: its requests go with it. */
START_TEST(rewind_forgets_what_a_failure_held)
{
	struct overlay *o;
	struct vblk_stats s;
	struct err e = ERR_NONE;

	open_it((struct blk_options){ .engine = IOQ_SYNC });
	put(0, 'a');
	push();
	put(0, 'b');
	fault_set(&b.fault, FAULT_SYNC, EIO, FAULT_ALWAYS);
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, FAULT_ALWAYS);
	memset(blk_data(&b, b.next), 'c', BLK_DATA);
	blk_offer(&b, OUT, 8, BLK_DATA);
	blk_offer(&b, FLUSH, 0, 0);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	o = prepare(true);
	pause_now();
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_gt(s.held, 0);
	ck_assert_msg(!vblk_rewind_layer(b.blk, o, &e), "%s", e.text);
	overlay_close(o);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.held, 0);
	ck_assert(!s.is_poisoned);
	ck_assert_int_eq(vblk_may_resume(b.blk, false, &e), 0);
	fault_set(&b.fault, FAULT_WRITE, 0, 0);
	fault_set(&b.fault, FAULT_SYNC, 0, 0);
	/* As a load does, but for the state. */
	b.rig.device->ops->reset(b.rig.device);
	resume_now();
	rig_start(&b.rig, rig_features(&b.rig) & BLK_FLUSH, 1, 256);
	b.next = b.answers = 0;
	is_there(0, 'a');
	is_there(8, 0);
	put(8, 'd');
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	is_there(8, 'd');
	close_it();
}
END_TEST

/* --- state that is loaded into a device at work ----------------------- */

static void save(struct buf *bytes)
{
	struct device *d = b.rig.device;
	struct state_io io;
	struct err e = ERR_NONE;

	buf_init(bytes, 1 << 16);
	state_save(&io, d->ops->name, bytes);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, &e), 0);
}

static void load(const struct buf *bytes)
{
	struct device *d = b.rig.device;
	struct state_io io;
	struct err e = ERR_NONE;

	state_load(&io, d->ops->name, bytes->data, bytes->len);
	d->ops->sync(d, &io);
	ck_assert_msg(!state_end(&io, &e), "%s", e.text);
	ck_assert_msg(!d->ops->validate(d, &e), "%s", e.text);
	ck_assert_msg(!d->ops->restored(d, &e), "%s", e.text);
}

struct guest {
	uint8_t ram[RIG_RAM];
	struct rig_queue queue;
	unsigned int next, answers;
	struct buf state;
};

static void remember(struct guest *g)
{
	memcpy(g->ram, b.rig.ram, RIG_RAM);
	g->queue = b.rig.queue[0];
	g->next = b.next;
	g->answers = b.answers;
	save(&g->state);
}

static void return_to(const struct guest *g)
{
	memcpy(b.rig.ram, g->ram, RIG_RAM);
	b.rig.queue[0] = g->queue;
	b.next = g->next;
	b.answers = g->answers;
	load(&g->state);
}

static void rewinds(enum ioq_engine engine)
{
	static struct guest g;
	struct overlay *o;
	struct err e = ERR_NONE;
	unsigned int i;

	open_it((struct blk_options){ .engine = engine });
	put(0, 'a');
	o = prepare(false);
	pause_now();
	ck_assert_msg(!vblk_push_layer(b.blk, o, &e), "%s", e.text);
	remember(&g);
	resume_now();
	for (i = 0; i < 100; i++) {
		is_there(0, 'a');
		put(0, 'b');
		blk_offer(&b, OUT, 16, BLK_DATA); /* under way */
		rig_kick(&b.rig, 0);
		o = prepare(true);
		pause_now();
		ck_assert_msg(!vblk_rewind_layer(b.blk, o, &e), "%s", e.text);
		return_to(&g);
		resume_now();
		overlay_close(o);
		is_there(16, 0);
	}
	buf_fini(&g.state);
	close_it();
}

START_TEST(guest_that_is_rewound_in_place_goes_on_each_time)
{
	both_engines(rewinds);
}
END_TEST

/* One from before its driver was there has no rings to hold anything. */
START_TEST(load_forgets_what_was_held)
{
	struct buf bytes;
	struct vblk_stats s;

	open_it((struct blk_options){ .engine = IOQ_SYNC });
	b.rig.device->ops->reset(b.rig.device);
	save(&bytes);
	rig_start(&b.rig, rig_features(&b.rig) & BLK_FLUSH, 1, 256);
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, FAULT_ALWAYS);
	blk_offer(&b, OUT, 8, BLK_DATA);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	pause_now();
	load(&bytes);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.held, 0);
	fault_set(&b.fault, FAULT_WRITE, 0, 0);
	resume_now();
	rig_start(&b.rig, rig_features(&b.rig) & BLK_FLUSH, 1, 256);
	b.next = b.answers = 0;
	is_there(8, 0);
	buf_fini(&bytes);
	close_it();
}
END_TEST

START_TEST(paused_again_at_once_it_tries_nothing)
{
	struct vblk_stats s;
	unsigned int i;

	open_it((struct blk_options){ .engine = IOQ_SYNC });
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, FAULT_ALWAYS);
	blk_offer(&b, OUT, 8, BLK_DATA);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	for (i = 0; i < 500; i++) {
		pause_now();
		vblk_get_stats(b.blk, &s);
		nanosleep(&(struct timespec){ 0, 20000 }, NULL);
		ck_assert_uint_eq(s.held, 1);
		vblk_get_stats(b.blk, &s);
		ck_assert_uint_eq(s.held, 1);
		ck_assert_uint_eq(s.in_flight, 0);
		resume_now();
	}
	pause_now();
	fault_set(&b.fault, FAULT_WRITE, 0, 0);
	resume_now();
	blk_wait(&b, 1);
	close_it();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		guest_goes_on_after_a_push_and_after_a_rewind,
		device_tells_the_same_of_its_disk,
		push_that_fails_is_told_and_the_guest_goes_on,
		rewind_forgets_what_a_failure_held,
		guest_that_is_rewound_in_place_goes_on_each_time,
		load_forgets_what_was_held,
		paused_again_at_once_it_tries_nothing,
	};

	return SUITE_RUN("vblk_layers", tests);
}
