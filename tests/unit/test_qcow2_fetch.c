/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and compressed clusters that are not in the page cache: the request
 * that needs them waits, the thread does not, and nobody else does.
 */
#include <sys/stat.h>

#include "tests/unit/cold_ops.h"
#include "tests/unit/qcow2_rig.h"

#define CLUSTER 65536u
#define DISK	(16u * CLUSTER)
#define PACKED	(3u * CLUSTER)	/* a place that is compressed in the base */
#define PLAIN	(9u * CLUSTER)	/* one that the top has */
#define HOLE	(12u * CLUSTER) /* one that nobody has */

struct fetching {
	struct qcow2_rig rig;
	struct cold cold;
	uint8_t *base, *memory;
};

/* A compressed base, and a top that has one cluster. */
static void setup(struct fetching *f, const char *cluster_size)
{
	const struct qcow2_options o = { .version = 3,
					 .cluster_bits = 16,
					 .refcount_order = 4,
					 .bytes = DISK,
					 .backing = "base.qcow2",
					 .backing_format = "qcow2" };
	char path[128];
	int fd;

	image_init(&f->rig);
	f->base = malloc(DISK);
	f->memory = malloc(DISK);
	memset(f->base, 'b', DISK);
	rig_fill(f->base + PACKED, 4096, 7);
	memset(f->base + HOLE, 0, CLUSTER);
	snprintf(path, sizeof(path), "%s/base.raw", f->rig.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, f->base, DISK), DISK);
	close(fd);
	IMAGE_MUST(&f->rig,
		   "qemu-img convert -c -O qcow2 -o cluster_size=%s base.raw "
		   "base.qcow2",
		   cluster_size);
	image_create(&f->rig, "top.qcow2", &o);
	image_open(&f->rig);
	memset(f->base + PLAIN, 'p', CLUSTER);
	ck_assert_int_eq(
		image_do(&f->rig, DISK_WRITE, PLAIN, f->base + PLAIN, CLUSTER),
		0);
	image_close(&f->rig);
	cold_init(&f->cold, 0);
	f->rig.files = &f->cold.disk;
	f->rig.ops = &f->cold.queue;
	image_open(&f->rig);
	f->cold.waited = 0; /* opening reads headers */
}

static void teardown(struct fetching *f)
{
	image_fini(&f->rig);
	free(f->base);
	free(f->memory);
}

static int do_read(struct fetching *f, uint64_t at, size_t bytes)
{
	memset(f->memory, 0xee, bytes);
	return image_do(&f->rig, DISK_READ, at, f->memory, bytes);
}

START_TEST(what_is_not_cached_is_read_by_the_queue)
{
	struct fetching f;

	setup(&f, "64k");
	ck_assert_int_eq(do_read(&f, 0, DISK), 0);
	ck_assert_mem_eq(f.memory, f.base, DISK);
	ck_assert_uint_eq(f.cold.waited, 0);
	/* The top's table, the base's, and each cluster but two. */
	ck_assert_uint_eq(f.cold.missed, 1 + 1 + 14);
	/* All of it is known now, or was read. */
	ck_assert_int_eq(do_read(&f, 0, DISK), 0);
	ck_assert_mem_eq(f.memory, f.base, DISK);
	ck_assert_uint_eq(f.cold.waited, 0);
	ck_assert_uint_eq(f.cold.missed, 16);
	teardown(&f);
}
END_TEST

START_TEST(nobody_else_waits_for_what_is_not_cached)
{
	static uint8_t other[4096];
	struct disk_try cold, quick;
	struct fetching f;

	setup(&f, "64k");
	ck_assert_int_eq(do_read(&f, PLAIN, 4096), 0);
	rig_make(&cold, DISK_READ, PACKED, f.memory, 4096);
	rig_make(&quick, DISK_READ, PLAIN, other, 4096);
	disk_submit(f.rig.disk, &cold.r);
	disk_submit(f.rig.disk, &quick.r);
	while (!quick.calls)
		ck_assert_int_ge(ioq_run(f.rig.q, NS_PER_S), 0);
	ck_assert_int_eq(cold.calls, 0);
	ck_assert_mem_eq(other, f.base + PLAIN, 4096);
	image_run(&f.rig);
	ck_assert_int_eq(cold.calls, 1);
	ck_assert_int_eq(cold.error, 0);
	ck_assert_mem_eq(f.memory, f.base + PACKED, 4096);
	ck_assert_uint_eq(f.cold.waited, 0);
	teardown(&f);
}
END_TEST

