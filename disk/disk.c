/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening images: what kind of file it is, which format, who else has it.
 * One thread; afterwards the queue's. INV-1: a raw disk is never taken for
 * something else because of what a guest wrote into it: the format is the
 * one that was given, and without one what looks like another is refused.
 */
#include "disk/disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/disk_private.h"
#include "disk/lock.h"

#define PROBE_BYTES 4096

static const char *const format_names[] = { [DISK_FORMAT_UNKNOWN] = "unknown",
					    [DISK_RAW] = "raw",
					    [DISK_QCOW2] = "qcow2" };
static const char *const cache_names[] = { [DISK_WRITEBACK] = "writeback",
					   [DISK_WRITETHROUGH] = "writethrough",
					   [DISK_DIRECT] = "none" };

const char *disk_format_text(enum disk_format format)
{
	return format_names[format];
}

const char *disk_cache_text(enum disk_cache cache)
{
	return cache_names[cache];
}

/* --- formats --------------------------------------------------------- */

/* What the first bytes look like; NULL: nothing that is known. */
static const char *looks_like(const uint8_t *b, size_t len)
{
	static const struct {
		const char *name;
		size_t at, len;
		const char *magic;
	} known[] = {
		{ "qcow2", 0, 4, "QFI\xfb" },
		{ "VMDK", 0, 4, "KDMV" },
		{ "VHDX", 0, 8, "vhdxfile" },
		{ "VHD", 0, 8, "conectix" },
		{ "VDI", 64, 4, "\x7f\x10\xda\xbe" },
		{ "QED", 0, 4, "QED" },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].at + known[i].len <= len &&
		    !memcmp(b + known[i].at, known[i].magic, known[i].len))
			return known[i].name;
	return NULL;
}

static int choose_format(struct disk *d, const struct disk_config *config,
			 struct err *e)
{
	/* O_DIRECT reads into aligned memory only. */
	uint8_t b[PROBE_BYTES] __attribute__((aligned(PROBE_BYTES)));
	const char *name;
	ssize_t n;

	if (config->format == DISK_QCOW2)
		return err_set(e, -ENOTSUP,
			       "%s: qcow2 images can't be opened by this "
			       "version yet; qemu-img convert makes raw ones",
			       d->path);
	d->info.format = DISK_RAW;
	if (config->format == DISK_RAW) /* INV-1 */
		return 0;
	n = pread(d->fd, b, sizeof(b), 0);
	if (n < 0)
		return err_sys(e, -errno, "%s", d->path);
	name = looks_like(b, (size_t)n);
	if (name)
		return err_set(e, -EINVAL,
			       "%s: looks like %s: say format=raw if its bytes "
			       "are the disk's",
			       d->path, name);
	return 0;
}

/* --- files ----------------------------------------------------------- */

static int open_error(int error, const char *path, bool read_only,
		      struct err *e)
{
	if (error == EROFS || (error == EACCES && !read_only))
		return err_sys(e, -error,
			       "%s: can't be written (ro opens it "
			       "for reading)",
			       path);
	return err_sys(e, -error, "%s", path);
}

static int check_kind(struct disk *d, const struct stat *st, struct err *e)
{
	uint64_t bytes = (uint64_t)st->st_size;
	int sector = DISK_SECTOR_BYTES;

	if (S_ISBLK(st->st_mode)) {
		if (ioctl(d->fd, BLKGETSIZE64, &bytes) < 0 ||
		    ioctl(d->fd, BLKSSZGET, &sector) < 0)
			return err_sys(e, -errno, "%s: size", d->path);
		d->info.logical_bytes = (uint32_t)sector;
	} else if (!S_ISREG(st->st_mode)) {
		return err_set(e, -EINVAL,
			       "%s: is neither a regular file nor a block "
			       "device",
			       d->path);
	}
	if (!bytes || bytes % (uint32_t)sector || bytes > INT64_MAX)
		return err_set(e, -EINVAL,
			       "%s: %llu bytes are no disk: a size is a "
			       "multiple of %d, and not 0",
			       d->path, (unsigned long long)bytes, sector);
	d->info.bytes = bytes;
	return 0;
}

/* What O_DIRECT wants here (statx(2), STATX_DIOALIGN, Linux 6.1). */
static void find_alignment(struct disk *d)
{
	d->memory_align = 1;
	if (d->info.cache != DISK_DIRECT)
		return;
	d->memory_align = DISK_SECTOR_BYTES;
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align) {
		d->memory_align = sx.stx_dio_mem_align;
		if (sx.stx_dio_offset_align > d->info.logical_bytes)
			d->info.logical_bytes = sx.stx_dio_offset_align;
	}
#endif
}

static bool can_punch(const struct disk *d)
{
	/* Beyond the end nothing is changed, but it tells. */
	return fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)d->info.bytes, 4096) == 0;
}

static void describe(struct disk *d, const struct stat *st)
{
	struct disk_info *info = &d->info;

	find_alignment(d);
	info->physical_bytes = st->st_blksize >= 4096 ? 4096 : 512;
	if (info->physical_bytes < info->logical_bytes)
		info->physical_bytes = info->logical_bytes;
	info->discard_bytes = info->physical_bytes;
	/* A block device tells at the first request. */
	info->can_discard =
		!info->read_only && (S_ISBLK(st->st_mode) || can_punch(d));
}

static int open_file(struct disk *d, const struct disk_config *config,
		     struct err *e)
{
	int flags = (config->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
		    O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int r;

	if (config->cache == DISK_DIRECT)
		flags |= O_DIRECT;
	d->fd = open(d->path, flags);
	if (d->fd < 0 && errno == EINVAL && config->cache == DISK_DIRECT)
		return err_set(e, -EINVAL,
			       "%s: its file system has no O_DIRECT "
			       "(cache=none): use another cache",
			       d->path);
	if (d->fd < 0)
		return open_error(errno, d->path, config->read_only, e);
	if (fstat(d->fd, &st) < 0)
		return err_sys(e, -errno, "%s", d->path);
	r = check_kind(d, &st, e);
	if (!r)
		r = disk_lock(d->fd, d->path, config->read_only, e);
	if (!r)
		describe(d, &st);
	return r;
}

int disk_open(struct disk **out, const struct disk_config *config,
	      struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, -ENOMEM, "%s", config->path);
	d->fd = -1;
	d->info = (struct disk_info){ .cache = config->cache,
				      .read_only = config->read_only,
				      .logical_bytes = DISK_SECTOR_BYTES };
	d->path = strdup(config->path);
	r = d->path ? open_file(d, config, e)
		    : err_sys(e, -ENOMEM, "%s", config->path);
	if (!r)
		r = choose_format(d, config, e);
	if (r) {
		disk_close(d);
		return r;
	}
	*out = d;
	return 0;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
	free(d);
}

/* --- use ------------------------------------------------------------- */

const struct disk_info *disk_get_info(const struct disk *d)
{
	return &d->info;
}

const char *disk_path(const struct disk *d)
{
	return d->path;
}

void disk_attach(struct disk *d, struct ioq *q)
{
	d->q = q;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
	raw_submit(d, r);
}

bool disk_is_poisoned(const struct disk *d)
{
	return d->is_poisoned;
}

void disk_verified(struct disk *d)
{
	d->is_poisoned = false;
}
