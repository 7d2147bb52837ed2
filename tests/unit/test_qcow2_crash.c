/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts: requests on an image whose file can be cut off after every
 * operation. What is left opens, our checker finds leaks at most, and all
 * that a flush acknowledged is there; then the same again on what was left.
 * CRASH_STATES, CRASH_SEED; each CRASH_JUDGE-th state is shown to qemu-img.
 */
#include "disk/qcow2_check.h"
#include "tests/unit/crash_ops.h"
#include "tests/unit/qcow2_rig.h"
#include "tests/unit/seeded.h"

#define SECTOR	   512u
#define SECTORS	   640u
#define BYTES	   (SECTORS * SECTOR)
#define BATCH	   6
#define VALUES_MAX 24

struct values {
	uint64_t value[VALUES_MAX]; /* that a sector may have after a cut */
	unsigned int count;
};

struct life {
	struct crash crash;
	struct disk *disk;
	struct ioq *q;
	uint64_t now[SECTORS]; /* each sector is its value, repeated */
	struct values may[SECTORS];
	uint8_t memory[BATCH][BYTES];
	struct disk_try t[BATCH];
	unsigned int depth; /* cuts before this life */
};

static struct {
	uint64_t random, stamp, states, wanted, judged, judge_each;
	struct qcow2_rig rig; /* for its directory */
} all;

static uint64_t next_random(void *ctx)
{
	(void)ctx;
	return seeded_next(&all.random);
}

static uint64_t below(uint64_t n)
{
	return next_random(NULL) % n;
}

/* --- what may be there ----------------------------------------------- */

static void allow(struct life *l, uint64_t sector, uint64_t value)
{
	struct values *v = &l->may[sector];

	if (v->count == VALUES_MAX)
		ck_abort_msg("too many values");
	v->value[v->count++] = value;
}

static void all_is_durable(struct life *l)
{
	unsigned int i;

	for (i = 0; i < SECTORS; i++) {
		l->may[i].count = 0;
		allow(l, i, l->now[i]);
	}
}

static bool is_crowded(const struct life *l)
{
	unsigned int i;

	for (i = 0; i < SECTORS; i++)
		if (l->may[i].count + BATCH >= VALUES_MAX)
			return true;
	return false;
}

static uint64_t value_of(const uint8_t *sector)
{
	uint64_t first, other;
	unsigned int i;

	memcpy(&first, sector, 8);
	for (i = 8; i < SECTOR; i += 8) {
		memcpy(&other, sector + i, 8);
		if (first != other) /* asserting is slow */
			ck_abort_msg("a sector is torn");
	}
	return first;
}

static void is_allowed(const struct life *l, unsigned int sector,
		       uint64_t value)
{
	const struct values *v = &l->may[sector];
	unsigned int i;

	for (i = 0; i < v->count; i++)
		if (v->value[i] == value)
			return;
	ck_abort_msg("state %llu, depth %u: sector %u is %llu, not one of %u",
		     (unsigned long long)all.states, l->depth, sector,
		     (unsigned long long)value, v->count);
}

/* --- judging --------------------------------------------------------- */

static void tell(void *ctx, enum qcow2_finding kind, const char *text)
{
	(void)ctx;
	if (kind == QCOW2_CORRUPTION)
		fprintf(stderr, "corruption: %s\n", text);
}

static void has_no_corruption(const char *path)
{
	struct qcow2_check c = { .found = tell };
	struct err e = ERR_NONE;
	struct qcow2 q;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(!qcow2_open(&q, fd, path, &file_ops_real, QCOW2_READ,
				  1 << 20, &e),
		      "%s", e.text);
	ck_assert_msg(!qcow2_check(&q, &c, &e), "%s", e.text);
	ck_assert_msg(!c.corruptions, "state %llu: %llu corruptions",
		      (unsigned long long)all.states,
		      (unsigned long long)c.corruptions);
	qcow2_fini(&q);
	close(fd);
}

/* qemu-img: 0 clean, 3 leaks. */
static void qemu_agrees(const uint8_t *image, uint64_t bytes)
{
	int fd, status;

	fd = open(all.rig.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image, bytes), (ssize_t)bytes);
	close(fd);
	status = image_sh(&all.rig, "qemu-img check top.qcow2");
	if (status && status != 3)
		image_say(&all.rig);
	ck_assert_msg(!status || status == 3, "qemu-img check: %d", status);
	all.judged++;
}

/* --- a life ---------------------------------------------------------- */

static void live(struct life *l, const uint8_t *image, uint64_t bytes);

static void run(struct life *l)
{
	while (ioq_in_flight(l->q))
		ck_assert_int_ge(ioq_run(l->q, NS_PER_S), 0);
}

static void read_all(struct life *l, uint8_t *out)
{
	struct disk_try t;

	rig_make(&t, DISK_READ, 0, out, BYTES);
	disk_submit(l->disk, &t.r);
	run(l);
	ck_assert_int_eq(t.error, 0);
}

static void open_disk(struct life *l)
{
	struct disk_config config = { .path = l->crash.path,
				      .format = DISK_QCOW2,
				      .files = &l->crash.ops };
	struct err e = ERR_NONE;

	ck_assert_msg(!disk_open(&l->disk, &config, &e), "%s", e.text);
	ck_assert_int_eq(ioq_open(&l->q, IOQ_SYNC, 16, &l->crash.ops, NULL), 0);
	disk_attach(l->disk, l->q);
}

