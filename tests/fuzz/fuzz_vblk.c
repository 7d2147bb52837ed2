/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests: chains and headers from hostile bytes through the walker
 * and the parser. What comes out as a request to the disk lies inside the
 * disk and inside guest memory, and its bytes add up.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/vblk_private.h"
#include "tests/unit/virtio_rig.h"

#define DISK_BYTES (1u << 20)
#define DESCS	   32
#define DESC_INPUT 7 /* bytes of input for each descriptor */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig rig;
static struct vblk blk;
static struct vblk_request request;

static struct disk *open_disk(bool read_only)
{
	struct disk *disk;
	struct disk_config dc = { .format = DISK_RAW, .read_only = read_only };
	char path[32];
	int fd = memfd_create("disk", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, DISK_BYTES) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	dc.path = path;
	if (disk_open(&disk, &dc, NULL))
		abort();
	close(fd);
	return disk;
}

/* The disks are only looked at: once is enough. */
static void set_up(bool read_only)
{
	static struct disk *disks[2];

	if (!disks[read_only])
		disks[read_only] = open_disk(read_only);
	blk.cfg.disk = disks[read_only];
	vblk_note_disk(&blk);
	blk.virtio.cfg.features = VBLK_F_FLUSH | VBLK_F_WRITE_ZEROES |
				  (read_only ? VBLK_F_RO : VBLK_F_DISCARD);
}

static void must(bool fact)
{
	if (!fact)
		abort();
}

static void check_iov(const struct vblk_request *r)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < r->disk.iovs; i++) {
		const uint8_t *at = r->disk.iov[i].iov_base;
		size_t len = r->disk.iov[i].iov_len;

		must((at >= rig.ram && at + len <= rig.ram + RIG_RAM) ||
		     (at >= rig.high && at + len <= rig.high + RIG_HIGH_RAM));
		sum += len;
	}
	must(sum == r->disk.bytes);
}

static void check(struct vblk_request *r, int type)
{
	if (type < 0)
		return;
	must(r->status >= rig.ram ||
	     (r->status >= rig.high && r->status < rig.high + RIG_HIGH_RAM));
	if (!type)
		return;
	do {
		must(r->disk.offset <= DISK_BYTES &&
		     r->disk.bytes <= DISK_BYTES - r->disk.offset);
		must(r->disk.bytes % 512 == 0);
		if (r->disk.op == DISK_READ || r->disk.op == DISK_WRITE)
			check_iov(r);
	} while (vblk_request_next(r));
}

/* Small numbers are likely to make sense; large ones are near edges. */
static void put_descs(const uint8_t **data, size_t *size)
{
	static const uint64_t bases[] = { RIG_DATA,	    RIG_DATA + 0x1000,
					  RIG_RAM - 600,    RIG_HIGH,
					  UINT64_MAX - 300, 0xd0000000,
					  RIG_QUEUE_GPA,    0 };
	uint16_t i;

	for (i = 0; i < DESCS && *size >= DESC_INPUT; i++) {
		const uint8_t *d = *data;
		uint32_t len = get_le16(d + 2);

		if (d[0] & 0x80)
			len <<= 16;
		rig_put_desc(&rig, rig_desc(0), i, bases[d[0] & 7] + d[1], len,
			     d[4], d[5] % (DESCS + 2));
		if (d[6] & 1)
			rig_offer(&rig, 0, d[6] >> 1);
		*data += DESC_INPUT;
		*size -= DESC_INPUT;
	}
}

static void run(struct virtq *q)
{
	struct err e = ERR_NONE;
	int steps = 0;

	while (virtq_pop(q, &request.chain, &e) > 0) {
		must(steps++ < DESCS);
		request.vblk = &blk;
		check(&request, vblk_request_parse(&request, &e));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtq q;
	size_t n;

	if (size < 20)
		return 0;
	rig_init(&rig);
	set_up(data[0] & 1);
	blk.st.writeback = data[0] & 2;
	n = size < 0x1200 ? size : 0x1200;
	memcpy(rig.ram + RIG_DATA, data + 1, 16);
	virtq_reset(&q);
	q.st = (struct virtq_state){ .size = DESCS,
				     .ready = true,
				     .desc = rig_desc(0),
				     .avail = rig_avail(0),
				     .used = rig_used(0) };
	rig.queue[0].size = DESCS;
	must(!virtq_start(&q, &rig.mem, data[0] & 4, data[0] & 8, NULL));
	data += 17;
	size -= 17;
	put_descs(&data, &size);
	memcpy(rig.ram + RIG_DATA + 0x1000, data, size < n ? size : n);
	run(&q);
	rig_fini(&rig);
	return 0;
}
