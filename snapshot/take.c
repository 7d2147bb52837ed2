/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of state, memory and layers, of one moment. INV-1: nothing is found
 * in the store before all of it is on the disk.
 */
#include "snapshot/take_private.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kill_point.h"
#include "base/name.h"
#include "base/utf8.h"
#include "disk/overlay.h"
#include "snapshot/disks.h"
#include "snapshot/memory.h"
#include "snapshot/naming.h"
#include "snapshot/quota.h"
#include "snapshot/store.h"
#include "snapshot/unused.h"
#include "vmm/machine.h"
#include "vmm/machine_state.h"

static bool has_memory(const struct snapshot_take *t)
{
	return t->meta.kind != SNAPSHOT_DISK;
}

static bool has_disks(const struct snapshot_take *t)
{
	return t->meta.kind != SNAPSHOT_MEMORY;
}

/* --- names ----------------------------------------------------------- */

static bool is_taken(const struct store_list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!strcmp(list->set[i].name, name))
			return true;
	return false;
}

static int check_wish(const struct snapshot_meta *m,
		      const struct store_list *list, struct err *e)
{
	if (name_check(m->name, SNAPSHOT_NAME_MAX, e))
		return err_prefix(e, "snapshot");
	return is_taken(list, m->name)
		       ? err_set(e, -EEXIST, "there is a snapshot '%s' already",
				 m->name)
		       : 0;
}

static void make_name(struct snapshot_meta *m, const char *template,
		      const struct store_list *list)
{
	size_t len;
	int n;

	naming_make(*template ? template : NAMING_DEFAULT, m, m->name);
	len = strlen(m->name);
	for (n = 2; is_taken(list, m->name) && n < 1000; n++)
		snprintf(m->name + len, sizeof(m->name) - len, "-%d", n);
}

static int choose_name(const struct snapshot_take *t, struct snapshot_meta *m,
		       const struct snapshot_order *o,
		       const struct store_list *list, struct err *e)
{
	const struct vm_snapshots *limits = &t->config->snapshots;
	int r = 0;

	if (*o->name) {
		snprintf(m->name, sizeof(m->name), "%s", o->name);
		r = check_wish(m, list, e);
	} else {
		make_name(m, limits->name, list);
	}
	if (!r && !o->is_safety && *limits->pattern)
		r = naming_match(limits->pattern, m->name, e);
	return r;
}

/* --- before ---------------------------------------------------------- */

static int describe(struct snapshot_take *t, const struct snapshot_order *o,
		    struct err *e)
{
	struct snapshot_meta *m = &t->meta;
	struct store_list list;
	int r = store_list(t->dir, &list, e);

	if (r)
		return r;
	m->kind = o->kind;
	m->consistency = o->consistency;
	m->created_ns = clock_wall_ns();
	clock_rfc3339(m->created_ns, m->created);
	snprintf(m->vm, sizeof(m->vm), "%s", t->config->name);
	snprintf(m->uuid, sizeof(m->uuid), "%s", t->config->uuid);
	snprintf(m->version, sizeof(m->version), "%s", o->version);
	snprintf(m->purpose, sizeof(m->purpose), "%s",
		 *o->purpose ? o->purpose : "manual");
	m->cpus = t->config->cpus;
	m->memory_bytes = t->config->memory_bytes;
	m->is_pinned = o->is_pinned;
	m->expires_ns = o->expires_ns;
	memcpy(m->label, o->label, sizeof(m->label));
	m->labels = o->labels;
	store_current(t->dir, m->parent);
	r = utf8_is_printable(m->purpose)
		    ? choose_name(t, m, o, &list, e)
		    : err_set(e, -EINVAL,
			      "purpose: has characters that can't be shown");
	if (!r && !o->is_safety)
		r = quota_check(t->dir, t->config, m, o->incremental, &list, e);
	store_list_fini(&list);
	return r;
}

/*
 * What the guest has written by now is on the disk before it stands still, so
 * that little is left for that moment. Only a matter of time: an error comes
 * up again in the flush that counts.
 */
static void flush_early(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	fdatasync(fd);
	close(fd);
}

