/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of every format: opening (kind, lock, format), the checks before a
 * request reaches its format, and syncs. Opened by one thread; requests are
 * the queue's thread's.
 *
 * INV-1  A file is never taken for another format than the one that was
 *        named; without a name only what looks like none is raw.
 * INV-2  At most one sync is in flight, and no request succeeds by a sync
 *        that was submitted before the request's own data was written.
 * INV-3  A poisoned disk reports no success to whoever changes or flushes it.
 */
#include "disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file_io.h"
#include "disk/format.h"
#include "disk/lock.h"

/* --- names ----------------------------------------------------------- */

const char *const disk_format_names[] = {
	[DISK_FORMAT_UNKNOWN] = "",
	[DISK_RAW] = "raw",
	[DISK_QCOW2] = "qcow2",
	NULL,
};
const char *const disk_cache_names[] = {
	[DISK_WRITEBACK] = "writeback",
	[DISK_WRITETHROUGH] = "writethrough",
	[DISK_DIRECT] = "none",
	NULL,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const char *const *names, size_t count, size_t i)
{
	return i < count - 1 && *names[i] ? names[i] : "unknown";
}

static int find_name(const char *const *names, const char *text)
{
	int i;

	for (i = 0; names[i]; i++)
		if (*text && !strcmp(names[i], text))
			return i;
	return -1;
}

const char *disk_format_text(enum disk_format format)
{
	return name_of(disk_format_names, COUNT(disk_format_names), format);
}

int disk_format_parse(const char *text)
{
	return find_name(disk_format_names, text);
}

const char *disk_cache_text(enum disk_cache cache)
{
	return name_of(disk_cache_names, COUNT(disk_cache_names), cache);
}

int disk_cache_parse(const char *text)
{
	return find_name(disk_cache_names, text);
}

/* --- which format ---------------------------------------------------- */

#define HEAD_BYTES 512

static const struct magic {
	size_t offset, bytes;
	const char *magic, *name;
} magics[] = {
	{ 0, 4, "QFI\xfb", "qcow2" },
	{ 0, 4, "KDMV", "VMDK" },
	{ 0, 8, "vhdxfile", "VHDX" },
	{ 64, 4, "\x7f\x10\xda\xbe", "VDI" },
};

/* Reads as buffered I/O does, also from a file opened for direct I/O. */
static int read_head(const struct disk *d, uint8_t *head, struct err *e)
{
	void *page;
	ssize_t n;

	if (posix_memalign(&page, 4096, 4096))
		return err_sys(e, -ENOMEM, "%s", d->path);
	memset(page, 0, HEAD_BYTES);
	n = pread(d->fd, page, 4096, 0);
	if (n < 0)
		err_sys(e, -errno, "%s: cannot be read", d->path);
	memcpy(head, page, HEAD_BYTES);
	free(page);
	return n < 0 ? -EIO : 0;
}

static const char *recognise(const uint8_t *head)
{
	size_t i;

	for (i = 0; i < COUNT(magics); i++)
		if (!memcmp(head + magics[i].offset, magics[i].magic,
			    magics[i].bytes))
			return magics[i].name;
	return NULL;
}

/* A name is what a person says, other than what is in the file. */
static bool is_named_qcow2(const char *path)
{
	static const char end[] = ".qcow2";
	size_t n = strlen(path);

	return n >= sizeof(end) && !strcmp(path + n - (sizeof(end) - 1), end);
}

static int decide_format(struct disk *d, enum disk_format format, struct err *e)
{
	uint8_t head[HEAD_BYTES];
	const char *name;
	int r;

	if (format == DISK_FORMAT_UNKNOWN && is_named_qcow2(d->path))
		format = DISK_QCOW2;
	if (format == DISK_QCOW2) {
		d->ops = &qcow2_ops;
		d->info.format = DISK_QCOW2;
		return 0;
	}
	d->ops = &raw_ops;
	d->info.format = DISK_RAW;
	if (format == DISK_RAW)
		return 0;
	r = read_head(d, head, e);
	if (r)
		return r;
	name = recognise(head);
	if (!name)
		return 0;
	if (disk_format_parse(name) >= 0)
		return err_set(e, -EINVAL,
			       "%s looks like a %s image: say format=%s, or "
			       "format=raw to use its bytes as they are",
			       d->path, name, name);
	return err_set(
		e, -EINVAL,
		"%s looks like a %s image, which is not supported: "
		"convert it (qemu-img convert -O raw), or say format=raw "
		"to use its bytes as they are",
		d->path, name);
}

/* --- opening --------------------------------------------------------- */

