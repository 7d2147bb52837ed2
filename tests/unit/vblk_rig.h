/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device over a temporary file, driven by the fake driver: requests
 * as a guest would make them, and their answers.
 */
#ifndef AMBER_TESTS_UNIT_VBLK_RIG_H
#define AMBER_TESTS_UNIT_VBLK_RIG_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "devices/vblk.h"
#include "tests/unit/suite.h"
#include "tests/unit/vblk_fault.h"
#include "tests/unit/virtio_rig.h"

#define BLK_BYTES   (4u << 20)
#define BLK_SLOT    0x2000u /* of RAM for each request: header, answer, data */
#define BLK_SLOTS   64
#define BLK_DATA    4096
#define BLK_FLUSH   (1ULL << 9)
#define BLK_PENDING 0xee /* an answer that the device did not write */

struct blk_rig {
	struct rig rig;
	struct vblk *blk;
	struct fault fault;
	char path[64];
	int fd; /* of the same file, to look at */
	unsigned int next;
	unsigned int answers; /* taken off the used ring */
};

struct blk_options {
	enum vblk_on_error on_error;
	enum disk_cache cache;
	enum ioq_engine engine;
	enum disk_format format; /* unknown: raw */
	bool read_only;
	uint64_t features;
	bool no_flush; /* the driver doesn't take FLUSH */
	uint64_t ops_per_s;
};

static inline void blk_make(struct blk_rig *b, const struct blk_options *o)
{
	struct disk_config dc = { .path = b->path,
				  .format = o->format ? o->format : DISK_RAW,
				  .cache = o->cache,
				  .read_only = o->read_only };
	struct vblk_config vc = { .virtio = rig_config(&b->rig, "disk0"),
				  .serial = "SERIAL",
				  .queues = 1,
				  .on_error = o->on_error,
				  .ops_per_s = o->ops_per_s,
				  .engine = o->engine,
				  .file_ops = &b->fault.ops };
	struct err e = ERR_NONE;

	ck_assert_msg(!disk_open(&vc.disk, &dc, &e), "%s", e.text);
	ck_assert_msg(!vblk_create(&b->blk, &vc, &e), "%s", e.text);
	b->rig.device = &vblk_virtio(b->blk)->device;
	b->next = b->answers = 0;
}

static inline void blk_open(struct blk_rig *b, const struct blk_options *o)
{
	uint8_t pattern[4096];
	unsigned int i;

	rig_init(&b->rig);
	fault_init(&b->fault);
	snprintf(b->path, sizeof(b->path), "/tmp/amber-vblk-XXXXXX");
	b->fd = mkstemp(b->path);
	ck_assert_int_ge(b->fd, 0);
	ck_assert_int_eq(ftruncate(b->fd, BLK_BYTES), 0);
	memset(pattern, 'p', sizeof(pattern));
	for (i = 0; i < 16; i++)
		ck_assert_int_eq(pwrite(b->fd, pattern, sizeof(pattern),
					(off_t)(i * sizeof(pattern))),
				 sizeof(pattern));
	blk_make(b, o);
	ck_assert_int_eq(vblk_start(b->blk, NULL), 0);
	rig_start(&b->rig,
		  o->features |
			  (o->no_flush ? 0 : rig_features(&b->rig) & BLK_FLUSH),
		  1, 256);
}

static inline void blk_close(struct blk_rig *b)
{
	vblk_destroy(b->blk);
	close(b->fd);
	unlink(b->path);
	rig_fini(&b->rig);
}

/* Where slot n's header, answer and data lie. */
static inline uint64_t blk_gpa(unsigned int n)
{
	return RIG_DATA + (n % BLK_SLOTS) * BLK_SLOT;
}

static inline uint8_t *blk_status(struct blk_rig *b, unsigned int n)
{
	return b->rig.ram + blk_gpa(n) + 16;
}

static inline uint8_t *blk_data(struct blk_rig *b, unsigned int n)
{
	return b->rig.ram + blk_gpa(n) + 0x1000;
}

/* Offers a request with data_bytes of data; returns its slot. */
static inline unsigned int blk_offer(struct blk_rig *b, uint32_t type,
				     uint64_t sector, uint32_t data_bytes)
{
	unsigned int n = b->next++;
	uint64_t gpa = blk_gpa(n);
	bool reads = type == 0 || type == 8;
	struct rig_piece piece[3] = { { gpa, 16, false } };
	unsigned int pieces = 1;

	put_le32(b->rig.ram + gpa, type);
	put_le32(b->rig.ram + gpa + 4, 0);
	put_le64(b->rig.ram + gpa + 8, sector);
	*blk_status(b, n) = BLK_PENDING;
	if (data_bytes)
		piece[pieces++] =
			(struct rig_piece){ gpa + 0x1000, data_bytes, reads };
	piece[pieces++] = (struct rig_piece){ gpa + 16, 1, true };
	rig_chain(&b->rig, 0, piece, pieces);
	return n;
}

/* Waits until the condition holds; the suite's timeout ends a hang. */
#define BLK_UNTIL(condition)                                              \
	do {                                                              \
		while (!(condition))                                      \
			nanosleep(&(struct timespec){ 0, 100000 }, NULL); \
	} while (0)

/* Takes answers until `count` have come since the start. */
static inline void blk_wait(struct blk_rig *b, unsigned int count)
{
	while (b->answers < count) {
		if (rig_take(&b->rig, 0, NULL, NULL))
			b->answers++;
		else
			nanosleep(&(struct timespec){ 0, 50000 }, NULL);
	}
}

/* One request from kick to answer. */
static inline uint8_t blk_do(struct blk_rig *b, uint32_t type, uint64_t sector,
			     uint32_t data_bytes)
{
	unsigned int n = blk_offer(b, type, sector, data_bytes);

	rig_kick(&b->rig, 0);
	blk_wait(b, b->answers + 1);
	return *blk_status(b, n);
}

#endif
