/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links of frozen layers. Any thread. */
#include "disk/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/chain.h"
#include "disk/disk_tool.h"
#include "disk/paths.h"

struct linking {
	const struct disk *d;
	const char *directory;
	int fd; /* of it */
	bool made[CHAIN_MAX];
	struct err *e;
};

static const char *name_of(const struct linking *l, unsigned int i)
{
	return path_base(disk_layer_path(l->d, i));
}

static bool is_same(const struct linking *l, unsigned int i,
		    const struct stat *st)
{
	struct stat there;

	return !fstatat(l->fd, name_of(l, i), &there, AT_SYMLINK_NOFOLLOW) &&
	       there.st_dev == st->st_dev && there.st_ino == st->st_ino;
}

/* Its backing file is found by a name without a directory, or not at all. */
static int check_name(const struct linking *l, unsigned int i)
{
	const struct qcow2 *q = disk_layer_qcow2(l->d, i);

	if (!q || !*q->h.backing || !strcmp(q->h.backing, name_of(l, i + 1)))
		return 0;
	return err_set(l->e, -EINVAL,
		       "%s names its backing file %s, by a path or a link: it "
		       "would not be found from %s",
		       disk_layer_path(l->d, i), q->h.backing, l->directory);
}

static int link_one(struct linking *l, unsigned int i)
{
	const char *path = disk_layer_path(l->d, i);
	struct stat st;
	int r = check_name(l, i);

	if (r)
		return r;
	if (stat(path, &st) < 0)
		return err_sys(l->e, -errno, "%s", path);
	if (st.st_mode & 0222)
		return err_set(l->e, -EINVAL,
			       "%s can be written: only a frozen layer can be "
			       "shared",
			       path);
	if (is_same(l, i, &st))
		return 0;
	if (!linkat(AT_FDCWD, path, l->fd, name_of(l, i), AT_SYMLINK_FOLLOW)) {
		l->made[i] = true;
		return 0;
	}
	if (errno == EXDEV)
		return err_set(l->e, -EXDEV,
			       "%s: %s is on another file system: copy it "
			       "(amber disk convert)",
			       path, l->directory);
	return err_sys(l->e, -errno, "%s/%s", l->directory, name_of(l, i));
}

static void undo(struct linking *l)
{
	unsigned int i;

	for (i = 0; i < CHAIN_MAX; i++)
		if (l->made[i])
			unlinkat(l->fd, name_of(l, i), 0);
}

int layers_link(const struct disk *d, bool is_top, const char *directory,
		struct err *e)
{
	struct linking l = { .d = d, .directory = directory, .e = e };
	unsigned int i;
	int r = 0;

	l.fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l.fd < 0)
		return err_sys(e, -errno, "%s", directory);
	for (i = is_top ? 0 : 1; i < disk_layers(d) && !r; i++)
		r = link_one(&l, i);
	if (!r && fsync(l.fd) < 0)
		r = err_sys(e, -errno, "%s", directory);
	if (r)
		undo(&l);
	close(l.fd);
	return r;
}
