/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers DIR [under]: a disk in DIR whose layers come and go, for tests that
 * kill it. Says "wrote SECTOR VALUE" when a flush has made that durable, "top
 * NAME" when a layer was put on top, and "done". With `under` the disk keeps
 * its name: "push LAYER" and "rewind LAYER" are said before, "pushed LAYER" and
 * "rewound LAYER" after it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "disk/layers.h"
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

/* --- below one name -------------------------------------------------- */

static char disk_path_text[256];

static void open_disk(void)
{
	const struct disk_config c = { .path = disk_path_text,
				       .format = DISK_QCOW2 };
	struct err e = ERR_NONE;

	if (disk_open(&disk, &c, &e))
		fail(disk_path_text, &e);
	disk_attach(disk, q);
}

static void create_disk(void)
{
	struct qcow2_options options = qcow2_defaults;
	struct err e = ERR_NONE;
	int fd;

	snprintf(disk_path_text, sizeof(disk_path_text), "%s/disk.qcow2",
		 directory);
	options.bytes = BYTES;
	fd = open(disk_path_text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || qcow2_create(fd, &options, &file_ops_real, &e) ||
	    ioq_open(&q, IOQ_SYNC, 16, NULL, &e))
		fail(disk_path_text, &e);
	close(fd);
	open_disk();
	say("top", "disk.qcow2");
}

static struct overlay_place place_of(char *path, size_t n, const char *layer)
{
	snprintf(path, n, "%s/%s", directory, layer);
	return (struct overlay_place){ .path = disk_path_text,
				       .layer = path,
				       .bytes = BYTES };
}

static void push_under(const char *layer)
{
	char path[256];
	struct overlay_place place = place_of(path, sizeof(path), layer);
	struct err e = ERR_NONE;
	struct overlay *o;

	say("push", layer);
	if (overlay_prepare_under(&o, &place, &e) || overlay_push(o, disk, &e))
		fail(layer, &e);
	say("pushed", layer);
}

static void rewind_to(const char *layer)
{
	char path[256];
	struct overlay_place place = place_of(path, sizeof(path), layer);
	struct err e = ERR_NONE;
	struct overlay *o;

	say("rewind", layer);
	if (overlay_prepare_fresh(&o, &place, &e) ||
	    overlay_rewind(o, disk, &e))
		fail(layer, &e);
	overlay_close(o);
	say("rewound", layer);
}

static void restore(const char *layer)
{
	struct err e = ERR_NONE;
	char path[256], *undo;

	disk_close(disk);
	say("rewind", layer);
	snprintf(path, sizeof(path), "%s/%s", directory, layer);
	if (layer_restore(disk_path_text, path, &undo, NULL, &e))
		fail(layer, &e);
	say("rewound", layer);
	if (!undo || unlink(undo))
		exit(1);
	free(undo);
	open_disk();
}

static void live_under(void)
{
	put(0);
	push_under("1.qcow2");
	put(CHUNK / 2);
	push_under("2.qcow2");
	put(3 * CHUNK);
	rewind_to("2.qcow2");
	put(2 * CHUNK + 4096);
	push_under("3.qcow2");
	put(5 * CHUNK);
	restore("2.qcow2");
	put(7 * CHUNK);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	directory = argv[1];
	if (argc == 2) {
		open_base();
		live();
	} else {
		create_disk();
		live_under();
	}
	disk_close(disk);
	ioq_close(q);
	say("done", "");
	return 0;
}
