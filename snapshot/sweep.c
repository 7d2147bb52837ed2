/* SPDX-License-Identifier: Apache-2.0 */
/* Leftovers beside disks. One thread. */
#include "snapshot/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "disk/backing.h"
#include "disk/lock.h"
#include "disk/paths.h"
#include "snapshot/meta.h"

#define HEX	     "0123456789abcdef"
#define DIGITS	     "0123456789"
#define ALNUM	     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS
#define RANDOM_CHARS 6 /* of mkostemp() */
#define SUFFIX	     ".qcow2"
#define HEAD_BYTES   512
#define MADE_BYTES   (4 << 20) /* an empty image has no more */

struct sweep {
	char *path;	  /* owned: the disk's file, no link */
	const char *base; /* in path */
	size_t stem;	  /* bytes of base without the suffix */
	struct stat disk;
	int dir; /* borrowed */
};

/* --- names ----------------------------------------------------------- */

static bool is_made_of(const char *text, const char *chars, size_t count)
{
	return strlen(text) == count && strspn(text, chars) == count;
}

/* What is behind DISK and the word; NULL: it is another name. */
static const char *behind(const struct sweep *s, const char *name,
			  const char *word)
{
	size_t n = strlen(s->base), w = strlen(word);

	return !strncmp(name, s->base, n) && !strncmp(name + n, word, w)
		       ? name + n + w
		       : NULL;
}

/* STEM.ID.qcow2 */
static bool is_layer_name(const struct sweep *s, const char *name)
{
	const char *id = name + s->stem + 1;

	return strlen(name) ==
		       s->stem + 1 + SNAPSHOT_ID_CHARS + strlen(SUFFIX) &&
	       !strncmp(name, s->base, s->stem) && id[-1] == '.' &&
	       strspn(id, HEX) == SNAPSHOT_ID_CHARS &&
	       !strcmp(id + SNAPSHOT_ID_CHARS, SUFFIX);
}

/* --- what they are --------------------------------------------------- */

static bool is_disk(const struct sweep *s, const struct stat *st)
{
	return st->st_ino == s->disk.st_ino && st->st_dev == s->disk.st_dev;
}

/* The header is written last: what has none yet was being made. */
static bool has_no_header(int fd)
{
	char head[HEAD_BYTES];
	struct stat st;

	return !fstat(fd, &st) && st.st_size <= MADE_BYTES &&
	       pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       memory_is_zero(head, sizeof(head));
}

static bool is_new_layer(const struct sweep *s, const char *name)
{
	char self[64];
	struct image_backing b;
	bool is_one = false;
	int fd = openat(s->dir, name,
			O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return false;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	image_backing_read(&b, self, DISK_QCOW2, NULL);
	is_one = *b.name ? is_layer_name(s, path_base(b.name))
			 : has_no_header(fd);
	image_backing_fini(&b);
	close(fd);
	return is_one;
}

static bool is_leftover(const struct sweep *s, const char *name,
			const struct stat *st)
{
	const char *rest = behind(s, name, ".new.");

	if (rest && is_made_of(rest, ALNUM, RANDOM_CHARS))
		return !is_disk(s, st) &&
		       (!st->st_size || is_new_layer(s, name));
	rest = behind(s, name, ".was.");
	if (rest && is_made_of(rest, HEX, SNAPSHOT_ID_CHARS))
		return true;
	rest = behind(s, name, ".old.");
	if (rest && *rest && is_made_of(rest, DIGITS, strlen(rest)))
		return st->st_nlink > 1;
	return is_layer_name(s, name) && is_disk(s, st) && st->st_nlink > 1;
}

static bool is_free(const struct sweep *s, const char *name)
{
	int fd = openat(s->dir, name,
			O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	bool is_locked = fd < 0 || image_lock(fd, true, name, NULL);

	if (fd >= 0)
		close(fd);
	return !is_locked;
}

static unsigned int look(const struct sweep *s, const char *name)
{
	struct stat st;

	if (!strcmp(name, s->base) ||
	    fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) ||
	    (st.st_uid != geteuid() && st.st_uid != s->disk.st_uid) ||
	    !is_leftover(s, name, &st) || !is_free(s, name))
		return 0;
	return !unlinkat(s->dir, name, 0);
}

/* --- all of them ----------------------------------------------------- */

static unsigned int look_at_all(struct sweep *s)
{
	char *parent = path_parent(s->path);
	DIR *d = parent ? opendir(parent) : NULL;
	const struct dirent *entry;
	unsigned int found = 0;

	free(parent);
	if (!d)
		return 0;
	s->dir = dirfd(d);
	while ((entry = readdir(d)) != NULL)
		if (!strncmp(entry->d_name, s->base, s->stem))
			found += look(s, entry->d_name);
	closedir(d);
	return found;
}

static unsigned int sweep_disk(const struct vm_disk *disk)
{
	struct sweep s = { .path = realpath(disk->path, NULL) };
	size_t suffix = strlen(SUFFIX);
	unsigned int found = 0;

	if (!s.path)
		return 0;
	s.base = path_base(s.path);
	s.stem = strlen(s.base);
	if (s.stem > suffix && !strcmp(s.base + s.stem - suffix, SUFFIX))
		s.stem -= suffix;
	if (!stat(s.path, &s.disk) && S_ISREG(s.disk.st_mode))
		found = look_at_all(&s);
	free(s.path);
	return found;
}

unsigned int sweep_disks(const struct vm_config *config)
{
	unsigned int i, found = 0;

	for (i = 0; i < config->disks; i++)
		if (!config->disk[i].read_only)
			found += sweep_disk(&config->disk[i]);
	return found;
}