static int prepare_disk(struct snapshot_take *t, unsigned int i, uint64_t bytes,
			struct err *e)
{
	const struct vm_disk *disk = &t->config->disk[i];
	struct snapshot_disk *d = &t->meta.disk[i];
	struct overlay_place place = { .path = disk->path,
				       .bytes = bytes,
				       .cache = disk->cache };
	int r;

	snprintf(d->id, sizeof(d->id), "%s", disk->id);
	d->path = strdup(disk->path);
	d->bytes = bytes;
	t->meta.disks = i + 1;
	if (!d->path)
		return err_sys(e, -ENOMEM, "disk %s", d->id);
	if (!has_disks(t) || disk->read_only)
		return 0;
	r = snapshot_layer_path(disk->path, t->meta.id, &d->layer, e);
	place.layer = d->layer;
	flush_early(disk->path);
	if (!r)
		r = overlay_prepare_under(&t->overlay[i], &place, e);
	if (r)
		err_prefix(e, "disk %s", d->id);
	return r;
}

/* The memory that an increment stands on; without one it is a full image. */
static int find_base(struct snapshot_take *t, struct err *e)
{
	struct ram_images images = { .count = 0 };
	struct snapshot_meta m;
	int r = store_find(t->dir, NULL, &m, NULL);

	if (!r && m.kind != SNAPSHOT_DISK &&
	    m.memory_bytes == t->meta.memory_bytes)
		r = memory_open(t->dir, &m, &images, e);
	if (!r && images.count && images.count < RAM_IMAGES_MAX) {
		r = ram_create(&t->base, m.memory_bytes, e);
		if (!r)
			r = ram_image_map(&t->base, &images, e);
		memcpy(t->meta.base, m.id, sizeof(t->meta.base));
	}
	ram_images_close(&images);
	snapshot_meta_fini(&m);
	return r == -ENOENT ? 0 : r;
}

static int make_ready(struct snapshot_take *t, const struct snapshot_order *o,
		      struct err *e)
{
	unsigned int i;
	int r = describe(t, o, e);

	if (!r) {
		t->set = store_begin(t->dir, t->meta.id, e);
		r = t->set < 0 ? t->set : 0;
	}
	if (!r)
		r = file_commit(t->set, STORE_CONFIG, o->config_json,
				strlen(o->config_json), FILE_DURABLE, e);
	if (!r && has_memory(t)) {
		t->memory = openat(t->set, STORE_MEMORY,
				   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (t->memory < 0)
			r = err_sys(e, -errno, STORE_MEMORY);
	}
	if (!r && has_memory(t) && o->incremental)
		r = find_base(t, e);
	for (i = 0; i < t->config->disks && !r; i++)
		r = prepare_disk(t, i, o->disk_bytes[i], e);
	if (!r) /* should there be no set in the end */
		r = unused_note(t->dir, &t->meta, e);
	KILL_POINT("snapshot-begun");
	return r;
}

int snapshot_begin(struct snapshot_take **out, int dir,
		   const struct vm_config *config,
		   const struct snapshot_order *order, struct err *e)
{
	struct snapshot_take *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_sys(e, -ENOMEM, "snapshot");
	t->dir = dir;
	t->config = config;
	t->set = t->memory = -1;
	t->began_ns = clock_mono_ns();
	t->is_tracked = order->incremental;
	t->progress = order->progress;
	t->max_pause_ns = order->max_pause_ns;
	buf_init(&t->state, MACHINE_STATE_BYTES);
	r = make_ready(t, order, e);
	if (r)
		snapshot_end(t);
	else
		*out = t;
	return r;
}

/* --- the moment ------------------------------------------------------ */

static int push_disks(struct snapshot_take *t, struct machine *m, struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < t->meta.disks && !r; i++) {
		if (!t->overlay[i])
			continue;
		r = vblk_push_layer(machine_disk(m, i), t->overlay[i], e);
		if (!r)
			t->overlay[i] = NULL;
		else
			err_prefix(e, "disk %s", t->meta.disk[i].id);
		KILL_POINT("snapshot-pushed");
	}
	return r;
}

