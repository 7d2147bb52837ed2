/* SPDX-License-Identifier: Apache-2.0 */
/* From a set and its layers to those of another VM. */
#include "clone/branch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kill_point.h"
#include "clone/branch_chain.h"
#include "disk/layers.h"
#include "disk/paths.h"
#include "snapshot/store.h"
#include "vmm/ram.h"
#include "vmm/ram_warm.h"

struct branch {
	int from; /* borrowed */
	bool is_warm;
	struct snapshot_meta meta;		 /* owned */
	struct branch_chain chain[VM_DISKS_MAX]; /* owned: of meta.disk[i] */
	char *top[VM_DISKS_MAX];   /* owned: name of the new disk's file */
	char *where[VM_DISKS_MAX]; /* owned: its directory, later */
	bool copied[VM_DISKS_MAX];
};

/* --- which ----------------------------------------------------------- */

/* root.ID.qcow2 was root.qcow2. */
static char *top_name(const struct snapshot_disk *d, const char *id)
{
	const char *base = path_base(d->layer), *at = strstr(base, id);
	char *name;

	if (!at || at == base || at[-1] != '.' || at[SNAPSHOT_ID_CHARS] != '.')
		return strdup(path_base(d->path));
	if (asprintf(&name, "%.*s%s", (int)(at - base - 1), base,
		     at + SNAPSHOT_ID_CHARS) < 0)
		return NULL;
	return name;
}

static int open_disk(struct branch *b, unsigned int i, struct err *e)
{
	const struct snapshot_disk *d = &b->meta.disk[i];
	int r;

	if (!d->layer)
		return 0;
	r = branch_chain_read(&b->chain[i], d->layer, e);
	if (r)
		return err_prefix(e, "disk %s", d->id);
	b->top[i] = top_name(d, b->meta.id);
	if (!b->top[i])
		return err_sys(e, -ENOMEM, "disk %s", d->id);
	if (branch_chain_has(&b->chain[i], b->top[i]))
		return err_set(e, -EEXIST, "disk %s stands on another %s",
			       d->id, b->top[i]);
	return 0;
}

static int open_all(struct branch *b, const char *what, struct err *e)
{
	unsigned int i;
	int r = store_find(b->from, what, &b->meta, e);

	if (r)
		return r;
	if (b->meta.kind == SNAPSHOT_MEMORY && b->meta.disks)
		return err_set(e, -EINVAL,
			       "snapshot %s has memory, but not the disks that "
			       "belong to it",
			       b->meta.name);
	for (i = 0; i < b->meta.disks && !r; i++)
		r = open_disk(b, i, e);
	return r ? err_prefix(e, "snapshot %s", b->meta.name) : 0;
}

int branch_open(struct branch **out, int from, const char *what, bool is_cold,
		struct err *e)
{
	struct branch *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_sys(e, -ENOMEM, "a new VM");
	b->from = from;
	r = open_all(b, what, e);
	b->is_warm = !is_cold && b->meta.kind != SNAPSHOT_DISK;
	if (r)
		branch_close(b);
	else
		*out = b;
	return r;
}

const struct snapshot_meta *branch_meta(const struct branch *b)
{
	return &b->meta;
}

bool branch_is_warm(const struct branch *b)
{
	return b->is_warm;
}

void branch_close(struct branch *b)
{
	unsigned int i;

	if (!b)
		return;
	for (i = 0; i < VM_DISKS_MAX; i++) {
		branch_chain_fini(&b->chain[i]);
		free(b->top[i]);
		free(b->where[i]);
	}
	snapshot_meta_fini(&b->meta);
	free(b);
}

/* --- where ----------------------------------------------------------- */

static int replace(char **text, char *by)
{
	if (!by)
		return -ENOMEM;
	free(*text);
	*text = by;
	return 0;
}

static char *join(const char *a, const char *b)
{
	char *path;

	return asprintf(&path, "%s/%s", a, b) < 0 ? NULL : path;
}

