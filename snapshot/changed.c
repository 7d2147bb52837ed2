/* SPDX-License-Identifier: Apache-2.0 */
/* The top of each disk, which a snapshot left empty. */
#include "snapshot/changed.h"

#include <string.h>
#include <sys/stat.h>

#include "disk/disk_tool.h"
#include "snapshot/store.h"

static const char *layer_of(const struct snapshot_meta *m, const char *id)
{
	unsigned int i;

	for (i = 0; i < m->disks; i++)
		if (!strcmp(m->disk[i].id, id))
			return m->disk[i].layer;
	return NULL;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int has_writes(struct disk *d, bool *has)
{
	uint64_t at, end = disk_get_info(d)->bytes;
	struct disk_place p;
	int r = 0;

	*has = false;
	for (at = 0; at < end && !*has && !r; at += p.bytes) {
		r = disk_look(d, at, end - at, &p);
		*has = !r && p.is_there && p.layer == 0;
	}
	return r;
}

static int look_at(const struct vm_disk *disk, const char *layer, bool *changed,
		   struct err *e)
{
	const char *const allowed[] = { disk->allow_backing, NULL };
	struct disk_config config = {
		.path = disk->path,
		.format = (enum disk_format)disk->format,
		.read_only = true,
		.allow_backing = *allowed ? allowed : NULL,
	};
	struct disk *d;
	int r = disk_open(&d, &config, e);

	if (r)
		return r;
	*changed = disk_layers(d) < 2 ||
		   !is_same_file(disk_layer_path(d, 1), layer);
	if (!*changed)
		r = disk_explain(d, has_writes(d, changed), e);
	disk_close(d);
	return r;
}

int snapshot_disks_changed(int dir, const struct vm_config *config,
			   bool *changed, struct err *e)
{
	struct snapshot_meta m;
	const char *layer;
	struct err none = ERR_NONE; /* none is no error */
	unsigned int i;
	int r = store_find(dir, NULL, &m, &none);

	*changed = r || m.kind == SNAPSHOT_MEMORY;
	if (r && r != -ENOENT)
		err_set(e, r, "%s", none.text);
	for (i = 0; i < config->disks && !r && !*changed; i++) {
		if (config->disk[i].read_only)
			continue;
		layer = layer_of(&m, config->disk[i].id);
		*changed = !layer;
		if (layer)
			r = look_at(&config->disk[i], layer, changed, e);
	}
	snapshot_meta_fini(&m);
	return r == -ENOENT && *changed ? 0 : r;
}
