/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw twin: the same seeded requests on a qcow2 disk and on flat memory,
 * many at a time, with reopens; qemu-img judges the image each time. Seeds
 * and lengths: TWIN_SEED, TWIN_STEPS.
 */
#include <inttypes.h>

#include "tests/unit/cold_ops.h"
#include "tests/unit/qcow2_rig.h"

#define SECTOR	  512u
#define BATCH_MAX 16

struct shape {
	struct qcow2_options o;
	const char *base; /* format of a backing file, or NULL */
	uint64_t base_bytes;
};

static const struct shape shapes[] = {
	{ { .version = 3,
	    .cluster_bits = 16,
	    .refcount_order = 4,
	    .bytes = 6u << 20 },
	  NULL,
	  0 },
	{ { .version = 3,
	    .cluster_bits = 16,
	    .refcount_order = 4,
	    .bytes = 3u << 20 },
	  "qcow2",
	  3u << 20 },
	{ { .version = 3,
	    .cluster_bits = 9,
	    .refcount_order = 4,
	    .bytes = 700u << 10 },
	  NULL,
	  0 },
	{ { .version = 3,
	    .cluster_bits = 9,
	    .refcount_order = 6,
	    .bytes = 300u << 10 },
	  "raw",
	  200u << 10 },
	{ { .version = 3,
	    .cluster_bits = 12,
	    .refcount_order = 0,
	    .bytes = (3u << 20) + 512 },
	  "raw",
	  (3u << 20) + 512 },
	{ { .version = 3,
	    .cluster_bits = 13,
	    .refcount_order = 2,
	    .bytes = 2u << 20 },
	  "qcow2",
	  (1u << 20) + 1536 },
	{ { .version = 3,
	    .cluster_bits = 21,
	    .refcount_order = 5,
	    .bytes = (24u << 20) + 4096 },
	  NULL,
	  0 },
	{ { .version = 2,
	    .cluster_bits = 12,
	    .refcount_order = 4,
	    .bytes = 2u << 20 },
	  NULL,
	  0 },
	{ { .version = 2,
	    .cluster_bits = 14,
	    .refcount_order = 4,
	    .bytes = 2u << 20 },
	  "raw",
	  2u << 20 },
	{ { .version = 3,
	    .cluster_bits = 16,
	    .refcount_order = 4,
	    .is_extended = true,
	    .bytes = 4u << 20 },
	  NULL,
	  0 },
	{ { .version = 3,
	    .cluster_bits = 14,
	    .refcount_order = 4,
	    .is_extended = true,
	    .bytes = (1u << 20) + 512 },
	  "qcow2",
	  1u << 20 },
	{ { .version = 3,
	    .cluster_bits = 21,
	    .refcount_order = 4,
	    .is_extended = true,
	    .bytes = 4u << 20 },
	  NULL,
	  0 },
	{ { .version = 3,
	    .cluster_bits = 16,
	    .refcount_order = 4,
	    .is_lazy = true,
	    .bytes = 1u << 20 },
	  "raw",
	  1u << 20 },
};

struct twin {
	struct qcow2_rig rig;
	struct cold cold; /* each third lookup misses the page cache */
	uint8_t *model, *memory[BATCH_MAX];
	struct disk_try t[BATCH_MAX];
	uint64_t sectors, random, wrote;
	unsigned int step;
};

static uint64_t below(struct twin *w, uint64_t n)
{
	return seeded_next(&w->random) % n;
}

/* --- the image ------------------------------------------------------- */