/* Those that get no layer are to be what they are when memory comes back. */
static int remember_disks(struct snapshot_take *t, struct machine *m,
			  struct err *e)
{
	unsigned int i;
	int r = has_disks(t) ? 0 : machine_flush_disks(m, e);

	for (i = 0; i < t->meta.disks && !r; i++)
		if (!t->meta.disk[i].layer)
			r = snapshot_disk_identify(&t->meta.disk[i], e);
	return r;
}

static int freeze_memory(struct snapshot_take *t, struct machine *m,
			 struct err *e)
{
	bool has_base = t->base.host;
	const struct ram_freeze_order order = {
		.fd = t->memory,
		.base = has_base ? &t->base : NULL,
		.moment = t->meta.id,
		.base_moment = has_base ? t->meta.base : NULL,
		.is_tracked = t->is_tracked,
		.progress = t->progress,
	};

	return machine_freeze_memory(m, &t->freeze, &order, e);
}

static int check_pause(const struct snapshot_take *t, uint64_t pause_ns,
		       struct err *e)
{
	if (!t->max_pause_ns || pause_ns <= t->max_pause_ns)
		return 0;
	return err_set(e, -ETIME,
		       "given up: the guest stood still for %llu us, more than "
		       "the %llu us that it may (max-pause)",
		       (unsigned long long)(pause_ns / NS_PER_US),
		       (unsigned long long)(t->max_pause_ns / NS_PER_US));
}

int snapshot_moment(void *ctx, struct machine *m, bool *is_lost, struct err *e)
{
	struct snapshot_take *t = ctx;
	uint64_t began = clock_mono_ns();
	int r = 0;

	*is_lost = false;
	if (has_memory(t))
		r = machine_save(m, &t->state, e);
	if (!r)
		r = remember_disks(t, m, e);
	if (!r && has_memory(t))
		r = freeze_memory(t, m, e);
	if (!r)
		r = check_pause(t, clock_mono_ns() - began, e);
	if (!r)
		r = push_disks(t, m, e);
	KILL_POINT("snapshot-moment");
	return r;
}

/* --- after ----------------------------------------------------------- */

static int wait_for_memory(struct snapshot_take *t, struct err *e)
{
	struct ram_image_figures figures;
	int r = ram_freeze_wait(&t->freeze, &figures, e);

	if (!r && fdatasync(t->memory) < 0)
		r = err_sys(e, -errno, STORE_MEMORY);
	if (!r)
		r = memory_write_map(t->set, &t->freeze.map, e);
	t->meta.pages = figures.written;
	KILL_POINT("snapshot-memory-written");
	return r;
}

int snapshot_finish(struct snapshot_take *t, uint64_t pause_ns, struct err *e)
{
	int r = check_pause(t, pause_ns, e);

	if (!r && has_memory(t)) {
		r = file_commit(t->set, STORE_STATE, t->state.data,
				t->state.len, FILE_DURABLE, e);
		if (!r)
			r = wait_for_memory(t, e);
	}
	t->meta.pause_ns = pause_ns;
	t->meta.took_ns = clock_mono_ns() - t->began_ns;
	if (!r)
		r = store_write_meta(t->set, &t->meta, e);
	if (!r)
		r = store_publish(t->dir, t->meta.id, e);
	if (r)
		return r;
	t->is_published = true;
	unused_forget(t->dir, &t->meta, NULL);
	return store_set_current(t->dir, t->meta.id, FILE_DURABLE, e);
}

const struct snapshot_meta *snapshot_taken(const struct snapshot_take *t)
{
	return &t->meta;
}

void snapshot_end(struct snapshot_take *t)
{
	unsigned int i;

	if (!t)
		return;
	ram_freeze_cancel(&t->freeze);
	ram_destroy(&t->base);
	for (i = 0; i < VM_DISKS_MAX; i++)
		overlay_close(t->overlay[i]);
	if (t->memory >= 0)
		close(t->memory);
	if (t->set >= 0) {
		close(t->set);
		if (!t->is_published)
			store_drop(t->dir, t->meta.id);
	}
	buf_fini(&t->state);
	snapshot_meta_fini(&t->meta);
	free(t);
}
