/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 images for tests: made by us or by qemu-img, and judged by qemu-img.
 * Each lives in a directory of its own. One thread.
 */
#ifndef AMBER_TESTS_UNIT_QCOW2_RIG_H
#define AMBER_TESTS_UNIT_QCOW2_RIG_H

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "disk/format.h"
#include "disk/qcow2_create.h"
#include "tests/unit/disk_rig.h"

struct qcow2_rig {
	char dir[64];
	char path[96]; /* the top */
	struct ioq *q;
	struct disk *disk;
	const struct file_ops *ops;   /* of the next open */
	const struct file_ops *files; /* of its disk; NULL: ops */
	enum ioq_engine engine;
};

static inline void image_init_at(struct qcow2_rig *rig, const char *dir)
{
	memset(rig, 0, sizeof(*rig));
	snprintf(rig->dir, sizeof(rig->dir), "%s/qcow2.XXXXXX", dir);
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/top.qcow2", rig->dir);
	rig->engine = IOQ_SYNC;
}

/* Where syncs are quick, if there is such a place. */
static inline void image_init(struct qcow2_rig *rig)
{
	image_init_at(rig, access("/dev/shm", W_OK) ? "build" : "/dev/shm");
}

/* Runs a command in the rig's directory; its exit status. */
__attribute__((format(printf, 2, 3))) static inline int
image_sh(const struct qcow2_rig *rig, const char *fmt, ...)
{
	char command[1024], line[1200];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "cd %s && { %s; } >out.txt 2>&1", rig->dir,
		 command);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static inline void image_say(const struct qcow2_rig *rig)
{
	char line[128];

	snprintf(line, sizeof(line), "cat %s/out.txt >&2", rig->dir);
	if (system(line))
		fprintf(stderr, "no output\n");
}

#define IMAGE_MUST(rig, ...)                                          \
	do {                                                          \
		int must_ = image_sh(rig, __VA_ARGS__);               \
		if (must_)                                            \
			image_say(rig);                               \
		ck_assert_msg(!must_, "%s: %d", #__VA_ARGS__, must_); \
	} while (0)

static inline void image_create(struct qcow2_rig *rig, const char *name,
				const struct qcow2_options *options)
{
	struct err e = ERR_NONE;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(!qcow2_create(fd, options, &file_ops_real, &e), "%s",
		      e.text);
	close(fd);
}

static inline int image_try_open(struct qcow2_rig *rig, bool read_only,
				 struct err *e)
{
	const struct disk_config config = { .path = rig->path,
					    .format = DISK_QCOW2,
					    .read_only = read_only,
					    .files = rig->files ? rig->files
								: rig->ops };
	int r = disk_open(&rig->disk, &config, e);

	if (r)
		return r;
	ck_assert_int_eq(ioq_open(&rig->q, rig->engine, 32, rig->ops, NULL), 0);
	disk_attach(rig->disk, rig->q);
	return 0;
}

static inline void image_open(struct qcow2_rig *rig)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!image_try_open(rig, false, &e), "%s", e.text);
}

static inline void image_close(struct qcow2_rig *rig)
{
	disk_close(rig->disk);
	ioq_close(rig->q);
	rig->disk = NULL;
	rig->q = NULL;
}

static inline void image_fini(struct qcow2_rig *rig)
{
	char line[128];

	if (rig->disk)
		image_close(rig);
	snprintf(line, sizeof(line), "rm -rf %s", rig->dir);
	ck_assert_int_eq(system(line), 0);
}

static inline void image_run(struct qcow2_rig *rig)
{
	while (ioq_in_flight(rig->q))
		ck_assert_int_ge(ioq_run(rig->q, 10 * NS_PER_S), 0);
}

static inline int image_do(struct qcow2_rig *rig, enum disk_op op,
			   uint64_t offset, void *memory, size_t bytes)
{
	struct disk_try t;

	rig_make(&t, op, offset, memory, bytes);
	t.r.may_unmap = true;
	disk_submit(rig->disk, &t.r);
	ck_assert_int_eq(t.calls, 0);
	image_run(rig);
	ck_assert_int_eq(t.calls, 1);
	return t.error;
}

/* Neither errors nor leaks, says qemu-img. */
static inline void image_is_clean(const struct qcow2_rig *rig)
{
	IMAGE_MUST(rig, "qemu-img check top.qcow2");
}

#endif
