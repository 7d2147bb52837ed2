/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay DIR BYTES LAYERS: layers put on a disk of so many bytes, one after
 * the other, then the chain opened anew. Prints JSON: the median of the pushes
 * without their syncs, of their preparation, and the last opening.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/disk.h"
#include "disk/overlay.h"

static uint64_t in_syncs;

static int timed_sync(void *ctx, int fd)
{
	uint64_t began = clock_mono_ns();
	int r = file_ops_real.fdatasync(ctx, fd);

	in_syncs += clock_mono_ns() - began;
	return r;
}

static void fail(const struct err *e)
{
	fprintf(stderr, "%s\n", e->text);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

static void done(struct disk_request *r, int error)
{
	(void)r;
	if (error)
		exit(1);
}

/* So that there is something to flush. */
static void scribble(struct disk *d, struct ioq *q, unsigned int i)
{
	static uint8_t memory[65536];
	const struct iovec iov = { memory, sizeof(memory) };
	struct disk_request r = { .op = DISK_WRITE,
				  .offset = (uint64_t)i << 20,
				  .bytes = sizeof(memory),
				  .iov = &iov,
				  .iovs = 1,
				  .done = done };

	memset(memory, (int)i + 1, sizeof(memory));
	disk_submit(d, &r);
	while (ioq_in_flight(q))
		if (ioq_run(q, IOQ_FOREVER) < 0)
			exit(1);
}

static double open_again(const char *path)
{
	const struct disk_config c = { .path = path, .format = DISK_QCOW2 };
	uint64_t began = clock_mono_ns();
	struct err e = ERR_NONE;
	struct disk *d;

	if (disk_open(&d, &c, &e))
		fail(&e);
	began = clock_mono_ns() - began;
	disk_close(d);
	return (double)began / 1e3;
}

int main(int argc, char **argv)
{
	struct file_ops ops = file_ops_real;
	struct disk_config c = { .format = DISK_RAW, .files = &ops };
	unsigned int layers = argc == 4 ? (unsigned int)atoi(argv[3]) : 0, i;
	double *push = calloc(layers + 1, sizeof(*push));
	double *prepare = calloc(layers + 1, sizeof(*prepare));
	struct rusage usage;
	struct err e = ERR_NONE;
	struct overlay *o;
	struct disk *d;
	struct ioq *q;
	uint64_t began;
	char path[300];
	int fd;

	if (!layers || !push || !prepare)
		return 2;
	ops.fdatasync = timed_sync;
	snprintf(path, sizeof(path), "%s/base.raw", argv[1]);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, strtoll(argv[2], NULL, 10)) < 0)
		return 1;
	close(fd);
	c.path = path;
	if (disk_open(&d, &c, &e) || ioq_open(&q, IOQ_AUTO, 32, NULL, &e))
		fail(&e);
	disk_attach(d, q);
	for (i = 0; i < layers; i++) {
		scribble(d, q, i);
		snprintf(path, sizeof(path), "%s/%u.qcow2", argv[1], i);
		began = clock_mono_ns();
		if (overlay_prepare(&o, d, path, NULL, &e))
			fail(&e);
		prepare[i] = (double)(clock_mono_ns() - began) / 1e3;
		in_syncs = 0;
		began = clock_mono_ns();
		if (overlay_push(o, d, &e))
			fail(&e);
		push[i] = (double)(clock_mono_ns() - began - in_syncs) / 1e3;
	}
	disk_close(d);
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"push_us\": %.1f, \"prepare_us\": %.1f, \"open_us\": %.1f, "
	       "\"rss_kib\": %ld}\n",
	       median(push, layers), median(prepare, layers), open_again(path),
	       usage.ru_maxrss);
	ioq_close(q);
	free(push);
	free(prepare);
	return 0;
}