static int check_kind(const char *path, const struct stat *st, struct err *e)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return err_set(e, -EINVAL,
		       "%s is %s: a disk is a regular file or a "
		       "block device",
		       path,
		       S_ISDIR(st->st_mode)    ? "a directory"
		       : S_ISCHR(st->st_mode)  ? "a character device"
		       : S_ISFIFO(st->st_mode) ? "a FIFO"
					       : "a socket");
}

static int explain_open(const char *path, int flags, int r, struct err *e)
{
	if (r == -EROFS)
		return err_set(e, r, "%s is on a read-only file system: say ro",
			       path);
	if (r == -EINVAL && (flags & O_DIRECT))
		return err_set(e, r,
			       "%s: its file system has no direct I/O: say "
			       "cache=writeback",
			       path);
	return err_sys(e, r, "%s", path);
}

/* Nobody may write to it; the kernel says so to all but the superuser. */
static bool is_protected(const struct stat *st)
{
	return S_ISREG(st->st_mode) && !(st->st_mode & 0222);
}

static int explain_protected(const char *path, struct err *e)
{
	return err_set(e, -EACCES,
		       "%s may not be written (mode 0444): other disks may "
		       "stand on it; put a new layer on it (amber disk create "
		       "-b %s ...), or say ro",
		       path, path);
}

int disk_check_protection(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", path);
	return is_protected(&st) ? explain_protected(path, e) : 0;
}

/* Looks before it opens: opening a device or a FIFO can have effects. */
static int open_file(struct disk *d, struct err *e)
{
	int flags = d->info.read_only ? O_RDONLY : O_RDWR;
	struct stat st;

	if (d->info.cache == DISK_DIRECT)
		flags |= O_DIRECT;
	if (stat(d->path, &st) < 0)
		return err_sys(e, -errno, "%s", d->path);
	if (check_kind(d->path, &st, e))
		return -EINVAL;
	d->fd = open(d->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (d->fd < 0 && errno == EACCES && !d->info.read_only &&
	    is_protected(&st))
		return explain_protected(d->path, e);
	if (d->fd < 0)
		return explain_open(d->path, flags, -errno, e);
	if (fstat(d->fd, &st) < 0 || fcntl(d->fd, F_SETFL, flags) < 0)
		return err_sys(e, -errno, "%s", d->path);
	if (!d->info.read_only && is_protected(&st))
		return explain_protected(d->path, e);
	return check_kind(d->path, &st, e);
}

static int find_size(struct disk *d, struct err *e)
{
	uint64_t bytes = 0;
	int r = file_size(d->fd, &bytes, &d->is_block_device);

	if (r)
		return err_sys(e, r, "%s: size", d->path);
	if (!bytes)
		return err_set(e, -EINVAL, "%s is empty", d->path);
	d->info.bytes = bytes;
	return 0;
}

static int check_snapshot(const struct disk *d, struct err *e)
{
	if (!d->snapshot || (d->info.format == DISK_QCOW2 && d->info.read_only))
		return 0;
	return err_set(e, -EINVAL,
		       "%s: internal snapshots are shown of qcow2 images, "
		       "read-only (format=qcow2,ro)",
		       d->path);
}

static int borrow(struct disk *d, int fd, struct err *e)
{
	d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return d->fd < 0 ? err_sys(e, -errno, "%s", d->path) : 0;
}

static int open_all(struct disk *d, const struct disk_config *config,
		    struct err *e)
{
	int r = d->is_lent ? borrow(d, config->locked_fd, e) : open_file(d, e);

	if (!r && !d->is_lent)
		r = image_lock(d->fd, !config->read_only, d->path, e);
	if (!r)
		r = find_size(d, e);
	if (!r)
		r = decide_format(d, config->format, e);
	if (!r)
		r = check_snapshot(d, e);
	return r ? r : d->ops->open(d, e);
}

int disk_open(struct disk **out, const struct disk_config *config,
	      struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, -ENOMEM, "%s", config->path);
	d->fd = d->name_fd = -1;
	d->info.cache = config->cache;
	d->info.read_only = config->read_only;
	d->files = config->files ? config->files : &file_ops_real;
	d->allow_backing = config->allow_backing;
	d->is_alone = config->is_alone;
	d->snapshot = config->snapshot;
	d->is_lent = config->locked_fd > 0;
	d->held_end = &d->held;
	disk_changed(d); /* by whoever had it before */
	d->path = strdup(config->path);
	r = d->path ? open_all(d, config, e)
		    : err_sys(e, -ENOMEM, "%s", config->path);
	if (r)
		disk_close(d);
	else
		*out = d;
	return r;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	if (d->ops && d->ops->close)
		d->ops->close(d);
	if (d->fd >= 0) {
		if (!d->is_lent)
			image_unlock(d->fd);
		close(d->fd);
	}
	if (d->name_fd >= 0)
		close(d->name_fd);
	free(d->path);
	free(d);
}

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

