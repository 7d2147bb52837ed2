/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes qcow2 images: a valid one that has data, with patches from the input,
 * is opened, read, written, zeroed, flushed, checked, repaired and opened
 * again. Byte 0: which image; then patches (offset 16 bits, length 8 bits,
 * bytes), a patch of length 0 ends them; then requests of 4 bytes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/disk.h"
#include "disk/qcow2_check.h"
#include "disk/qcow2_create.h"
#include "disk/qcow2_snapshots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_BYTES (256u << 10)
#define FILE_MAX   (16u << 20)
#define CHUNK	   8192u

static const struct qcow2_options shapes[] = {
	{ .version = 3,
	  .cluster_bits = 9,
	  .refcount_order = 4,
	  .bytes = DISK_BYTES },
	{ .version = 3,
	  .cluster_bits = 12,
	  .refcount_order = 3,
	  .bytes = DISK_BYTES },
	{ .version = 2,
	  .cluster_bits = 10,
	  .refcount_order = 4,
	  .bytes = DISK_BYTES },
	{ .version = 3,
	  .cluster_bits = 14,
	  .refcount_order = 4,
	  .is_extended = true,
	  .bytes = DISK_BYTES },
	{ .version = 3,
	  .cluster_bits = 9,
	  .refcount_order = 0,
	  .bytes = DISK_BYTES },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* And kept ones, with what amber does not make itself. */
static const char *const kept[] = {
	"tests/golden/qcow2/snapshots-4k.qcow2",
	"tests/golden/qcow2/zlib-4k.qcow2",
	"tests/golden/qcow2/zstd-4k.qcow2",
	"tests/golden/qcow2/bitmap-4k.qcow2",
};

#define KEPT (sizeof(kept) / sizeof(kept[0]))

struct trial {
	struct disk_request r;
	struct iovec iov;
	int ends;
};

static uint8_t memory[CHUNK];

static void done(struct disk_request *r, int error)
{
	(void)error;
	((struct trial *)r)->ends++;
}

static void request(struct disk *d, struct ioq *q, enum disk_op op,
		    uint64_t offset, uint64_t bytes)
{
	struct trial t = { .iov = { memory, bytes } };

	t.r = (struct disk_request){ .op = op,
				     .offset = offset,
				     .bytes = bytes,
				     .iov = &t.iov,
				     .iovs = 1,
				     .may_unmap = offset & 1024,
				     .done = done };
	disk_submit(d, &t.r);
	while (ioq_in_flight(q))
		if (ioq_run(q, 0) < 0)
			abort();
	if (t.ends != 1)
		abort();
}

static void work(int fd, const uint8_t *script, size_t n, bool read_only,
		 const char *snapshot)
{
	struct disk_config c = { .format = DISK_QCOW2,
				 .read_only = read_only,
				 .snapshot = snapshot };
	struct disk *d;
	struct ioq *q;
	char path[32];
	size_t i;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c.path = path;
	if (disk_open(&d, &c, NULL))
		return;
	if (ioq_open(&q, IOQ_SYNC, 8, NULL, NULL))
		abort();
	disk_attach(d, q);
	for (i = 0; i + 4 <= n && i < 256; i += 4)
		request(d, q, (enum disk_op)(script[i] % 5),
			(uint64_t)(script[i + 1] * 1024u) % DISK_BYTES,
			(script[i + 2] % 16u) * 512u);
	disk_close(d);
	ioq_close(q);
}

static void check(int fd, enum qcow2_repair repair)
{
	struct qcow2_check c = { .repair = repair };
	struct qcow2 q;

	if (qcow2_open(&q, fd, "image", &file_ops_real,
		       repair == QCOW2_LOOK ? QCOW2_READ : QCOW2_REPAIR,
		       1 << 20, NULL))
		return;
	qcow2_check(&q, &c, NULL);
	qcow2_fini(&q);
}

/* A valid image with some data in it. */
static int make(const struct qcow2_options *shape)
{
	static const uint8_t script[] = { 1, 0, 15, 0,	 1, 40, 3, 0, 4, 90,
					  9, 0, 1,  200, 8, 0,	2, 0, 0, 0 };
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || qcow2_create(fd, shape, &file_ops_real, NULL))
		abort();
	work(fd, script, sizeof(script), false, NULL);
	return fd;
}

static int bring(const char *path)
{
	int fd = memfd_create("image", MFD_CLOEXEC), from, n;
	static uint8_t bytes[1 << 17];

	from = open(path, O_RDONLY | O_CLOEXEC);
	n = from < 0 ? -1 : (int)read(from, bytes, sizeof(bytes));
	if (fd < 0 || n <= 0 || write(fd, bytes, (size_t)n) != n) {
		fprintf(stderr, "%s can't be read\n", path);
		abort();
	}
	close(from);
	return fd;
}

static int choose(uint8_t which)
{
	which %= SHAPES + KEPT;
	return which < SHAPES ? make(&shapes[which])
			      : bring(kept[which - SHAPES]);
}

static void go_back(int fd)
{
	struct qcow2 q;

	if (qcow2_open(&q, fd, "image", &file_ops_real, QCOW2_WRITE, 1 << 20,
		       NULL))
		return;
	qcow2_apply_snapshot(&q, "one", NULL, NULL);
	qcow2_fini(&q);
}

static size_t patch(int fd, const uint8_t *data, size_t size)
{
	size_t at = 1, n;

	while (at + 3 <= size) {
		n = data[at + 2];
		if (!n || at + 3 + n > size)
			return at + 3;
		if (pwrite(fd, data + at + 3, n,
			   (off_t)(data[at] | data[at + 1] << 8)) < 0)
			abort();
		at += 3 + n;
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at;
	int fd;

	if (!size)
		return 0;
	fd = choose(data[0]);
	at = patch(fd, data, size);
	work(fd, data + at, size - at, true, NULL);
	work(fd, data + at, size - at, true, "one");
	check(fd, QCOW2_LOOK);
	work(fd, data + at, size - at, false, NULL);
	if (data[0] & 128)
		go_back(fd);
	/* A wild pointer may have made it large, but only with holes. */
	if (lseek(fd, 0, SEEK_END) <= (off_t)FILE_MAX) {
		check(fd, QCOW2_REPAIR_ALL);
		work(fd, data + at, size - at, false, NULL);
	}
	close(fd);
	return 0;
}
