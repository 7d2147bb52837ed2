/* SPDX-License-Identifier: Apache-2.0 */
/* An image in build/, opened as a disk on a queue, for tests. One thread. */
#ifndef AMBER_TESTS_UNIT_DISK_RIG_H
#define AMBER_TESTS_UNIT_DISK_RIG_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/disk.h"
#include "tests/unit/suite.h"

struct disk_rig {
	char path[64];
	int fd; /* the image, beside the disk */
	struct ioq *q;
	struct disk *disk;
};

/* A request whose end is noted. */
struct disk_try {
	struct disk_request r;
	struct iovec iov;
	int error, calls;
};

static inline void rig_create(struct disk_rig *rig, uint64_t bytes)
{
	memset(rig, 0, sizeof(*rig));
	strncpy(rig->path, "build/disk.XXXXXX", sizeof(rig->path) - 1);
	rig->fd = mkostemp(rig->path, O_CLOEXEC);
	ck_assert_int_ge(rig->fd, 0);
	ck_assert_int_eq(ftruncate(rig->fd, (off_t)bytes), 0);
}

static inline int rig_open(struct disk_rig *rig, enum disk_cache cache,
			   bool read_only, struct err *e)
{
	const struct disk_config config = { .path = rig->path,
					    .format = DISK_RAW,
					    .cache = cache,
					    .read_only = read_only };

	return disk_open(&rig->disk, &config, e);
}

/* Creates the image, opens it and the queue. ops: of ioq_open(). */
static inline void rig_setup(struct disk_rig *rig, uint64_t bytes,
			     enum disk_cache cache, const struct file_ops *ops)
{
	struct err e = ERR_NONE;

	rig_create(rig, bytes);
	ck_assert_msg(!rig_open(rig, cache, false, &e), "%s", e.text);
	ck_assert_msg(!ioq_open(&rig->q, IOQ_AUTO, 16, ops, &e), "%s", e.text);
	disk_attach(rig->disk, rig->q);
}

static inline void rig_teardown(struct disk_rig *rig)
{
	disk_close(rig->disk);
	ioq_close(rig->q);
	close(rig->fd);
	unlink(rig->path);
}

static inline void rig_done(struct disk_request *r, int error)
{
	struct disk_try *t = (struct disk_try *)r;

	t->error = error;
	t->calls++;
}

static inline struct disk_try *rig_make(struct disk_try *t, enum disk_op op,
					uint64_t offset, void *memory,
					size_t bytes)
{
	memset(t, 0, sizeof(*t));
	t->iov = (struct iovec){ .iov_base = memory, .iov_len = bytes };
	t->r = (struct disk_request){ .op = op,
				      .offset = offset,
				      .bytes = bytes,
				      .iov = &t->iov,
				      .iovs = 1,
				      .done = rig_done };
	return t;
}

static inline void rig_run(struct disk_rig *rig)
{
	while (ioq_in_flight(rig->q))
		ck_assert_int_ge(ioq_run(rig->q, 10 * NS_PER_S), 0);
}

/* Submits it and runs until it is done. Returns its error. */
static inline int rig_finish(struct disk_rig *rig, struct disk_try *t)
{
	disk_submit(rig->disk, &t->r);
	ck_assert_int_eq(t->calls, 0); /* never from inside */
	rig_run(rig);
	ck_assert_int_eq(t->calls, 1);
	return t->error;
}

static inline int rig_do(struct disk_rig *rig, enum disk_op op, uint64_t offset,
			 void *memory, size_t bytes)
{
	struct disk_try t;

	return rig_finish(rig, rig_make(&t, op, offset, memory, bytes));
}

static inline void rig_fill(uint8_t *memory, size_t bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		memory[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

static inline bool rig_is_zero(const uint8_t *memory, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (memory[i])
			return false;
	return true;
}

#endif
