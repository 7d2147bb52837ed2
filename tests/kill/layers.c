/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers DIR: a disk in DIR whose layers come and go, for tests that kill it.
 * Says "wrote SECTOR VALUE" when a flush has made that durable, "top NAME"
 * when a layer was put on top, and "done".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "disk/overlay.h"
#include "disk/stream.h"

#define BYTES (4u << 20)
#define CHUNK 65536u

static struct disk *disk;
static struct ioq *q;
static const char *directory;
static int over, value;

static void fail(const char *what, const struct err *e)
{
	fprintf(stderr, "%s: %s\n", what, e->text);
	exit(1);
}

static void say(const char *what, const char *text)
{
	printf("%s %s\n", what, text);
	fflush(stdout);
}

static void run(void)
{
	for (over = 0; !over;)
		if (ioq_run(q, IOQ_FOREVER) < 0)
			exit(1);
}

static void done(struct disk_request *r, int error)
{
	(void)r;
	if (error)
		exit(1);
	over = 1;
}

static void request(enum disk_op op, uint64_t at, void *memory, uint64_t n)
{
	const struct iovec iov = { memory, n };
	struct disk_request r = { .op = op,
				  .offset = at,
				  .bytes = n,
				  .iov = &iov,
				  .iovs = 1,
				  .done = done };

	disk_submit(disk, &r);
	run();
}

static void put(uint64_t at)
{
	static uint8_t memory[CHUNK];
	char text[64];

	memset(memory, ++value, sizeof(memory));
	request(DISK_WRITE, at, memory, sizeof(memory));
	request(DISK_FLUSH, 0, NULL, 0);
	snprintf(text, sizeof(text), "%llu %d", (unsigned long long)at / 512,
		 value);
	say("wrote", text);
}

static void push(const char *name)
{
	struct err e = ERR_NONE;
	struct overlay *o;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (overlay_prepare(&o, disk, path, NULL, &e) ||
	    overlay_push(o, disk, &e))
		fail(name, &e);
	say("top", name);
}

static void streamed(struct stream *s, int error)
{
	if (error)
		fail("stream", &s->err);
	over = 1;
}

static void merged(struct merge *m, int error)
{
	if (error)
		fail("merge", &m->stream.err);
	over = 1;
}

static void open_base(void)
{
	struct disk_config c = { .format = DISK_RAW };
	struct err e = ERR_NONE;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/base.raw", directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, BYTES) < 0)
		exit(1);
	close(fd);
	c.path = path;
	if (disk_open(&disk, &c, &e) || ioq_open(&q, IOQ_SYNC, 16, NULL, &e))
		fail(path, &e);
	disk_attach(disk, q);
	say("top", "base.raw");
}

static void live(void)
{
	struct stream s = { .disk = disk, .last = 2, .over = streamed };
	struct merge m = { .disk = disk, .layer = 1, .over = merged };
	struct err e = ERR_NONE;

	put(0);
	push("1.qcow2");
	put(CHUNK / 2);
	push("2.qcow2");
	put(3 * CHUNK);
	push("3.qcow2");
	put(2 * CHUNK + 4096);
	if (merge_start(&m, &e))
		fail("merge", &e);
	run();
	put(5 * CHUNK);
	if (stream_start(&s, &e))
		fail("stream", &e);
	run();
	put(7 * CHUNK);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	directory = argv[1];
	open_base();
	live();
	disk_close(disk);
	ioq_close(q);
	say("done", "");
	return 0;
}
