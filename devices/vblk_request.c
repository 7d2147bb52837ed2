/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests: what the guest wrote, checked, as requests to the disk
 * (VIRTIO 1.2, 5.2.6). Pure but for the chain's guest memory, which is read
 * once. The device's thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/vblk_private.h"

#define HEADER_BYTES 16
#define RANGE_BYTES  16
#define FLAG_UNMAP   1u

static const char *const kind_names[VBLK_KINDS] = { "read", "write", "flush",
						    "discard" };

/* Cuts the first bytes off the readable part. */
static void skip_header(struct vblk_request *r)
{
	struct iovec *iov = r->chain.iov;
	unsigned int n = r->chain.reads;
	size_t skip = HEADER_BYTES;

	while (n && iov->iov_len <= skip) {
		skip -= iov->iov_len;
		iov++;
		n--;
	}
	if (n && skip) {
		iov->iov_base = (uint8_t *)iov->iov_base + skip;
		iov->iov_len -= skip;
	}
	r->data = iov;
	r->datas = n;
}

/* The last writable byte is the answer's; what is before it is data. */
static void take_status(struct vblk_request *r)
{
	struct virtq_chain *c = &r->chain;
	struct iovec *last = &c->iov[c->reads + c->writes - 1];

	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	if (!last->iov_len)
		c->writes--;
	c->write_bytes--;
}

static int reject(struct vblk_request *r, uint8_t answer)
{
	r->answer = answer;
	atomic_fetch_add_explicit(&r->vblk->counters.rejected, 1,
				  memory_order_relaxed);
	return 0;
}

/* Is [sector, sector + bytes) inside the disk and made of whole blocks? */
static bool fits(const struct vblk *b, uint64_t sector, uint64_t bytes)
{
	const struct disk_info *info = &b->host.disk.info;
	uint64_t sectors = info->bytes / DISK_SECTOR_BYTES;
	uint64_t block = info->logical_bytes;

	if (sector > sectors || bytes % DISK_SECTOR_BYTES ||
	    bytes / DISK_SECTOR_BYTES > sectors - sector)
		return false;
	return sector * DISK_SECTOR_BYTES % block == 0 && bytes % block == 0;
}

static bool is_read_only(const struct vblk *b)
{
	return b->host.disk.info.read_only;
}

static bool must_be_durable(const struct vblk *b)
{
	return !b->st.writeback || !virtio_has(&b->virtio, VBLK_F_FLUSH);
}

static int parse_transfer(struct vblk_request *r, uint64_t sector, bool is_read)
{
	struct vblk *b = r->vblk;
	struct virtq_chain *c = &r->chain;

	r->kind = is_read ? VBLK_READ : VBLK_WRITE;
	if (is_read) {
		r->data = c->iov + c->reads;
		r->datas = c->writes;
		r->bytes = c->write_bytes;
	} else {
		r->bytes = c->read_bytes - HEADER_BYTES;
	}
	if (!r->bytes || r->bytes > VBLK_TRANSFER_MAX ||
	    !fits(b, sector, r->bytes) || (!is_read && is_read_only(b)))
		return reject(r, VBLK_S_IOERR);
	r->disk.op = is_read ? DISK_READ : DISK_WRITE;
	r->disk.offset = sector * DISK_SECTOR_BYTES;
	r->disk.bytes = r->bytes;
	r->disk.iov = r->data;
	r->disk.iovs = r->datas;
	r->disk.durable = !is_read && must_be_durable(b);
	r->written = is_read ? (uint32_t)r->bytes : 0;
	return 1;
}

static int parse_flush(struct vblk_request *r)
{
	r->kind = VBLK_FLUSH;
	if (is_read_only(r->vblk)) {
		r->answer = VBLK_S_OK;
		return 0;
	}
	r->disk.op = DISK_FLUSH;
	r->disk.offset = r->disk.bytes = 0;
	r->disk.iov = NULL;
	r->disk.iovs = 0;
	return 1;
}

static int parse_get_id(struct vblk_request *r)
{
	char id[VBLK_SERIAL_MAX] = "";
	struct virtq_chain *c = &r->chain;

	r->kind = VBLK_READ;
	memcpy(id, r->vblk->cfg.serial, strlen(r->vblk->cfg.serial));
	if (c->write_bytes < VBLK_SERIAL_MAX)
		return reject(r, VBLK_S_IOERR);
	r->written = (uint32_t)virtq_copy_in(c, 0, id, sizeof(id));
	r->answer = VBLK_S_OK;
	return 0;
}

