/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices (VIRTIO 1.2, 5.2): requests in flight, each in memory of the
 * caller, and the same one at a time. At CPL3 or CPL0; one CPU.
 */
#ifndef GUEST_RUNTIME_BLK_H
#define GUEST_RUNTIME_BLK_H

#include "guest-images/runtime/virtio.h"

#define BLK_SECTOR 512

enum blk_feature {
	BLK_F_SIZE_MAX = 1,
	BLK_F_SEG_MAX = 2,
	BLK_F_RO = 5,
	BLK_F_BLK_SIZE = 6,
	BLK_F_FLUSH = 9,
	BLK_F_TOPOLOGY = 10,
	BLK_F_CONFIG_WCE = 11,
	BLK_F_MQ = 12,
	BLK_F_DISCARD = 13,
	BLK_F_WRITE_ZEROES = 14,
};

/* The features that blk_start() takes where they are offered. */
#define BLK_WANTED                                                           \
	(1ull << BLK_F_SIZE_MAX | 1ull << BLK_F_SEG_MAX | 1ull << BLK_F_RO | \
	 1ull << BLK_F_BLK_SIZE | 1ull << BLK_F_FLUSH |                      \
	 1ull << BLK_F_TOPOLOGY | 1ull << BLK_F_DISCARD |                    \
	 1ull << BLK_F_WRITE_ZEROES)

/* Offsets in the configuration space */
#define BLK_CONFIG_CAPACITY	0
#define BLK_CONFIG_SIZE_MAX	8
#define BLK_CONFIG_SEG_MAX	12
#define BLK_CONFIG_BLK_SIZE	20
#define BLK_CONFIG_DISCARD_MAX	36
#define BLK_CONFIG_DISCARD_SEGS 40
#define BLK_CONFIG_ZEROES_MAX	48
#define BLK_CONFIG_ZEROES_SEGS	52

enum blk_type {
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_FLUSH = 4,
	BLK_GET_ID = 8,
	BLK_DISCARD = 11,
	BLK_WRITE_ZEROES = 13,
};

#define BLK_S_OK     0
#define BLK_S_IOERR  1
#define BLK_S_UNSUPP 2
#define BLK_S_NONE   0xff /* what we write before: no answer yet */

struct blk_head {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

struct blk_request {
	struct blk_head head;
	struct blk_range range; /* of a discard or write-zeroes */
	uint8_t status;
	uint64_t tag; /* the caller's */
};

struct blk {
	struct virtio_dev *dev;
	struct virtq q;
	uint64_t sectors; /* capacity */
	uint32_t seg_max;
	struct blk_request one; /* of blk_do() */
};

/* Handshake, one queue, DRIVER_OK; after a reset as well. */
void blk_start(struct blk *b, struct virtio_dev *d, unsigned queue_size);
/*
 * Puts a request into the queue, without telling the device. A discard or
 * write-zeroes takes its bytes / 512 sectors and no data. False: no room.
 */
bool blk_submit(struct blk *b, struct blk_request *r, enum blk_type type,
		uint64_t sector, void *data, uint32_t bytes);
/* The same with the data in several pieces. */
bool blk_submit_pieces(struct blk *b, struct blk_request *r, enum blk_type type,
		       uint64_t sector, const struct virtio_buf *pieces,
		       unsigned n);
/* Sleeps until a request is done. */
struct blk_request *blk_wait(struct blk *b);
/* One request, waited for: its status. Nothing else may be in flight. */
uint8_t blk_do(struct blk *b, enum blk_type type, uint64_t sector, void *data,
	       uint32_t bytes);

#endif
