/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject FILE thread|interrupt read|write DEPTH SECONDS: the block device
 * (cache=none) without a guest: random 4 KiB requests are put into its queue
 * in memory of our own. The driver is a thread that looks at the used ring
 * (thread), as a CPU of a guest would, or the interrupt itself (interrupt):
 * that one runs on the device's thread, so nobody has to be woken up. Prints
 * operations=N ns=N kicks=N cpu_ns=N (of the whole process).
 */
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "devices/vblk.h"
#include "tests/unit/virtio_rig.h"

#define BLOCK	  4096u
#define DEPTH_MAX 60u
#define SIZE	  256 /* entries; three for each request */
#define SLOT	  0x2000u
#define EVENT_IDX (1ULL << 29)
#define NEVER	  0x8000u
#define FLUSH	  (1ULL << 9)

static struct {
	struct rig rig;
	struct vblk *blk;
	bool by_interrupt;
	uint32_t type;
	unsigned int depth;
	uint64_t blocks, seed, end_ns, last_ns;
	_Atomic uint64_t begun, done;
	uint64_t kicks, failed;
} job = { .seed = 88172645463325252 };

static uint64_t draw(void)
{
	job.seed ^= job.seed << 13;
	job.seed ^= job.seed >> 7;
	job.seed ^= job.seed << 17;
	return job.seed;
}

static uint64_t slot_gpa(unsigned int n)
{
	return RIG_DATA + n * SLOT;
}

static uint16_t load(uint64_t gpa)
{
	return __atomic_load_n((uint16_t *)(void *)(job.rig.ram + gpa),
			       __ATOMIC_SEQ_CST);
}

static void store(uint64_t gpa, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)(job.rig.ram + gpa), value,
			 __ATOMIC_SEQ_CST);
}

/* The descriptors never change: head 3n is request n. */
static void put_chain(unsigned int n)
{
	uint64_t gpa = slot_gpa(n);
	uint16_t at = (uint16_t)(3 * n), writes = job.type ? 0 : RIG_WRITE;

	rig_put_desc(&job.rig, rig_desc(0), at, gpa, 16, RIG_NEXT,
		     (uint16_t)(at + 1));
	rig_put_desc(&job.rig, rig_desc(0), (uint16_t)(at + 1), gpa + 0x1000,
		     BLOCK, RIG_NEXT | writes, (uint16_t)(at + 2));
	rig_put_desc(&job.rig, rig_desc(0), (uint16_t)(at + 2), gpa + 16, 1,
		     RIG_WRITE, 0);
	put_le32(job.rig.ram + gpa, job.type);
}

static void begin(unsigned int n)
{
	put_le64(job.rig.ram + slot_gpa(n) + 8,
		 draw() % job.blocks * (BLOCK / 512));
	rig_offer(&job.rig, 0, (uint16_t)(3 * n));
	job.begun++;
}

/* Kicks when the device asked for it with one of the last (2.7.10). */
static void kick_for(uint16_t old)
{
	uint16_t now = job.rig.queue[0].avail_idx;
	uint16_t event = load(rig_used(0) + 4 + 8 * SIZE);

	if ((uint16_t)(now - event - 1) >= (uint16_t)(now - old))
		return;
	job.kicks++;
	virtio_kick(vblk_virtio(job.blk), 0);
}

/* Takes all answers and asks for as much again, until the time is over. */
static void work(void)
{
	uint16_t old = job.rig.queue[0].avail_idx;
	unsigned int taken = 0;
	uint32_t head;

	while (rig_take(&job.rig, 0, &head, NULL)) {
		if (job.rig.ram[slot_gpa(head / 3) + 16])
			job.failed++;
		taken++;
		if (job.last_ns < job.end_ns)
			begin(head / 3);
	}
	store(rig_avail(0) + 4 + 2 * SIZE,
	      (uint16_t)(job.rig.queue[0].used_idx +
			 (job.by_interrupt ? 0 : NEVER)));
	if (!taken)
		return;
	job.last_ns = clock_mono_ns();
	if (job.rig.queue[0].avail_idx != old)
		kick_for(old);
	job.done += taken;
}

static void on_irq(void *ctx, uint32_t gsi, bool level)
{
	(void)ctx;
	(void)gsi;
	if (level && job.by_interrupt)
		work();
}

static int make(const char *path)
{
	struct disk_config dc = { .path = path,
				  .format = DISK_RAW,
				  .cache = DISK_DIRECT };
	struct vblk_config vc = { .virtio = rig_config(&job.rig, "disk0"),
				  .serial = "INJECT",
				  .queues = 1 };
	struct err e = ERR_NONE;

	vc.virtio.irq.set = on_irq;
	if (disk_open(&vc.disk, &dc, &e) || vblk_create(&job.blk, &vc, &e) ||
	    vblk_start(job.blk, &e)) {
		fprintf(stderr, "inject: %s\n", e.text);
		return 1;
	}
	job.blocks = disk_get_info(vc.disk)->bytes / BLOCK;
	job.rig.device = &vblk_virtio(job.blk)->device;
	rig_start(&job.rig, EVENT_IDX | FLUSH, 1, SIZE);
	return job.blocks == 0;
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

static void measure(uint64_t seconds)
{
	uint64_t start, cpu;
	unsigned int n;

	for (n = 0; n < job.depth; n++)
		put_chain(n);
	store(rig_avail(0) + 4 + 2 * SIZE, job.by_interrupt ? 0 : NEVER);
	cpu = cpu_ns();
	start = job.last_ns = clock_mono_ns();
	job.end_ns = start + seconds * NS_PER_S;
	for (n = 0; n < job.depth; n++)
		begin(n);
	virtio_kick(vblk_virtio(job.blk), 0);
	while (job.done < job.begun) {
		if (job.by_interrupt)
			nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
		else
			work();
		__builtin_ia32_pause();
	}
	printf("operations=%llu ns=%llu kicks=%llu cpu_ns=%llu\n",
	       (unsigned long long)job.done,
	       (unsigned long long)(job.last_ns - start),
	       (unsigned long long)job.kicks,
	       (unsigned long long)(cpu_ns() - cpu));
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;
	job.by_interrupt = !strcmp(argv[2], "interrupt");
	job.type = !strcmp(argv[3], "write");
	job.depth = (unsigned int)strtoul(argv[4], NULL, 10);
	if (job.depth == 0 || job.depth > DEPTH_MAX)
		return 2;
	rig_init(&job.rig);
	if (make(argv[1]))
		return 1;
	measure(strtoull(argv[5], NULL, 10));
	vblk_destroy(job.blk);
	rig_fini(&job.rig);
	if (job.failed)
		fprintf(stderr, "inject: %llu requests failed\n",
			(unsigned long long)job.failed);
	return job.failed > 0;
}