/* What a cut left is judged, and lived in. */
static void after_cut(struct life *dead, const uint8_t *image, uint64_t bytes)
{
	struct life *l = calloc(1, sizeof(*l));

	ck_assert_ptr_nonnull(l);
	all.states++;
	if (all.judge_each && all.states % all.judge_each == 0)
		qemu_agrees(image, bytes);
	memcpy(l->may, dead->may, sizeof(l->may));
	l->depth = dead->depth + 1;
	live(l, image, bytes);
	free(l);
}

/* After each operation on the file. */
static void maybe_cut(struct crash *c)
{
	struct life *l = c->owner;
	uint8_t *image;
	uint64_t bytes;

	if (l->depth > 2 || below(l->depth ? 40 : 3))
		return;
	image = crash_cut(c, &bytes, next_random, NULL);
	after_cut(l, image, bytes);
	free(image);
}

static void submit(struct life *l, unsigned int i)
{
	uint64_t at = below(SECTORS), n = 1 + below(below(4) ? 12 : 150), k;
	struct disk_try *t = &l->t[i];
	uint64_t value = ++all.stamp;

	n = n > SECTORS - at ? SECTORS - at : n;
	rig_make(t, DISK_WRITE, at * SECTOR, l->memory[i], n * SECTOR);
	if (!below(5)) {
		t->r.op = DISK_ZERO;
		t->r.may_unmap = below(2);
		value = 0;
	}
	for (k = 0; k < n * SECTOR / 8; k++)
		memcpy(l->memory[i] + 8 * k, &value, 8);
	for (k = at; k < at + n; k++)
		allow(l, k, value);
	disk_submit(l->disk, &t->r);
}

static void note(struct life *l, unsigned int i)
{
	uint64_t k, at = l->t[i].r.offset / SECTOR, value = 0;

	ck_assert_int_eq(l->t[i].calls, 1);
	ck_assert_int_eq(l->t[i].error, 0);
	if (l->t[i].r.op == DISK_WRITE)
		memcpy(&value, l->memory[i], 8);
	for (k = 0; k < l->t[i].r.bytes / SECTOR; k++)
		l->now[at + k] = value;
}

static void flush(struct life *l)
{
	struct disk_try t;

	rig_make(&t, DISK_FLUSH, 0, NULL, 0);
	disk_submit(l->disk, &t.r);
	run(l);
	ck_assert_int_eq(t.error, 0);
	all_is_durable(l);
}

static void work(struct life *l)
{
	unsigned int rounds = l->depth ? 2 : 60, i, n;

	while (rounds--) {
		n = 1 + (unsigned int)below(BATCH);
		for (i = 0; i < n; i++) {
			submit(l, i);
			run(l); /* one by one: they may overlap */
			note(l, i);
		}
		if (!below(3) || is_crowded(l))
			flush(l);
	}
}

static void live(struct life *l, const uint8_t *image, uint64_t bytes)
{
	static uint8_t found[BYTES];
	unsigned int i;

	crash_init(&l->crash, image, bytes, maybe_cut, l);
	has_no_corruption(l->crash.path);
	open_disk(l);
	read_all(l, found);
	for (i = 0; i < SECTORS; i++) {
		l->now[i] = value_of(found + i * SECTOR);
		if (l->depth)
			is_allowed(l, i, l->now[i]);
	}
	all_is_durable(l);
	if (l->depth < 3)
		work(l);
	disk_close(l->disk);
	ioq_close(l->q);
	has_no_corruption(l->crash.path);
	crash_fini(&l->crash);
}

/* --- shapes ---------------------------------------------------------- */

static const struct qcow2_options shapes[] = {
	{ .version = 3, .cluster_bits = 12, .refcount_order = 4 },
	{ .version = 3, .cluster_bits = 9, .refcount_order = 4 },
	{ .version = 3,
	  .cluster_bits = 14,
	  .refcount_order = 4,
	  .is_extended = true },
	{ .version = 3, .cluster_bits = 10, .refcount_order = 6 },
	{ .version = 2, .cluster_bits = 12, .refcount_order = 4 },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static uint8_t *empty_image(const struct qcow2_options *shape, uint64_t *bytes)
{
	struct qcow2_options o = *shape;
	int fd = memfd_create("image", MFD_CLOEXEC);
	uint8_t *image;

	o.bytes = BYTES;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(qcow2_create(fd, &o, &file_ops_real, NULL), 0);
	*bytes = (uint64_t)lseek(fd, 0, SEEK_END);
	image = malloc(*bytes);
	ck_assert_int_eq(pread(fd, image, *bytes, 0), (ssize_t)*bytes);
	close(fd);
	return image;
}

START_TEST(a_power_cut_loses_nothing_that_was_flushed)
{
	struct life *l;
	uint64_t bytes;
	uint8_t *image;

	all.random =
		seeded_start(seeded_setting("CRASH_SEED", 1) + (uint64_t)_i);
	all.wanted = seeded_setting("CRASH_STATES", 4000) / SHAPES;
	all.judge_each = seeded_setting("CRASH_JUDGE", 100);
	image_init(&all.rig);
	while (all.states < all.wanted) {
		image = empty_image(&shapes[_i], &bytes);
		l = calloc(1, sizeof(*l));
		live(l, image, bytes);
		free(l);
		free(image);
	}
	printf("%llu states, %llu of them shown to qemu-img\n",
	       (unsigned long long)all.states, (unsigned long long)all.judged);
	image_fini(&all.rig);
}
END_TEST

int main(void)
{
	return seeded_run(
		"qcow2_crash",
		(double)seeded_setting("CRASH_STATES", 4000) / 20 + 60,
		a_power_cut_loses_nothing_that_was_flushed, SHAPES, NULL, 0);
}