static int place_disk(struct branch *b, unsigned int i, struct vm_disk *disk,
		      const char *path, struct err *e)
{
	const struct snapshot_disk *d = &b->meta.disk[i];
	int r = branch_chain_allow(&b->chain[i], disk, e);

	if (r)
		return err_prefix(e, "disk %s", d->id);
	if (asprintf(&b->where[i], "%s/" BRANCH_DISKS "/%s", path, d->id) < 0) {
		b->where[i] = NULL;
		return err_sys(e, -ENOMEM, "disk %s", d->id);
	}
	r = replace(&disk->path, join(b->where[i], b->top[i]));
	return r ? err_sys(e, r, "disk %s", d->id) : 0;
}

int branch_place_disks(struct branch *b, struct vm_config *config,
		       const char *path, struct err *e)
{
	unsigned int i;
	int at, r;

	for (i = 0; i < b->meta.disks; i++) {
		if (!b->top[i])
			continue;
		at = vm_config_disk(config, b->meta.disk[i].id);
		if (at < 0)
			return err_set(e, -EINVAL,
				       "snapshot %s has a disk %s, its "
				       "configuration has none",
				       b->meta.name, b->meta.disk[i].id);
		r = place_disk(b, i, &config->disk[at], path, e);
		if (r)
			return r;
	}
	return 0;
}

/* --- disks ----------------------------------------------------------- */

static int make_top(const struct branch *b, unsigned int i,
		    const char *directory, struct err *e)
{
	char *layer = join(directory, b->chain[i].link[0].name);
	char *top = join(directory, b->top[i]);
	int r = layer && top ? layer_restore(top, layer, NULL, NULL, e)
			     : err_sys(e, -ENOMEM, "a disk");

	free(layer);
	free(top);
	return r;
}

static int make_disk(struct branch *b, unsigned int i, const char *disks,
		     const struct vm_config *config, struct err *e)
{
	const struct snapshot_disk *d = &b->meta.disk[i];
	char *directory = join(disks, d->id);
	int r;

	if (!directory)
		return err_sys(e, -ENOMEM, "disk %s", d->id);
	if (mkdir(directory, 0700) < 0)
		r = err_sys(e, -errno, "%s", directory);
	else
		r = branch_chain_make(&b->chain[i], directory, config, d,
				      &b->copied[i], e);
	KILL_POINT("branch-linked");
	if (!r)
		r = make_top(b, i, directory, e);
	free(directory);
	return r ? err_prefix(e, "disk %s", d->id) : 0;
}

static int sync_dir(const char *path, struct err *e)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (dir < 0 || fsync(dir) < 0)
		r = err_sys(e, -errno, "%s", path);
	if (dir >= 0)
		close(dir);
	return r;
}

static int make_disks(struct branch *b, const char *to_path,
		      const struct vm_config *config,
		      struct branch_figures *figures, struct err *e)
{
	char *disks = join(to_path, BRANCH_DISKS);
	unsigned int i;
	int r = 0;

	if (!disks)
		return err_sys(e, -ENOMEM, BRANCH_DISKS);
	if (mkdir(disks, 0700) < 0)
		r = err_sys(e, -errno, "%s", disks);
	for (i = 0; i < b->meta.disks && !r; i++) {
		if (!b->top[i])
			continue;
		r = make_disk(b, i, disks, config, e);
		figures->copied += b->copied[i];
		figures->linked += b->copied[i] ? 0 : b->chain[i].links;
	}
	if (!r)
		r = sync_dir(disks, e);
	free(disks);
	return r;
}

/* --- the sets that its memory is made of ------------------------------ */

/* Takes both over. */
static int move_disk(struct snapshot_disk *d, char *layer, char *path)
{
	int r = replace(&d->layer, layer);

	if (!r)
		return replace(&d->path, path);
	free(path);
	return r;
}

/* Its layers are those in the new directory, as far as they are there. */
static int adapt_disk(const struct branch *b, struct snapshot_meta *m,
		      struct snapshot_disk *d, const struct vm_config *config)
{
	const char *name = path_base(d->layer);
	int at = vm_config_disk(config, d->id);
	unsigned int i;

