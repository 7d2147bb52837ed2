/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk top.qcow2 whose layers change below its name, beside a flat
 * model of what it shows. One thread.
 */
#ifndef AMBER_TESTS_UNIT_LAYER_RIG_H
#define AMBER_TESTS_UNIT_LAYER_RIG_H

#include <dirent.h>
#include <sys/stat.h>

#include "disk/disk_tool.h"
#include "disk/overlay.h"
#include "tests/unit/qcow2_rig.h"

#define BYTES (4u << 20)

static struct qcow2_rig rig;
static uint8_t model[BYTES], memory[BYTES];

static inline const char *in_rig(const char *name)
{
	static char paths[4][160];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", rig.dir, name);
	return path;
}

static inline void open_top(enum disk_cache cache)
{
	const struct disk_config config = { .path = rig.path,
					    .format = DISK_QCOW2,
					    .cache = cache,
					    .files = rig.ops };
	struct err e = ERR_NONE;

	ck_assert_msg(!disk_open(&rig.disk, &config, &e), "%s", e.text);
	ck_assert_int_eq(ioq_open(&rig.q, rig.engine, 32, rig.ops, NULL), 0);
	disk_attach(rig.disk, rig.q);
}

static inline void create_top(void)
{
	struct qcow2_options options = qcow2_defaults;

	options.bytes = BYTES;
	image_create(&rig, "top.qcow2", &options);
	memset(model, 0, sizeof(model));
}

static inline void make_top(void)
{
	image_init(&rig);
	create_top();
	open_top(DISK_WRITEBACK);
}

static inline struct overlay_place place_of(const char *layer)
{
	return (struct overlay_place){ .path = rig.path,
				       .layer = in_rig(layer),
				       .bytes = BYTES,
				       .files = rig.ops };
}

static inline int push(const char *layer, struct err *e)
{
	struct overlay_place place = place_of(layer);
	struct overlay *o;
	int r;

	place.cache = disk_get_info(rig.disk)->cache;
	r = overlay_prepare_under(&o, &place, e);
	if (r)
		return r;
	r = overlay_push(o, rig.disk, e);
	if (r)
		overlay_close(o);
	return r;
}

static inline void must_push(const char *layer)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!push(layer, &e), "%s", e.text);
}

static inline int rewind_to(const char *layer, struct err *e)
{
	struct overlay_place place = place_of(layer);
	struct overlay *o;
	int r;

	place.cache = disk_get_info(rig.disk)->cache;
	r = overlay_prepare_fresh(&o, &place, e);
	if (r)
		return r;
	r = overlay_rewind(o, rig.disk, e);
	overlay_close(o);
	return r;
}

static inline void must_rewind(const char *layer)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!rewind_to(layer, &e), "%s", e.text);
}

static inline void put(uint64_t at, uint64_t bytes, int value)
{
	memset(model + at, value, bytes);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, at, model + at, bytes), 0);
}

static inline void flush(void)
{
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
}

static inline void is_model(void)
{
	ck_assert_int_eq(image_do(&rig, DISK_READ, 0, memory, BYTES), 0);
	ck_assert_int_eq(memcmp(memory, model, BYTES), 0);
}

static inline void write_model(const char *name)
{
	int fd = open(in_rig(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, model, BYTES), (ssize_t)BYTES);
	close(fd);
}

/* Closed: QEMU sees it as the model, and nothing wrong. */
static inline void is_judged(void)
{
	write_model("model.raw");
	IMAGE_MUST(&rig, "qemu-img check top.qcow2 && qemu-img compare -F raw "
			 "top.qcow2 model.raw && rm model.raw");
}

static inline mode_t mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(stat(in_rig(name), &st), 0);
	return st.st_mode & 07777;
}

static inline unsigned int entries(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Does nothing but this lie there? out.txt is the rig's own. */
static inline void has_only(const char *names)
{
	IMAGE_MUST(&rig,
		   "test \"$(ls | grep -v out.txt | tr '\\n' ' ')\" = "
		   "\"%s \" || ! ls",
		   names);
}

static inline int try_open(const char *name, bool read_only, struct err *e)
{
	const struct disk_config config = { .path = in_rig(name),
					    .format = DISK_QCOW2,
					    .read_only = read_only };
	struct disk *d;
	int r = disk_open(&d, &config, e);

	if (!r)
		disk_close(d);
	return r;
}

#endif
