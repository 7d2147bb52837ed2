/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of headers, walked from all that somebody names. */
#include "snapshot/layer_map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/chain.h"
#include "snapshot/disks.h"
#include "snapshot/restore.h"
#include "snapshot/suspend.h"

#define FILES_MAX (1u << 20)

/* --- files ----------------------------------------------------------- */

int layer_map_find(const struct layer_map *m, const struct stat *st)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		if (m->file[i].st.st_ino == st->st_ino &&
		    m->file[i].st.st_dev == st->st_dev)
			return (int)i;
	return -1;
}

static int grow(struct layer_map *m)
{
	struct layer_file *file;
	struct lineage_node *node;

	if (m->count & (m->count - 1)) /* room was made by doubling */
		return 0;
	if (m->count >= FILES_MAX)
		return -EFBIG;
	file = realloc(m->file, (m->count ? 2 * m->count : 1) * sizeof(*file));
	if (!file)
		return -ENOMEM;
	m->file = file;
	node = realloc(m->node, (m->count ? 2 * m->count : 1) * sizeof(*node));
	if (!node)
		return -ENOMEM;
	m->node = node;
	return 0;
}

/* The number of the new file, or a negative errno. */
static int add(struct layer_map *m, const char *path, const struct stat *st,
	       struct err *e)
{
	int r = grow(m);

	if (r)
		return err_sys(e, r, "%s", path);
	m->file[m->count] = (struct layer_file){
		.path = strdup(path), .st = *st, .top_of = -1, .unused = -1
	};
	m->node[m->count] = (struct lineage_node){ .below = -1, .child = -1 };
	if (!m->file[m->count].path)
		return err_sys(e, -ENOMEM, "%s", path);
	return (int)m->count++;
}

static int add_image(struct layer_map *m, const char *path,
		     const struct image_backing *b, struct err *e)
{
	int i = add(m, path, &b->st, e);

	if (i < 0)
		return i;
	m->file[i].format = b->format;
	m->file[i].is_plain = b->format == DISK_QCOW2 &&
			      S_ISREG(b->st.st_mode) && !b->has_snapshots;
	return i;
}

/* --- chains ---------------------------------------------------------- */

/* A file that leads back to one of its own chain is behind itself. */
static bool is_behind(const struct layer_map *m, int file, int other)
{
	for (; file >= 0; file = m->node[file].below)
		if (file == other)
			return true;
	return false;
}

/* over: what stands on it; -1: nothing. *below: what it stands on itself. */
static int walk_one(struct layer_map *m, int over, const char *path,
		    enum disk_format format, struct image_backing *b,
		    bool *is_known, struct err *e)
{
	int r = image_backing_read(b, path, format, e), i;

	if (r)
		return r;
	i = layer_map_find(m, &b->st);
	*is_known = i >= 0;
	if (i < 0)
		i = add_image(m, path, b, e);
	else if (m->file[i].format != b->format)
		return err_set(e, -EINVAL,
			       "%s is raw for one image, and qcow2 for another",
			       path);
	if (i < 0 || over < 0)
		return i;
	if (is_behind(m, i, over))
		return err_set(e, -ELOOP, "%s is behind itself", path);
	m->node[over].below = i;
	return i;
}

/* The number of the first file, or a negative errno. */
static int walk(struct layer_map *m, const char *path, enum disk_format format,
		struct err *e)
{
	struct image_backing b, next;
	bool is_known;
	int first = walk_one(m, -1, path, format, &b, &is_known, e), at = first;
	unsigned int depth = 1;

	while (at >= 0 && !is_known && b.below && ++depth <= CHAIN_MAX) {
		at = walk_one(m, at, b.below, b.below_format, &next, &is_known,
			      e);
		image_backing_fini(&b);
		b = next;
	}
	if (depth > CHAIN_MAX)
		at = err_set(e, -ELOOP, "%s: more than %d layers", path,
			     CHAIN_MAX);
	image_backing_fini(&b);
	return at < 0 ? at : first;
}

/* --- who names them -------------------------------------------------- */

/* Would memory that remembers this disk as it is be torn? */
static bool is_remembered(const struct layer_map *m, const struct vm_disk *disk)
{
	size_t i;
	unsigned int k;

	if (suspend_exists(m->dir))
		return true;
	for (i = 0; i < m->sets.count; i++)
		for (k = 0; k < m->sets.set[i].disks; k++) {
			const struct snapshot_disk *d = &m->sets.set[i].disk[k];

			if (!d->layer && !strcmp(d->path, disk->path) &&
			    !snapshot_disk_check(d, NULL))
				return true;
		}
	return false;
}

