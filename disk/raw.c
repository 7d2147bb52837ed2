/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw image: the disk's bytes are the file's. Requests become one
 * operation, or, for direct I/O from memory that isn't aligned for it, one
 * per piece of a bounce buffer. A durable write is a write and a sync of its
 * own or a shared one (docs/decisions/0010). The queue's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk/format.h"
#include "disk/iov.h"

#define LOGICAL_BYTES_MAX 4096
/* A guest chooses the size of requests, not of what is allocated for one. */
#define BOUNCE_BYTES (1U << 17)
#define BOUNCE_ALIGN 4096U

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* --- what the file can ----------------------------------------------- */

static int find_alignment(struct disk *d, struct err *e)
{
	struct statx stx;
	unsigned int sector = DISK_SECTOR_BYTES;

	memset(&stx, 0, sizeof(stx));
	if (d->is_block_device && ioctl(d->fd, BLKSSZGET, &sector) < 0)
		return err_sys(e, -errno, "%s: sector size", d->path);
	d->memory_align = sector;
	d->offset_align = sector;
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN))
		return 0;
	if (!stx.stx_dio_offset_align)
		return err_set(e, -EINVAL,
			       "%s: its file system has no direct I/O for it: "
			       "say cache=writeback",
			       d->path);
	d->memory_align = MAX(stx.stx_dio_mem_align, 1U);
	d->offset_align = stx.stx_dio_offset_align;
	return 0;
}

int disk_find_units(struct disk *d, struct err *e)
{
	struct disk_info *info = &d->info;
	int r;

	d->memory_align = 1;
	d->offset_align = 1;
	info->logical_bytes = DISK_SECTOR_BYTES;
	if (info->cache == DISK_DIRECT) {
		r = find_alignment(d, e);
		if (r)
			return r;
		info->logical_bytes = MAX(d->offset_align, info->logical_bytes);
	}
	if (info->logical_bytes > LOGICAL_BYTES_MAX ||
	    d->memory_align > BOUNCE_ALIGN)
		return err_set(e, -EINVAL,
			       "%s: direct I/O needs units of %u bytes here, "
			       "more than %u: say cache=writeback",
			       d->path,
			       MAX(info->logical_bytes, d->memory_align),
			       LOGICAL_BYTES_MAX);
	return 0;
}

static int set_units(struct disk *d, struct err *e)
{
	struct disk_info *info = &d->info;
	unsigned int physical = 4096;
	int r = disk_find_units(d, e);

	if (r)
		return r;
	if (info->bytes % info->logical_bytes)
		return err_set(e, -EINVAL,
			       "%s: size %" PRIu64 " is not a multiple of %u, "
			       "which direct I/O needs here",
			       d->path, info->bytes, info->logical_bytes);
	if (d->is_block_device && ioctl(d->fd, BLKPBSZGET, &physical) < 0)
		physical = info->logical_bytes;
	info->physical_bytes = MAX(physical, info->logical_bytes);
	return 0;
}