/* One {sector, sectors, flags} of a discard or write-zeroes request. */
static uint8_t parse_range(const struct vblk_request *r, const uint8_t *bytes,
			   bool is_zero, struct vblk_range *range)
{
	uint64_t sector = get_le64(bytes);
	uint32_t sectors = get_le32(bytes + 8), flags = get_le32(bytes + 12);

	if (flags & ~(is_zero ? FLAG_UNMAP : 0))
		return VBLK_S_UNSUPP;
	if (sectors > VBLK_RANGE_SECTORS ||
	    !fits(r->vblk, sector, (uint64_t)sectors * DISK_SECTOR_BYTES))
		return VBLK_S_IOERR;
	range->offset = sector * DISK_SECTOR_BYTES;
	range->bytes = (uint64_t)sectors * DISK_SECTOR_BYTES;
	range->may_unmap = !is_zero || (flags & FLAG_UNMAP);
	return VBLK_S_OK;
}

static int parse_ranges(struct vblk_request *r, bool is_zero)
{
	uint64_t bytes = r->chain.read_bytes - HEADER_BYTES;
	uint8_t raw[VBLK_SEGMENTS * RANGE_BYTES];
	unsigned int i, n = (unsigned int)(bytes / RANGE_BYTES);
	uint8_t answer;

	r->kind = is_zero ? VBLK_WRITE : VBLK_DISCARD;
	if (is_read_only(r->vblk) || !n || bytes % RANGE_BYTES ||
	    bytes > sizeof(raw))
		return reject(r, VBLK_S_IOERR);
	virtq_copy_out(&r->chain, HEADER_BYTES, raw, bytes);
	for (i = 0; i < n; i++) {
		answer = parse_range(r, raw + i * RANGE_BYTES, is_zero,
				     &r->range[i]);
		if (answer != VBLK_S_OK)
			return reject(r, answer);
		r->bytes += r->range[i].bytes;
	}
	if (is_zero && r->bytes > VBLK_TRANSFER_MAX)
		return reject(r, VBLK_S_IOERR);
	r->ranges = n;
	r->disk.op = is_zero ? DISK_ZERO : DISK_DISCARD;
	r->disk.iov = NULL;
	r->disk.iovs = 0;
	r->disk.durable = must_be_durable(r->vblk);
	r->answer = VBLK_S_OK;
	return vblk_request_next(r);
}

bool vblk_request_next(struct vblk_request *r)
{
	const struct vblk_range *range;

	while (r->next_range < r->ranges) {
		range = &r->range[r->next_range++];
		if (!range->bytes)
			continue;
		r->disk.offset = range->offset;
		r->disk.bytes = range->bytes;
		r->disk.may_unmap = range->may_unmap;
		return true;
	}
	return false;
}

int vblk_request_parse(struct vblk_request *r, struct err *e)
{
	struct virtq_chain *c = &r->chain;
	uint8_t header[HEADER_BYTES];
	uint64_t offered = r->vblk->virtio.cfg.features;
	uint32_t type;

	r->ranges = r->next_range = 0;
	r->written = 0;
	r->bytes = 0;
	r->error = 0;
	r->answer = VBLK_S_OK;
	if (virtq_copy_out(c, 0, header, sizeof(header)) != sizeof(header))
		return err_set(e, -EBADMSG, "request header of %llu bytes",
			       (unsigned long long)c->read_bytes);
	if (!c->write_bytes)
		return err_set(e, -EBADMSG, "no byte for the answer");
	type = get_le32(header);
	take_status(r);
	/* Ranges and the id are copied out of the untrimmed chain. */
	switch (type) {
	case VBLK_T_FLUSH:
		return parse_flush(r);
	case VBLK_T_GET_ID:
		return parse_get_id(r);
	case VBLK_T_DISCARD:
	case VBLK_T_WRITE_ZEROES:
		if (!(offered & (type == VBLK_T_DISCARD ? VBLK_F_DISCARD
							: VBLK_F_WRITE_ZEROES)))
			break;
		return parse_ranges(r, type == VBLK_T_WRITE_ZEROES);
	case VBLK_T_IN:
	case VBLK_T_OUT:
		skip_header(r);
		return parse_transfer(r, get_le64(header + 8),
				      type == VBLK_T_IN);
	default:
		break;
	}
	r->kind = VBLK_READ;
	return reject(r, VBLK_S_UNSUPP);
}

void vblk_request_describe(const struct vblk_request *r, char *text,
			   size_t bytes)
{
	const char *damage = disk_damage(r->vblk->cfg.disk);
	char words[96];

	/* Rather the cause than "Input/output error". */
	if (damage && r->error == -EIO) {
		snprintf(text, bytes, "%s of %llu bytes at %llu: %s",
			 kind_names[r->kind], (unsigned long long)r->disk.bytes,
			 (unsigned long long)r->disk.offset, damage);
		return;
	}
	snprintf(text, bytes, "%s of %llu bytes at %llu: %s",
		 kind_names[r->kind], (unsigned long long)r->disk.bytes,
		 (unsigned long long)r->disk.offset,
		 strerror_r(-r->error, words, sizeof(words)));
}
