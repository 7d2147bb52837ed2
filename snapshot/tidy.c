/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking unused layers away. INV-1: a file goes whose identity is the one that
 * was judged, and that nobody has locked. INV-2: a name leaves the list when
 * its file is gone for good.
 */
#include "snapshot/tidy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "disk/layers.h"
#include "disk/lock.h"
#include "disk/paths.h"

/* --- files ----------------------------------------------------------- */

static int sync_directory(const char *path, struct err *e)
{
	char *parent = path_parent(path);
	int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = 0;

	if (fd < 0 || fsync(fd) < 0)
		r = err_sys(e, -errno, "%s", path);
	if (fd >= 0)
		close(fd);
	free(parent);
	return r;
}

/* Somebody may look at it, whom we don't know. */
static int lock_file(const struct layer_file *f, const char *path,
		     struct err *e)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	if (fstat(fd, &st) < 0)
		r = err_sys(e, -errno, "%s", path);
	else if (st.st_ino != f->st.st_ino || st.st_dev != f->st.st_dev)
		r = err_set(e, -ESTALE, "%s is another file now", path);
	else
		r = image_lock(fd, true, path, e);
	if (!r)
		return fd;
	close(fd);
	return r;
}

static int remove_file(const struct layer_file *f, const char *path,
		       struct tidy_done *done, struct err *e)
{
	int fd = lock_file(f, path, e), r = 0;

	if (fd < 0)
		return fd;
	if (unlink(path) < 0)
		r = err_sys(e, -errno, "%s", path);
	KILL_POINT("layer-removed");
	close(fd);
	if (r)
		return r;
	done->removed++;
	if (f->st.st_nlink == 1)
		done->bytes += (uint64_t)f->st.st_blocks * 512;
	return sync_directory(path, e);
}

/*
 * A kill between link and rename: the disk's own file has both names. The one
 * that the disk has stays.
 */
static int remove_name(const struct layer_file *f, const char *path,
		       struct err *e)
{
	char *disk = realpath(f->path, NULL);
	bool is_other = disk && strcmp(disk, path) != 0;

	free(disk);
	if (!is_other || f->st.st_nlink < 2)
		return err_set(e, -EBUSY, "%s is a disk of the VM", path);
	if (unlink(path) < 0)
		return err_sys(e, -errno, "%s", path);
	return sync_directory(path, e);
}

/* --- the list -------------------------------------------------------- */

static int file_of(const struct layer_map *m, size_t unused)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		if (m->file[i].unused == (int)unused)
			return (int)i;
	return -1;
}

/* Is it gone from the list? What can't go now can later. */
static bool settle(struct layer_map *m, size_t n, struct tidy_done *done,
		   struct err *e)
{
	const char *path = m->unused.layer[n].layer;
	int at = file_of(m, n);

	if (at < 0)
		return true;
	if (m->file[at].top_of >= 0)
		return !remove_name(&m->file[at], path, e);
	if (m->file[at].is_named)
		return true;
	if (m->node[at].fate == LINEAGE_REMOVE)
		return !remove_file(&m->file[at], path, done, e);
	return false;
}

static void count_left(const struct layer_map *m, size_t n,
		       struct tidy_done *done)
{
	int at = file_of(m, n);

	if (m->node[at].fate == LINEAGE_MERGE)
		done->waiting++;
	else
		done->needed++;
}

int tidy_remove(struct layer_map *m, struct tidy_done *done, struct err *e)
{
	size_t i, gone = 0;

	done->waiting = done->needed = 0;
	done->why[0] = '\0';
	for (i = 0; i < m->unused.count; i++) {
		struct err why = ERR_NONE;
		bool is_gone = settle(m, i, done, &why);

		m->unused.layer[i].is_gone = is_gone;
		gone += is_gone;
		if (!is_gone)
			count_left(m, i, done);
		if (why.code && !*done->why)
			memcpy(done->why, why.text, sizeof(done->why));
	}
	return gone || !m->unused.count ? unused_save(m->dir, &m->unused, e)
					: 0;
}

int tidy_all(int dir, const struct vm_config *config, struct tidy_done *done,
	     struct err *e)
{
	struct layer_map m;
	int r;

	if (!unused_exists(dir))
		return 0;
	r = layer_map_read(&m, dir, config, e);
	if (!r)
		r = tidy_remove(&m, done, e);
	layer_map_fini(&m);
	return r;
}

/* --- merging --------------------------------------------------------- */

static const char *find_allowed(const struct layer_map *m, const char *disk)
{
	unsigned int i;

	for (i = 0; disk && i < m->config->disks; i++)
		if (!strcmp(m->config->disk[i].path, disk))
			return m->config->disk[i].allow_backing;
	return NULL;
}

bool tidy_next(const struct layer_map *m, struct tidy_merge *out)
{
	int at = lineage_next_merge(m->node, m->count), child;

	if (at < 0)
		return false;
	child = m->node[at].child;
	*out = (struct tidy_merge){
		.layer = m->file[at].path,
		.into = m->file[child].path,
		.st = m->file[at].st,
		.disk = layer_map_disk(m, child),
		.is_top = m->file[child].top_of >= 0,
		.allow_backing = find_allowed(m, m->file[child].disk),
	};
	return true;
}

int tidy_merge(const struct tidy_merge *merge,
	       int (*progress)(void *ctx, unsigned int permille), void *ctx,
	       struct err *e)
{
	const char *const allowed[] = { DISK_BESIDE, merge->allow_backing,
					NULL };
	const struct disk_config config = {
		.path = merge->into,
		.format = DISK_QCOW2,
		.allow_backing = allowed,
	};
	struct layer_job job = { &config, progress, ctx };

	return layers_merge_below(&job, e);
}

/* --- telling --------------------------------------------------------- */

static size_t append(char *text, size_t bytes, size_t at, unsigned int count,
		     const char *one, const char *more)
{
	int n = 0;

	if (count && at < bytes)
		n = snprintf(text + at, bytes - at, "%s%u layer%s",
			     at ? "; " : "", count, count == 1 ? one : more);
	return at + (size_t)n;
}

void tidy_describe(const struct tidy_done *done, char *text, size_t bytes)
{
	size_t at;

	*text = '\0';
	at = append(text, bytes, 0, done->merged, " merged", "s merged");
	at = append(text, bytes, at, done->removed, " removed", "s removed");
	if (done->removed && at < bytes)
		at += (size_t)snprintf(text + at, bytes - at,
				       " (%" PRIu64 " KiB)", done->bytes >> 10);
	at = append(text, bytes, at, done->waiting, " to be merged",
		    "s to be merged");
	append(text, bytes, at, done->needed, " still needed",
	       "s still needed");
}
