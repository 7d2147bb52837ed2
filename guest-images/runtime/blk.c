/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests as chains: a header, the data, a status byte (VIRTIO 1.2,
 * 5.2.6). The caller's CPU and privilege.
 */
#include "guest-images/runtime/blk.h"

#define PIECES_MAX (VIRTQ_TABLE - 2)

void blk_start(struct blk *b, struct virtio_dev *d, unsigned queue_size)
{
	b->dev = d;
	virtio_start(d, BLK_WANTED);
	virtq_init(&b->q, d, 0, queue_size);
	virtio_go(d);
	b->sectors = virtio_config64(d, BLK_CONFIG_CAPACITY);
	b->seg_max = 1;
	if (virtio_has(d, BLK_F_SEG_MAX))
		b->seg_max = (uint32_t)virtio_config(d, BLK_CONFIG_SEG_MAX, 4);
}

static bool is_range(enum blk_type type)
{
	return type == BLK_DISCARD || type == BLK_WRITE_ZEROES;
}

bool blk_submit_pieces(struct blk *b, struct blk_request *r, enum blk_type type,
		       uint64_t sector, const struct virtio_buf *pieces,
		       unsigned n)
{
	struct virtio_buf bufs[PIECES_MAX + 2];
	bool out = type == BLK_OUT || is_range(type);
	unsigned i;

	if (n > PIECES_MAX)
		return false;
	r->head = (struct blk_head){ .type = (uint32_t)type, .sector = sector };
	r->status = BLK_S_NONE;
	bufs[0] = (struct virtio_buf){ &r->head, sizeof(r->head) };
	for (i = 0; i < n; i++)
		bufs[1 + i] = pieces[i];
	bufs[1 + n] = (struct virtio_buf){ &r->status, 1 };
	return virtq_add(&b->q, bufs, out ? 1 + n : 1, out ? 1 : n + 1, r);
}

bool blk_submit(struct blk *b, struct blk_request *r, enum blk_type type,
		uint64_t sector, void *data, uint32_t bytes)
{
	struct virtio_buf piece = { data, bytes };

	if (is_range(type)) {
		r->range = (struct blk_range){ .sector = sector,
					       .sectors = bytes / BLK_SECTOR };
		piece = (struct virtio_buf){ &r->range, sizeof(r->range) };
		sector = 0;
	}
	return blk_submit_pieces(b, r, type, sector, &piece,
				 piece.bytes ? 1 : 0);
}

struct blk_request *blk_wait(struct blk *b)
{
	return virtq_wait(&b->q, NULL);
}

uint8_t blk_do(struct blk *b, enum blk_type type, uint64_t sector, void *data,
	       uint32_t bytes)
{
	if (!blk_submit(b, &b->one, type, sector, data, bytes))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(&b->q);
	blk_wait(b);
	return b->one.status;
}
