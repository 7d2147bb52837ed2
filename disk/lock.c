/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's locks on images (block/file-posix.c of QEMU 2.10 and later): for
 * each permission one byte says "somebody uses it", another one "somebody
 * doesn't share it". All locks are shared ones, so that taking them never
 * fails; then the opposite bytes are looked at. Two that open at the same
 * time may both be refused, and never both succeed.
 */
#include "disk/lock.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define GONE_TRIES 100 /* a second in all */
#define GONE_MS	   10

#define USED_BASE     100
#define UNSHARED_BASE 200
#define PERMISSIONS   4

#define PERM_READ   (1U << 0)
#define PERM_WRITE  (1U << 1)
#define PERM_RESIZE (1U << 3) /* 2 is a write that changes nothing */

#define READER_USES PERM_READ
#define WRITER_USES (PERM_READ | PERM_WRITE | PERM_RESIZE)
#define UNSHARED    (PERM_WRITE | PERM_RESIZE)

/* --- the bytes ------------------------------------------------------- */

static int set_byte(int fd, off_t byte, short type)
{
	struct flock lock = { .l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = byte,
			      .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static int set_bytes(int fd, off_t base, unsigned int bits)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < PERMISSIONS && !r; i++)
		if (bits & 1U << i)
			r = set_byte(fd, base + i, F_RDLCK);
	return r;
}

/* 1: somebody else has locked one of them. */
static int test_bytes(int fd, off_t base, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < PERMISSIONS; i++) {
		struct flock lock = { .l_type = F_WRLCK,
				      .l_whence = SEEK_SET,
				      .l_start = base + i,
				      .l_len = 1 };

		if (!(bits & 1U << i))
			continue;
		if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
			return -errno;
		if (lock.l_type != F_UNLCK)
			return 1;
	}
	return 0;
}

/* --- who it is ------------------------------------------------------- */

struct holder {
	long pid;
	char name[64];
};

/*
 * "lock: 1: OFDLCK ADVISORY READ -1 fe:00:1234 100 101" in the text about an
 * open file. The file itself is not asked: it may be one that hangs.
 */
static bool is_lock_of(const char *line, const struct stat *image)
{
	const char *at = strstr(line, "OFDLCK");
	unsigned int major_no, minor_no;
	unsigned long long inode;

	if (strncmp(line, "lock:", 5) || !at)
		return false;
	return sscanf(at, "OFDLCK %*s %*s %*s %x:%x:%llu", &major_no, &minor_no,
		      &inode) == 3 &&
	       makedev(major_no, minor_no) == image->st_dev &&
	       inode == image->st_ino;
}

static bool has_lock(int dir, const char *fd, const struct stat *image)
{
	int info = openat(dir, fd, O_RDONLY | O_CLOEXEC);
	bool found = false;
	char line[256];
	FILE *f;

	if (info < 0)
		return false;
	f = fdopen(info, "r");
	if (!f) {
		close(info);
		return false;
	}
	while (!found && fgets(line, sizeof(line), f))
		found = is_lock_of(line, image);
	fclose(f);
	return found;
}

static bool holds(const char *pid, const struct stat *image)
{
	struct dirent *entry;
	bool found = false;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = isdigit((unsigned char)entry->d_name[0]) &&
			has_lock(dirfd(dir), entry->d_name, image);
	closedir(dir);
	return found;
}

static void read_name(struct holder *holder)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", holder->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(holder->name, sizeof(holder->name), f))
		holder->name[strcspn(holder->name, "\n")] = '\0';
	fclose(f);
}

/*
 * pid is 0 when /proc doesn't tell (another user's process, no /proc). This
 * process counts only where it is not the one that asks for more.
 */
static void find_holder(int fd, bool counts_self, struct holder *holder)
{
	struct dirent *entry;
	struct stat image;
	DIR *proc;

	*holder = (struct holder){ .name = "?" };
	if (fstat(fd, &image) < 0)
		return;
	proc = opendir("/proc");
	if (!proc)
		return;
	while (!holder->pid && (entry = readdir(proc))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && (counts_self || pid != getpid()) &&
		    holds(entry->d_name, &image))
			holder->pid = pid;
	}
	closedir(proc);
	if (holder->pid)
		read_name(holder);
}

static int refuse(const struct holder *holder, const char *path, struct err *e)
{
	if (!holder->pid)
		return err_set(e, -EBUSY, "%s: in use by another process",
			       path);
	if (holder->pid == getpid())
		return err_set(e, -EBUSY, "%s: this VM has it already", path);
	return err_set(e, -EBUSY, "%s: in use by process %ld (%s)", path,
		       holder->pid, holder->name);
}

/* --- both ------------------------------------------------------------ */

/* 0: locked, 1: somebody has it, or a negative errno. */
static int try_lock(int fd, bool writes)
{
	unsigned int uses = writes ? WRITER_USES : READER_USES;
	int r;

	r = set_bytes(fd, USED_BASE, uses);
	if (!r)
		r = set_bytes(fd, UNSHARED_BASE, UNSHARED);
	if (!r)
		r = test_bytes(fd, UNSHARED_BASE, uses);
	if (!r)
		r = test_bytes(fd, USED_BASE, UNSHARED);
	if (r)
		image_unlock(fd);
	return r == -EAGAIN || r == -EACCES ? 1 : r;
}

/*
 * A process that was killed lets go when the kernel has ended what it had in
 * flight, a moment after it is gone, and nothing tells when: an image that
 * no process has is asked for again for a while.
 */
int image_lock(int fd, bool writes, const char *path, struct err *e)
{
	struct holder holder;
	unsigned int i;
	int r;

	for (i = 0; i < GONE_TRIES; i++) {
		r = try_lock(fd, writes);
		if (!r)
			return 0;
		if (r < 0)
			return err_sys(e, r, "%s: cannot be locked", path);
		/* It goes through all of /proc: for the first and last. */
		if (!i || i + 1 == GONE_TRIES)
			find_holder(fd, true, &holder);
		if (holder.pid)
			break;
		poll(NULL, 0, GONE_MS);
	}
	return refuse(&holder, path, e);
}

static void clear_bytes(int fd, off_t base, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < PERMISSIONS; i++)
		if (bits & 1U << i)
			set_byte(fd, base + i, F_UNLCK);
}

int image_lock_to_write(int fd, const char *path, struct err *e)
{
	struct holder holder;
	int r = set_bytes(fd, USED_BASE, WRITER_USES);

	if (!r)
		r = test_bytes(fd, UNSHARED_BASE, WRITER_USES);
	if (!r)
		return 0;
	image_lock_to_read(fd);
	if (r < 0)
		return err_sys(e, r, "%s: cannot be locked", path);
	find_holder(fd, false, &holder);
	return refuse(&holder, path, e);
}

void image_lock_to_read(int fd)
{
	clear_bytes(fd, USED_BASE, WRITER_USES & ~READER_USES);
}

void image_unlock(int fd)
{
	struct flock lock = { .l_type = F_UNLCK,
			      .l_whence = SEEK_SET,
			      .l_start = USED_BASE,
			      .l_len =
				      UNSHARED_BASE + PERMISSIONS - USED_BASE };

	fcntl(fd, F_OFD_SETLK, &lock);
}
