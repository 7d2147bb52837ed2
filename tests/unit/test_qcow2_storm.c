/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight workers on one image, each in a range of its own that shares clusters
 * with its neighbours': every one begins its next request when the last is
 * over, so that discards, flushes and allocations meet in every order.
 * STORM_STEPS: of each worker.
 */
#include "tests/unit/qcow2_rig.h"
#include "tests/unit/seeded.h"

#define SECTOR 512u

#define WORKERS 8
#define WORKER_BYTES \
	(192u << 10) /* no multiple of a cluster: they share some */

struct worker {
	struct disk_request r; /* first: done() gets it */
	struct iovec iov;
	struct storm *storm;
	uint8_t *model, *memory;
	uint64_t left, from, value;
	bool looks; /* at what a discard left: the old, or zeroes */
};

struct storm {
	struct qcow2_rig rig;
	struct worker worker[WORKERS];
	uint64_t random;
	unsigned int busy;
};

static void work_on(struct worker *k);

static void look(struct worker *k, const struct disk_request *r, uint64_t at,
		 uint64_t i)
{
	if (k->looks && rig_is_zero(k->memory + i, SECTOR))
		memset(k->model + at + i, 0, SECTOR);
	if (memcmp(k->memory + i, k->model + at + i, SECTOR))
		ck_abort_msg("sector %llu differs",
			     (unsigned long long)(r->offset + i) / SECTOR);
}

static void worked(struct disk_request *r, int error)
{
	struct worker *k = (struct worker *)r;
	uint64_t at = r->offset - k->from, i;

	ck_assert_int_eq(error, 0);
	if (r->op == DISK_READ)
		for (i = 0; i < r->bytes; i += SECTOR)
			look(k, r, at, i);
	else if (r->op == DISK_WRITE)
		memcpy(k->model + at, k->memory, r->bytes);
	else if (r->op == DISK_ZERO)
		memset(k->model + at, 0, r->bytes);
	k->looks = r->op == DISK_DISCARD;
	if (k->looks) {
		r->op = DISK_READ;
		disk_submit(k->storm->rig.disk, r);
		return;
	}
	work_on(k);
}

/* One request after the other, each as soon as the last one is done. */
static void work_on(struct worker *k)
{
	static const enum disk_op ops[] = { DISK_WRITE, DISK_WRITE,
					    DISK_WRITE, DISK_DISCARD,
					    DISK_ZERO,	DISK_FLUSH,
					    DISK_READ,	DISK_READ };
	uint64_t n = WORKER_BYTES / SECTOR, *random = &k->storm->random;
	uint64_t at = seeded_next(random) % n, count, i;

	if (!k->left--) {
		k->storm->busy--;
		return;
	}
	count = 1 + seeded_next(random) % (seeded_next(random) % 4 ? 16 : 200);
	count = count < n - at ? count : n - at;
	k->r = (struct disk_request){
		.op = ops[seeded_next(random) % 8],
		.offset = k->from + at * SECTOR,
		.bytes = count * SECTOR,
		.iov = &k->iov,
		.iovs = 1,
		.durable = seeded_next(random) % 8 == 0,
		.may_unmap = seeded_next(random) % 2,
		.done = worked,
	};
	if (k->r.op == DISK_FLUSH)
		k->r.offset = k->r.bytes = 0;
	k->iov = (struct iovec){ k->memory, k->r.bytes };
	k->value++;
	for (i = 0; k->r.op == DISK_WRITE && i < k->r.bytes; i++)
		k->memory[i] = (uint8_t)(k->value + i / SECTOR);
	disk_submit(k->storm->rig.disk, &k->r);
}

static void begin_storm(struct storm *s, uint64_t steps)
{
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		struct worker *k = &s->worker[i];

		k->storm = s;
		k->from = (uint64_t)i * WORKER_BYTES;
		k->left = steps;
		k->value = i * 100;
		k->model = calloc(1, WORKER_BYTES);
		k->memory = calloc(1, WORKER_BYTES);
		s->busy++;
		work_on(k);
	}
}

static void end_storm(struct storm *s)
{
	char path[128];
	unsigned int i;
	int fd;

	image_close(&s->rig);
	image_is_clean(&s->rig);
	snprintf(path, sizeof(path), "%s/model.raw", s->rig.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(write(fd, s->worker[i].model, WORKER_BYTES),
				 WORKER_BYTES);
		free(s->worker[i].model);
		free(s->worker[i].memory);
	}
	close(fd);
	IMAGE_MUST(&s->rig,
		   "qemu-img compare -f qcow2 -F raw top.qcow2 model.raw");
	image_fini(&s->rig);
}

/* Others lost data exactly here: discards, flushes and allocations at once. */
START_TEST(eight_workers_find_what_they_wrote)
{
	static const uint32_t bits[] = { 9, 12, 16, 16 };
	const struct qcow2_options o = {
		.version = 3,
		.cluster_bits = bits[_i / 2],
		.refcount_order = 4,
		.is_extended = _i / 2 == 3,
		.bytes = WORKERS * WORKER_BYTES,
	};
	struct storm s = { .random = seeded_start((uint64_t)_i + 77) };

	image_init(&s.rig);
	s.rig.engine = _i % 2 ? IOQ_AUTO : IOQ_SYNC;
	image_create(&s.rig, "top.qcow2", &o);
	image_open(&s.rig);
	begin_storm(&s, seeded_setting("STORM_STEPS", 100));
	while (s.busy)
		ck_assert_int_ge(ioq_run(s.rig.q, 10 * NS_PER_S), 0);
	end_storm(&s);
}
END_TEST

int main(void)
{
	return seeded_run("qcow2_storm",
			  (double)seeded_setting("STORM_STEPS", 100) + 100,
			  eight_workers_find_what_they_wrote, 8, NULL, 0);
}