static int add_disks(struct layer_map *m, struct err *e)
{
	unsigned int i;
	int at = 0;

	for (i = 0; i < m->config->disks && at >= 0; i++) {
		const struct vm_disk *disk = &m->config->disk[i];

		at = walk(m, disk->path, (enum disk_format)disk->format, e);
		if (at < 0)
			break;
		m->node[at].is_root = true;
		m->file[at].top_of = (int)i;
		m->file[at].disk = disk->path;
		m->node[at].may_grow = m->file[at].is_plain &&
				       !disk->read_only && !*disk->snapshot &&
				       !is_remembered(m, disk);
	}
	return at < 0 ? at : 0;
}

/* A disk that the VM has no more may still be there. */
static int add_former_disk(struct layer_map *m, const char *path, struct err *e)
{
	int at;

	if (access(path, F_OK) < 0)
		return 0;
	at = walk(m, path, DISK_FORMAT_UNKNOWN, e);
	if (at >= 0 && m->file[at].top_of < 0)
		m->node[at].is_root = true;
	return at < 0 ? at : 0;
}

static void own(struct layer_map *m, int at, const char *disk)
{
	struct layer_file *f = &m->file[at];

	f->disk = disk;
	if (f->top_of < 0)
		m->node[at].may_grow = f->is_plain && f->st.st_nlink == 1;
}

static int add_set(struct layer_map *m, const struct snapshot_meta *set,
		   struct err *e)
{
	unsigned int i;
	int at, r = 0;

	for (i = 0; i < set->disks && !r; i++) {
		const struct snapshot_disk *d = &set->disk[i];

		if (!d->layer)
			continue;
		r = add_former_disk(m, d->path, e);
		at = r ? r : walk(m, d->layer, DISK_QCOW2, e);
		if (at < 0)
			return err_prefix(e, "snapshot %s", set->name);
		m->node[at].is_root = true;
		m->file[at].is_named = true;
		own(m, at, d->path);
	}
	return 0;
}

/* Those that nothing stands on are in no chain: no header is needed. */
static int add_unused(struct layer_map *m, size_t n, struct err *e)
{
	const struct unused_layer *u = &m->unused.layer[n];
	struct stat st;
	int r = add_former_disk(m, u->disk, e), at;

	if (r)
		return r;
	if (lstat(u->layer, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", u->layer);
	if (!S_ISREG(st.st_mode))
		return 0;
	at = layer_map_find(m, &st);
	if (at < 0)
		at = add(m, u->layer, &st, e);
	if (at < 0)
		return at;
	m->file[at].unused = (int)n;
	m->node[at].is_unused = !m->file[at].is_named && m->file[at].top_of < 0;
	own(m, at, u->disk);
	return 0;
}

static int read_all(struct layer_map *m, struct err *e)
{
	size_t i;
	int r = store_list(m->dir, &m->sets, e);

	if (!r && m->sets.damaged)
		r = err_set(e, -EBADMSG, "%s", m->sets.why);
	if (!r)
		r = unused_load(m->dir, &m->unused, e);
	if (!r)
		r = add_disks(m, e);
	for (i = 0; i < m->sets.count && !r; i++)
		r = add_set(m, &m->sets.set[i], e);
	for (i = 0; i < m->unused.count && !r; i++)
		r = add_unused(m, i, e);
	return r;
}

int layer_map_read(struct layer_map *m, int dir, const struct vm_config *config,
		   struct err *e)
{
	int r;

	*m = (struct layer_map){ .dir = dir, .config = config };
	if (restore_is_open(dir))
		return err_set(e, -EBUSY, "a restore has not been ended");
	r = read_all(m, e);
	if (!r)
		lineage_decide(m->node, m->count);
	return r;
}

void layer_map_fini(struct layer_map *m)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		free(m->file[i].path);
	free(m->file);
	free(m->node);
	unused_fini(&m->unused);
	store_list_fini(&m->sets);
	*m = (struct layer_map){ .count = 0 };
}

int layer_map_disk(const struct layer_map *m, int file)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		if (m->file[i].top_of >= 0 && is_behind(m, (int)i, file))
			return m->file[i].top_of;
	return -1;
}