/* What is around the write is fetched, unpacked and written with it. */
START_TEST(a_write_fetches_what_is_around_it)
{
	struct fetching f;

	setup(&f, "64k");
	ck_assert_int_eq(image_do(&f.rig, DISK_WRITE, PLAIN + CLUSTER,
				  f.base + PLAIN, CLUSTER),
			 0); /* so that the refcounts are in memory */
	memcpy(f.base + PLAIN + CLUSTER, f.base + PLAIN, CLUSTER);
	f.cold.waited = f.cold.missed = 0;
	rig_fill(f.memory, 4096, 99);
	memcpy(f.base + PACKED + 8192, f.memory, 4096);
	ck_assert_int_eq(
		image_do(&f.rig, DISK_WRITE, PACKED + 8192, f.memory, 4096), 0);
	ck_assert_uint_eq(f.cold.waited, 0);
	ck_assert_uint_ge(f.cold.missed, 2);
	ck_assert_int_eq(do_read(&f, 0, DISK), 0);
	ck_assert_mem_eq(f.memory, f.base, DISK);
	image_close(&f.rig);
	image_is_clean(&f.rig);
	teardown(&f);
}
END_TEST

static void fails_once(struct fetching *f, enum disk_op op)
{
	f->cold.error = EIO;
	memset(f->memory, 0, 4096);
	ck_assert_int_eq(image_do(&f->rig, op, PACKED, f->memory, 4096), -EIO);
	ck_assert_int_eq(f->cold.error, 0);
	ck_assert_int_eq(do_read(f, PACKED, 4096), 0);
	ck_assert_mem_eq(f->memory, f->base + PACKED, 4096);
}

START_TEST(an_error_of_a_fetch_is_the_request_s)
{
	struct fetching f;

	setup(&f, "64k");
	fails_once(&f, DISK_READ);
	teardown(&f);
	setup(&f, "64k");
	fails_once(&f, DISK_WRITE);
	image_close(&f.rig);
	image_is_clean(&f.rig);
	teardown(&f);
}
END_TEST

/* It waits in the end, rather than to fetch for ever. */
START_TEST(what_is_evicted_at_once_is_read_all_the_same)
{
	struct fetching f;

	setup(&f, "64k");
	f.cold.forgets = true;
	ck_assert_int_eq(do_read(&f, PACKED, 4096), 0);
	ck_assert_mem_eq(f.memory, f.base + PACKED, 4096);
	ck_assert_uint_ge(f.cold.waited, 1);
	teardown(&f);
}
END_TEST

/* preadv2(2), BUGS. */
START_TEST(an_end_that_is_none_is_looked_at_again)
{
	struct fetching f;

	setup(&f, "64k");
	f.cold.ends_early = true;
	ck_assert_int_eq(do_read(&f, 0, DISK), 0);
	ck_assert(!f.cold.ends_early);
	ck_assert_mem_eq(f.memory, f.base, DISK);
	teardown(&f);
}
END_TEST

/* Nothing is behind it, so that the rest of its cluster is not written. */
START_TEST(a_write_that_has_to_fetch_takes_no_more_than_others)
{
	struct fetching f;
	struct stat before, after;

	setup(&f, "64k");
	ck_assert_int_eq(stat(f.rig.path, &before), 0);
	rig_fill(f.memory, 4096, 5);
	ck_assert_int_eq(
		image_do(&f.rig, DISK_WRITE, HOLE + 4096, f.memory, 4096), 0);
	ck_assert_uint_ge(f.cold.missed, 2);
	ck_assert_int_eq(stat(f.rig.path, &after), 0);
	ck_assert_int_le(after.st_blocks - before.st_blocks, 8);
	teardown(&f);
}
END_TEST

/* Tables of 2 MiB: four of them at once, for whoever else comes it blocks. */
START_TEST(what_is_fetched_at_once_is_bounded)
{
	struct disk_try t[8];
	struct fetching f;
	unsigned int i;

	setup(&f, "2M");
	ck_assert_int_eq(do_read(&f, PLAIN, 4096), 0);
	f.cold.missed = 0;
	for (i = 0; i < 8; i++) {
		rig_make(&t[i], DISK_READ, i * CLUSTER, f.memory + i * CLUSTER,
			 4096);
		disk_submit(f.rig.disk, &t[i].r);
	}
	ck_assert_uint_eq(f.cold.missed, 4);
	image_run(&f.rig);
	for (i = 0; i < 8; i++) {
		ck_assert_int_eq(t[i].error, 0);
		ck_assert_mem_eq(f.memory + i * CLUSTER, f.base + i * CLUSTER,
				 4096);
	}
	teardown(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_not_cached_is_read_by_the_queue,
		nobody_else_waits_for_what_is_not_cached,
		a_write_fetches_what_is_around_it,
		an_error_of_a_fetch_is_the_request_s,
		what_is_evicted_at_once_is_read_all_the_same,
		an_end_that_is_none_is_looked_at_again,
		a_write_that_has_to_fetch_takes_no_more_than_others,
		what_is_fetched_at_once_is_bounded,
	};

	return SUITE_RUN("qcow2_fetch", tests);
}