	for (i = 0; i < b->meta.disks; i++)
		if (b->top[i] && !strcmp(b->meta.disk[i].id, d->id))
			break;
	if (at >= 0 && i < b->meta.disks &&
	    (b->copied[i] ? !strcmp(b->chain[i].link[0].name, name)
			  : branch_chain_has(&b->chain[i], name)))
		return move_disk(d, join(b->where[i], name),
				 strdup(config->disk[at].path));
	/* Memory that others stand on, and no disks. */
	m->kind = SNAPSHOT_MEMORY;
	free(d->layer);
	d->layer = NULL;
	d->inode = 0;
	return 0;
}

static int adapt(const struct branch *b, struct snapshot_meta *m,
		 const struct vm_config *config, struct err *e)
{
	unsigned int i;
	int r = 0;

	memcpy(m->vm, config->name, sizeof(m->vm));
	memcpy(m->uuid, config->uuid, sizeof(m->uuid));
	memcpy(m->parent, m->base, sizeof(m->parent));
	m->is_pinned = false;
	for (i = 0; i < m->disks && !r; i++)
		if (m->disk[i].layer)
			r = adapt_disk(b, m, &m->disk[i], config);
	return r ? err_sys(e, r, "snapshot %s", m->name) : 0;
}

static int link_files(int from, int to, struct err *e)
{
	static const char *const names[] = { STORE_STATE, STORE_MEMORY,
					     STORE_MAP };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (linkat(from, names[i], to, names[i], 0) < 0)
			return err_sys(e, -errno, "a link to %s", names[i]);
	/* That is advice, and need not be there. */
	return linkat(from, RAM_WARM_FILE, to, RAM_WARM_FILE, 0) < 0 &&
			       errno != ENOENT
		       ? err_sys(e, -errno, "a link to %s", RAM_WARM_FILE)
		       : 0;
}

static int fill_set(const struct branch *b, int from, int set,
		    const struct vm_config *config, const char *json,
		    const char *id, char base[SNAPSHOT_ID_CHARS + 1],
		    struct err *e)
{
	struct snapshot_meta m;
	int r = store_read_meta(from, id, &m, e);

	if (!r)
		r = adapt(b, &m, config, e);
	memcpy(base, m.base, sizeof(m.base));
	if (!r)
		r = link_files(from, set, e);
	if (!r)
		r = file_commit(set, STORE_CONFIG, json, strlen(json),
				FILE_DURABLE, e);
	if (!r)
		r = store_write_meta(set, &m, e);
	snapshot_meta_fini(&m);
	return r;
}

/* base: what it stands on, ""; filled in. */
static int make_set(const struct branch *b, int to,
		    const struct vm_config *config, const char *json,
		    const char *id, char base[SNAPSHOT_ID_CHARS + 1],
		    struct err *e)
{
	int from = store_open(b->from, id, e), set, r;

	if (from < 0)
		return from;
	set = store_begin_as(to, id, e);
	r = set < 0 ? set : fill_set(b, from, set, config, json, id, base, e);
	if (!r)
		r = store_publish(to, id, e);
	if (set >= 0)
		close(set);
	close(from);
	return r ? err_prefix(e, "snapshot %s", id) : 0;
}

static int make_sets(const struct branch *b, int to,
		     const struct vm_config *config, const char *json,
		     struct branch_figures *figures, struct err *e)
{
	char id[SNAPSHOT_ID_CHARS + 1], base[SNAPSHOT_ID_CHARS + 1];
	int r = 0;

	memcpy(id, b->meta.id, sizeof(id));
	while (!r && *id) {
		if (figures->sets++ == RAM_IMAGES_MAX)
			return err_set(e, -ELOOP,
				       "snapshot %s: more than %u increments",
				       b->meta.name, RAM_IMAGES_MAX);
		r = make_set(b, to, config, json, id, base, e);
		memcpy(id, base, sizeof(id));
		KILL_POINT("branch-set");
	}
	return r ? r : store_set_current(to, b->meta.id, FILE_DURABLE, e);
}

int branch_make(struct branch *b, int to, const char *to_path,
		const struct vm_config *config, const char *json,
		struct branch_figures *figures, struct err *e)
{
	int r;

	*figures = (struct branch_figures){ .linked = 0 };
	r = make_disks(b, to_path, config, figures, e);
	if (!r && b->is_warm)
		r = make_sets(b, to, config, json, figures, e);
	return r;
}
