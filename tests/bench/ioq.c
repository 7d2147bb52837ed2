/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of the queue of file operations (docs/decisions/0010): random
 * 4 KiB operations on a file, by engine and kind.
 *
 *	ioq FILE BYTES: makes FILE and measures on it
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/disk.h"

#define BLOCK	  4096
#define DEPTH_MAX 64

struct slot {
	struct io io;
	struct iovec iov;
};

static struct slot slots[DEPTH_MAX];
static uint8_t memory[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
static struct ioq *q;
static uint64_t blocks, left;
static uint64_t seed = 88172645463325252;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void next(struct io *io, int error)
{
	if (error) {
		fprintf(stderr, "ioq: %s\n", strerror(-error));
		exit(1);
	}
	if (!left)
		return;
	left--;
	io->offset = draw() % blocks * BLOCK;
	ioq_submit(q, io);
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

static void measure(const char *what, const struct io *form,
		    enum ioq_engine engine, unsigned int depth, uint64_t count)
{
	uint64_t start, cpu, ns;
	struct err e = ERR_NONE;
	unsigned int i;

	if (ioq_open(&q, engine, depth, NULL, &e)) {
		printf("%s: %s\n", what, e.text);
		return;
	}
	left = count;
	cpu = cpu_ns();
	start = clock_mono_ns();
	for (i = 0; i < depth; i++) {
		slots[i].iov.iov_base = memory[i];
		slots[i].iov.iov_len = BLOCK;
		slots[i].io = *form;
		slots[i].io.bytes = BLOCK;
		slots[i].io.iov = &slots[i].iov;
		slots[i].io.iovs = 1;
		slots[i].io.done = next;
		next(&slots[i].io, 0);
	}
	while (ioq_in_flight(q))
		if (ioq_run(q, IOQ_FOREVER) < 0)
			exit(1);
	ns = clock_mono_ns() - start;
	printf("%-28s depth %2u  %8.2f us each  %8.2f us CPU\n", what, depth,
	       (double)ns / (double)count / NS_PER_US,
	       (double)(cpu_ns() - cpu) / (double)count / NS_PER_US);
	fflush(stdout);
	ioq_close(q);
}

/* form.direct keeps a buffered operation out of the inline path. */
static void both_depths(const char *what, struct io form,
			enum ioq_engine engine, uint64_t count)
{
	measure(what, &form, engine, 1, count);
	measure(what, &form, engine, 32, count);
}

static void make_file(int fd)
{
	uint64_t at;

	memset(memory, 0x5a, sizeof(memory));
	for (at = 0; at < blocks * BLOCK; at += sizeof(memory))
		if (pwrite(fd, memory, sizeof(memory), (off_t)at) !=
		    sizeof(memory))
			exit(1);
	fsync(fd);
}

static void measure_buffered(int fd)
{
	struct io form = { .op = IO_READ, .fd = fd };

	both_depths("cached read, inline", form, IOQ_URING, 200000);
	both_depths("cached read, synchronous", form, IOQ_SYNC, 200000);
	form.direct = true;
	both_depths("cached read, ring", form, IOQ_URING, 200000);
	form.op = IO_WRITE;
	both_depths("(all pages become dirty)", form, IOQ_SYNC, 500000);
	both_depths("buffered write, ring", form, IOQ_URING, 50000);
	form.direct = false;
	both_depths("buffered write, tried", form, IOQ_URING, 50000);
	both_depths("buffered write, synchronous", form, IOQ_SYNC, 50000);
	fsync(fd);
}

static void measure_uncached(int fd)
{
	struct io form = { .op = IO_READ, .fd = fd };
	int i;

	for (i = 0; i < 4; i++) {
		form.direct = i >= 2;
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		measure(form.direct ? "uncached read, ring"
				    : "uncached read, inline first",
			&form, IOQ_URING, i % 2 ? 32 : 1, 4000);
	}
}

/* --- durable writes of a disk: a write, and a sync that is shared ---- */

static struct disk_request requests[DEPTH_MAX];
static struct iovec pieces[DEPTH_MAX];

static void next_request(struct disk_request *r, int error)
{
	if (error)
		exit(1);
	if (!left)
		return;
	left--;
	r->offset = draw() % blocks * BLOCK;
	disk_submit(r->disk, r);
}

static void measure_disk(struct disk *d, unsigned int depth, uint64_t count)
{
	uint64_t start;
	unsigned int i;

	if (ioq_open(&q, IOQ_URING, depth, NULL, NULL))
		return;
	disk_attach(d, q);
	left = count;
	start = clock_mono_ns();
	for (i = 0; i < depth; i++) {
		pieces[i] = (struct iovec){ memory[i], BLOCK };
		requests[i] = (struct disk_request){ .op = DISK_WRITE,
						     .bytes = BLOCK,
						     .iov = &pieces[i],
						     .iovs = 1,
						     .durable = true,
						     .disk = d,
						     .done = next_request };
		next_request(&requests[i], 0);
	}
	while (ioq_in_flight(q))
		if (ioq_run(q, IOQ_FOREVER) < 0)
			exit(1);
	printf("%-28s depth %2u  %8.2f us each\n", "durable write, shared sync",
	       depth,
	       (double)(clock_mono_ns() - start) / (double)count / NS_PER_US);
	ioq_close(q);
}

static void measure_shared_sync(const char *path)
{
	const struct disk_config config = { .path = path, .format = DISK_RAW };
	struct disk *d;

	if (disk_open(&d, &config, NULL))
		return;
	measure_disk(d, 1, 2000);
	measure_disk(d, 32, 2000);
	disk_close(d);
}

static void measure_durable(int fd)
{
	struct io form = { .op = IO_WRITE, .fd = fd, .durable = true };

	both_depths("durable write (RWF_DSYNC)", form, IOQ_URING, 2000);
}

static void measure_direct(const char *path)
{
	struct io form = { .op = IO_READ, .direct = true };

	form.fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (form.fd < 0)
		return;
	both_depths("direct read, ring", form, IOQ_URING, 4000);
	both_depths("direct read, synchronous", form, IOQ_SYNC, 4000);
	form.op = IO_WRITE;
	both_depths("direct write, ring", form, IOQ_URING, 4000);
	close(form.fd);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 2;
	blocks = strtoull(argv[2], NULL, 10) / BLOCK;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || blocks < DEPTH_MAX)
		return 2;
	make_file(fd);
	measure_buffered(fd);
	measure_uncached(fd);
	measure_durable(fd);
	measure_shared_sync(argv[1]);
	measure_direct(argv[1]);
	close(fd);
	unlink(argv[1]);
	return 0;
}