/* --- requests -------------------------------------------------------- */

static void concluded(struct io *io, int error)
{
	disk_finish(IO_OWNER(io, struct disk_request, io), error);
}

void disk_finish(struct disk_request *r, int error)
{
	struct disk *d = r->disk;

	d->in_flight--;
	disk_look_quiet(d); /* before done(): it may close the disk */
	r->done(r, error);
}

void disk_conclude(struct disk *d, struct disk_request *r, int error)
{
	r->io.done = concluded;
	ioq_conclude(d->q, &r->io, error);
}

static bool is_inside(const struct disk_info *info,
		      const struct disk_request *r)
{
	return !(r->offset % info->logical_bytes) &&
	       !(r->bytes % info->logical_bytes) && r->offset <= info->bytes &&
	       r->bytes <= info->bytes - r->offset;
}

/* The pieces of memory are together as long as the range. */
static bool is_whole(const struct disk_request *r)
{
	uint64_t left = r->bytes;
	unsigned int i;

	for (i = 0; i < r->iovs; i++) {
		if (r->iov[i].iov_len > left)
			return false;
		left -= r->iov[i].iov_len;
	}
	return !left;
}

static int check(const struct disk *d, const struct disk_request *r)
{
	bool transfers = r->op == DISK_READ || r->op == DISK_WRITE;
	bool changes = r->op != DISK_READ && r->op != DISK_FLUSH;

	if (r->op > DISK_PULL ||
	    (r->op == DISK_PULL && d->info.format != DISK_QCOW2))
		return -EINVAL;
	if (changes && d->info.read_only)
		return -EROFS;
	if (r->op != DISK_FLUSH && !is_inside(&d->info, r))
		return -EINVAL;
	if (transfers && !is_whole(r))
		return -EINVAL;
	return r->op != DISK_READ && d->is_poisoned ? -EIO : 0;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
	int error;

	if (d->holds) {
		r->next = NULL;
		*d->held_end = r;
		d->held_end = &r->next;
		return;
	}
	error = check(d, r);
	d->in_flight++;
	r->disk = d;
	r->next = NULL;
	r->bounce = NULL;
	r->moved = 0;
	if (error || (!r->bytes && r->op != DISK_FLUSH) ||
	    (r->op == DISK_FLUSH && d->info.read_only))
		disk_conclude(d, r, error);
	else
		d->ops->submit(d, r);
}

/* --- syncs ----------------------------------------------------------- */

static void synced(struct io *io, int error);

static void start_sync(struct disk *d)
{
	d->syncing = d->to_sync;
	d->to_sync = NULL;
	d->syncing_changes = d->changes;
	d->sync.op = IO_SYNC;
	d->sync.fd = d->fd;
	d->sync.done = synced;
	ioq_submit(d->q, &d->sync);
}

static void finish_list(struct disk_request *r, int error)
{
	struct disk_request *next;

	for (; r; r = next) {
		next = r->next;
		disk_finish(r, error);
	}
}

static void synced(struct io *io, int error)
{
	struct disk *d = IO_OWNER(io, struct disk, sync);
	struct disk_request *list = d->syncing, *more = NULL;

	d->syncing = NULL;
	if (error) {
		d->is_poisoned = true;
		more = d->to_sync;
		d->to_sync = NULL;
	} else {
		d->synced = d->syncing_changes;
		if (d->to_sync)
			start_sync(d);
	}
	finish_list(list, error);
	finish_list(more, -EIO);
}

void disk_sync(struct disk *d, struct disk_request *r)
{
	struct disk_request **end = &d->to_sync;

	if (d->is_poisoned) {
		disk_conclude(d, r, -EIO);
		return;
	}
	if (d->synced == d->changes) {
		disk_conclude(d, r, 0);
		return;
	}
	while (*end)
		end = &(*end)->next;
	r->next = NULL;
	*end = r;
	if (!d->syncing)
		start_sync(d);
}

int disk_sync_name(struct disk *d)
{
	if (d->name_fd < 0)
		return 0;
	if (fsync(d->name_fd) < 0)
		return -errno;
	close(d->name_fd);
	d->name_fd = -1;
	return 0;
}

const char *disk_damage(const struct disk *d)
{
	return d->ops->damage ? d->ops->damage(d) : NULL;
}

bool disk_is_poisoned(const struct disk *d)
{
	return d->is_poisoned;
}

void disk_verified(struct disk *d)
{
	if (d->is_poisoned && d->ops->verified)
		d->ops->verified(d);
	d->is_poisoned = false;
	disk_changed(d); /* what the failed sync left */
}