static void write_file(const struct twin *w, const char *name,
		       const void *bytes, size_t n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->rig.dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* A base with holes, and, made by qemu-img, compressed clusters. */
static void make_base(struct twin *w, const struct shape *s)
{
	uint64_t i, n = s->base_bytes;

	for (i = 0; i < n / SECTOR; i++)
		if (below(w, 4))
			memset(w->model + i * SECTOR, (int)below(w, 256),
			       SECTOR);
	write_file(w, "base.raw", w->model, n);
	if (!strcmp(s->base, "qcow2"))
		IMAGE_MUST(&w->rig,
			   "qemu-img convert -c -O qcow2 -o cluster_size=4k "
			   "base.raw base.qcow2");
}

static void make(struct twin *w, const struct shape *s)
{
	struct qcow2_options o = s->o;
	unsigned int i;

	image_init(&w->rig);
	cold_init(&w->cold, 1 + below(w, UINT32_MAX));
	w->rig.files = &w->cold.disk;
	w->sectors = o.bytes / SECTOR;
	w->model = calloc(1, o.bytes);
	for (i = 0; i < BATCH_MAX; i++)
		w->memory[i] = malloc(o.bytes);
	if (s->base) {
		make_base(w, s);
		o.backing = strcmp(s->base, "raw") ? "base.qcow2" : "base.raw";
		o.backing_format = s->base;
	}
	image_create(&w->rig, "top.qcow2", &o);
	image_open(&w->rig);
}

/* One command of qemu-io, and the same on the model. */
static void scribble(struct twin *w, char *text, size_t n)
{
	static const char *const how[] = { "write -P", "write -P", "write -z",
					   "write -z -u" };
	uint64_t kind = below(w, 4), at = below(w, w->sectors);
	uint64_t count = 1 + below(w, 200);
	int value = kind < 2 ? (int)(1 + below(w, 255)) : 0;

	count = count < w->sectors - at ? count : w->sectors - at;
	at *= SECTOR;
	count *= SECTOR;
	memset(w->model + at, value, count);
	if (value)
		snprintf(text, n, "%s %d %" PRIu64 " %" PRIu64, how[kind],
			 value, at, count);
	else
		snprintf(text, n, "%s %" PRIu64 " %" PRIu64, how[kind], at,
			 count);
}

/* The image goes to QEMU, which writes to it, and comes back. */
static void hand_over(struct twin *w)
{
	char text[3][64];
	unsigned int i;

	for (i = 0; i < 3; i++)
		scribble(w, text[i], sizeof(text[i]));
	IMAGE_MUST(&w->rig,
		   "qemu-io -f qcow2 -c '%s' -c '%s' -c '%s' top.qcow2",
		   text[0], text[1], text[2]);
}

static void judge(struct twin *w)
{
	image_close(&w->rig);
	image_is_clean(&w->rig);
	if (below(w, 4))
		hand_over(w);
	write_file(w, "model.raw", w->model, w->sectors * SECTOR);
	IMAGE_MUST(&w->rig,
		   "qemu-img compare -f qcow2 -F raw top.qcow2 model.raw");
	image_open(&w->rig);
}

static void unmake(struct twin *w)
{
	unsigned int i;

	image_fini(&w->rig);
	free(w->model);
	for (i = 0; i < BATCH_MAX; i++)
		free(w->memory[i]);
}

/* --- requests -------------------------------------------------------- */

/* A request that shares no sector with those before it, or none. */
static bool choose(struct twin *w, unsigned int i)
{
	uint64_t at = below(w, w->sectors), n, k;
	static const uint64_t lengths[] = { 1, 8, 8, 16, 130, 400, 3000 };
	unsigned int j;

	n = 1 + below(w, lengths[below(w, 7)]);
	if (!below(w, 3))
		at &= ~UINT64_C(7);
	n = n > w->sectors - at ? w->sectors - at : n;
	for (j = 0; j < i; j++) {
		k = w->t[j].r.offset / SECTOR;
		if (at < k + w->t[j].r.bytes / SECTOR && k < at + n)
			return false;
	}
	rig_make(&w->t[i], DISK_READ, at * SECTOR, w->memory[i], n * SECTOR);
	return true;
}

static void fill(struct twin *w, unsigned int i)
{
	uint64_t *p = (uint64_t *)(void *)w->memory[i];
	uint64_t k, n = w->t[i].r.bytes / 8;

	w->wrote++;
	for (k = 0; k < n; k++)
		p[k] = w->wrote << 32 | (w->t[i].r.offset / 8 + k);
}

static void submit(struct twin *w, unsigned int i)
{
	struct disk_request *r = &w->t[i].r;

	switch (below(w, 10)) {
	case 0:
		r->op = DISK_DISCARD;
		break;
	case 1:
		r->op = DISK_ZERO;
		r->may_unmap = below(w, 2);
		break;
	case 2:
	case 3:
	case 4:
		break;
	default:
		r->op = DISK_WRITE;
		r->durable = !below(w, 8);
		fill(w, i);
	}
	disk_submit(w->rig.disk, r);
}

static void compare(struct twin *w, const struct disk_request *r,
		    const uint8_t *found, bool zero_is_fine)
{
	uint64_t at, end = r->offset + r->bytes;

	for (at = r->offset; at < end; at += SECTOR, found += SECTOR) {
		if (!memcmp(found, w->model + at, SECTOR))
			continue;
		ck_assert_msg(zero_is_fine && rig_is_zero(found, SECTOR),
			      "step %u: sector %llu differs", w->step,
			      (unsigned long long)(at / SECTOR));
		memset(w->model + at, 0, SECTOR);
	}
}

static void check_one(struct twin *w, unsigned int i)
{
	struct disk_request *r = &w->t[i].r;

	ck_assert_int_eq(w->t[i].calls, 1);
	ck_assert_int_eq(w->t[i].error, 0);
	switch (r->op) {
	case DISK_WRITE:
		memcpy(w->model + r->offset, w->memory[i], r->bytes);
		break;
	case DISK_ZERO:
		memset(w->model + r->offset, 0, r->bytes);
		break;
	case DISK_DISCARD:
		ck_assert_int_eq(image_do(&w->rig, DISK_READ, r->offset,
					  w->memory[i], r->bytes),
				 0);
		compare(w, r, w->memory[i], true);
		break;
	default:
		compare(w, r, w->memory[i], false);
	}
}

/* The file as a kill would leave it, just after a flush was acknowledged. */
static void look_as_if_killed(const struct twin *w)
{
	IMAGE_MUST(&w->rig, "cp top.qcow2 dead.qcow2; "
			    "qemu-img check dead.qcow2; test $? = 0 -o $? = 3");
}

static void batch(struct twin *w)
{
	unsigned int n = 0, want = 1 + (unsigned int)below(w, BATCH_MAX), i;
	struct disk_try flush;
	uint64_t flush_at;

	for (i = 0; i < want; i++)
		if (choose(w, n))
			n++;
	/* In the middle of them, so that writes come while it is under way. */
	rig_make(&flush, DISK_FLUSH, 0, NULL, 0);
	flush_at = below(w, 3 * BATCH_MAX);
	for (i = 0; i < n; i++) {
		if (i == flush_at)
			disk_submit(w->rig.disk, &flush.r);
		submit(w, i);
		if (!below(w, 4))
			ck_assert_int_ge(ioq_run(w->rig.q, 0), 0);
	}
	while (flush_at < n && !flush.calls)
		ck_assert_int_ge(ioq_run(w->rig.q, NS_PER_S), 0);
	if (flush_at < n && !below(w, 15))
		look_as_if_killed(w);
	image_run(&w->rig);
	for (i = 0; i < n; i++)
		check_one(w, i);
}

static void live(const struct shape *s, uint64_t seed, enum ioq_engine engine,
		 uint64_t steps)
{
	struct twin w = { .random = seeded_start(seed) };

	make(&w, s);
	if (engine == IOQ_AUTO) {
		image_close(&w.rig);
		w.rig.engine = engine;
		image_open(&w.rig);
	}
	for (w.step = 0; w.step < steps; w.step++) {
		batch(&w);
		if (!below(&w, 150))
			judge(&w);
	}
	judge(&w);
	unmake(&w);
}

START_TEST(an_image_is_what_was_written_to_it)
{
	uint64_t seed = seeded_setting("TWIN_SEED", 1);
	uint64_t steps = seeded_setting("TWIN_STEPS", 150);

	live(&shapes[_i / 2], seed + (uint64_t)_i, _i % 2 ? IOQ_AUTO : IOQ_SYNC,
	     steps);
}
END_TEST

/* While a flush writes refcount blocks, more of them come. */
START_TEST(blocks_that_come_during_a_flush_are_there_before_they_are_named)
{
	const struct qcow2_options o = { .version = 3,
					 .cluster_bits = 9,
					 .refcount_order = 4,
					 .bytes = 2u << 20 };
	struct twin w = { .random = 1 };
	struct disk_try first, flush, more[5];
	unsigned int i;
	static uint8_t memory[1u << 20];

	image_init(&w.rig);
	image_create(&w.rig, "top.qcow2", &o);
	image_open(&w.rig);
	rig_make(&first, DISK_WRITE, 0, memory, 200u << 10);
	disk_submit(w.rig.disk, &first.r);
	image_run(&w.rig);
	rig_make(&flush, DISK_FLUSH, 0, NULL, 0);
	disk_submit(w.rig.disk, &flush.r);
	for (i = 0; i < 5; i++) {
		rig_make(&more[i], DISK_WRITE, (1u << 20) + (i << 17), memory,
			 100u << 10);
		disk_submit(w.rig.disk, &more[i].r);
	}
	while (!flush.calls)
		ck_assert_int_ge(ioq_run(w.rig.q, NS_PER_S), 0);
	look_as_if_killed(&w);
	image_run(&w.rig);
	image_close(&w.rig);
	image_is_clean(&w.rig);
	image_fini(&w.rig);
}
END_TEST

/* Subclusters of one cluster: one is there, the one before it is not. */
START_TEST(a_write_beside_a_new_subcluster_is_not_undone)
{
	const struct qcow2_options o = { .version = 3,
					 .cluster_bits = 21,
					 .refcount_order = 4,
					 .is_extended = true,
					 .bytes = 4u << 20 };
	static uint8_t old[1u << 16], small[4096], large[68u << 10];
	struct disk_try in_place, anew;
	struct qcow2_rig rig;

	image_init(&rig);
	image_create(&rig, "top.qcow2", &o);
	image_open(&rig);
	memset(old, 'A', sizeof(old));
	memset(small, 'C', sizeof(small));
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 65536, old, sizeof(old)),
			 0);
	rig_make(&in_place, DISK_WRITE, 65536 + 8192, small, sizeof(small));
	disk_submit(rig.disk, &in_place.r);
	rig_make(&anew, DISK_WRITE, 0, large, sizeof(large));
	disk_submit(rig.disk, &anew.r);
	image_run(&rig);
	ck_assert_int_eq(in_place.error + anew.error, 0);
	ck_assert_int_eq(image_do(&rig, DISK_READ, 65536 + 8192, old, 4096), 0);
	ck_assert_mem_eq(old, small, 4096);
	image_close(&rig);
	image_is_clean(&rig);
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const others[] = {
		blocks_that_come_during_a_flush_are_there_before_they_are_named,
		a_write_beside_a_new_subcluster_is_not_undone,
	};

	return seeded_run("qcow2_twin",
			  (double)seeded_setting("TWIN_STEPS", 60) + 60,
			  an_image_is_what_was_written_to_it,
			  2 * sizeof(shapes) / sizeof(shapes[0]), others, 2);
}