/* The device's discard granularity: of itself or, a partition, its disk. */
static uint32_t device_discard_bytes(dev_t device)
{
	static const char *const places[] = { "", "../" };
	unsigned int i, value = 0;
	char path[128];
	FILE *f = NULL;

	for (i = 0; i < 2 && !f; i++) {
		snprintf(path, sizeof(path),
			 "/sys/dev/block/%u:%u/%squeue/discard_granularity",
			 major(device), minor(device), places[i]);
		f = fopen(path, "re");
	}
	if (!f)
		return 0;
	if (fscanf(f, "%u", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* Punching beyond the end changes nothing and says if there is punching. */
static void probe_discard(struct disk *d)
{
	struct disk_info *info = &d->info;
	struct stat st;

	if (info->read_only || fstat(d->fd, &st) < 0)
		return;
	if (d->is_block_device) {
		info->discard_bytes = device_discard_bytes(st.st_rdev);
		info->can_discard = info->discard_bytes != 0;
		return;
	}
	info->can_discard =
		fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)info->bytes, st.st_blksize) == 0;
	if (info->can_discard)
		info->discard_bytes = (uint32_t)st.st_blksize;
}

static int check_size(const struct disk *d, struct err *e)
{
	if (d->info.bytes % DISK_SECTOR_BYTES)
		return err_set(e, -EINVAL,
			       "%s: size %" PRIu64 " is not a multiple of %u",
			       d->path, d->info.bytes, DISK_SECTOR_BYTES);
	return 0;
}

static int raw_open(struct disk *d, struct err *e)
{
	int r = check_size(d, e);

	if (!r)
		r = set_units(d, e);
	if (!r)
		probe_discard(d);
	return r;
}

/* --- the bounce buffer ----------------------------------------------- */

bool disk_is_aligned(const struct disk *d, const struct disk_request *r)
{
	unsigned int i;

	if (d->info.cache != DISK_DIRECT)
		return true;
	for (i = 0; i < r->iovs; i++)
		if ((uintptr_t)r->iov[i].iov_base % d->memory_align ||
		    r->iov[i].iov_len % d->offset_align)
			return false;
	return true;
}

static void start_piece(struct disk_request *r)
{
	uint64_t left = r->bytes - r->moved;

	r->bounced.iov_base = r->bounce;
	r->bounced.iov_len = MIN(left, BOUNCE_BYTES);
	if (r->op == DISK_WRITE)
		iov_get(r->iov, r->iovs, r->moved, r->bounce,
			r->bounced.iov_len);
	r->io.offset = r->offset + r->moved;
	r->io.bytes = r->bounced.iov_len;
	ioq_submit(r->disk->q, &r->io);
}

/* Returns true when there is another piece, which has been started. */
static bool continue_bounced(struct disk_request *r, int error)
{
	if (!error) {
		if (r->op == DISK_READ)
			iov_put(r->iov, r->iovs, r->moved, r->bounce,
				r->bounced.iov_len);
		r->moved += r->bounced.iov_len;
		if (r->moved < r->bytes) {
			start_piece(r);
			return true;
		}
	}
	free(r->bounce);
	r->bounce = NULL;
	return false;
}

/* --- requests -------------------------------------------------------- */

static bool is_durable(const struct disk_request *r)
{
	if (r->op != DISK_WRITE && r->op != DISK_ZERO)
		return false;
	return r->durable || r->disk->info.cache == DISK_WRITETHROUGH;
}

static void end(struct disk_request *r, int error)
{
	if (r->op != DISK_READ)
		disk_changed(r->disk);
	if (!error && is_durable(r))
		disk_sync(r->disk, r);
	else
		disk_finish(r, error);
}

static void transferred(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	if (!r->bounce || !continue_bounced(r, error))
		end(r, error);
}

static void allocated(struct io *io, int error)
{
	struct disk_request *r = IO_OWNER(io, struct disk_request, io);

	if (error == -EOPNOTSUPP && r->op == DISK_DISCARD) {
		error = 0;
	} else if (error == -EOPNOTSUPP && io->op == IO_PUNCH) {
		io->op = IO_ZERO;
		ioq_submit(r->disk->q, io);
		return;
	}
	end(r, error);
}

static void transfer(struct disk *d, struct disk_request *r)
{
	struct io *io = &r->io;

	io->op = r->op == DISK_READ ? IO_READ : IO_WRITE;
	io->done = transferred;
	if (disk_is_aligned(d, r)) {
		io->iov = r->iov;
		io->iovs = r->iovs;
		ioq_submit(d->q, io);
		return;
	}
	if (posix_memalign(&r->bounce, BOUNCE_ALIGN,
			   MIN(r->bytes, BOUNCE_BYTES))) {
		r->bounce = NULL;
		disk_conclude(d, r, -ENOMEM);
		return;
	}
	io->iov = &r->bounced;
	io->iovs = 1;
	start_piece(r);
}

static void allocate(struct disk *d, struct disk_request *r)
{
	bool punches = r->op == DISK_DISCARD || r->may_unmap;

	r->io.op = punches ? IO_PUNCH : IO_ZERO;
	r->io.done = allocated;
	ioq_submit(d->q, &r->io);
}

static void raw_submit(struct disk *d, struct disk_request *r)
{
	r->io.fd = d->fd;
	r->io.offset = r->offset;
	r->io.bytes = r->bytes;
	r->io.iov = NULL;
	r->io.iovs = 0;
	r->io.skip = 0;
	r->io.durable = false;
	r->io.direct = d->info.cache == DISK_DIRECT;
	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		transfer(d, r);
		break;
	case DISK_FLUSH:
		disk_sync(d, r);
		break;
	case DISK_DISCARD:
	case DISK_ZERO:
		allocate(d, r);
		break;
	case DISK_PULL: /* there is nothing behind it */
		disk_conclude(d, r, -EINVAL);
		break;
	}
}

const struct disk_ops raw_ops = {
	.open = raw_open,
	.submit = raw_submit,
};
