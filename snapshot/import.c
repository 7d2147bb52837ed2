/* SPDX-License-Identifier: Apache-2.0 */
/* From a stream to a set, which its owner adopts. */
#include "snapshot/import.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_in.h"
#include "base/memory.h"
#include "base/name.h"
#include "disk/convert.h"
#include "disk/overlay.h"
#include "snapshot/bundle.h"
#include "snapshot/disks.h"
#include "snapshot/memory.h"
#include "snapshot/store.h"
#include "snapshot/verify.h"
#include "vmm/machine_state.h"
#include "vmm/ram_map.h"

#define PAGE 4096u

struct snapshot_import {
	struct import_order order;
	struct snapshot_meta meta; /* owned */
	char id[SNAPSHOT_ID_CHARS + 1];
	int set; /* owned: its directory; -1: none yet */
	struct new_file disk[VM_DISKS_MAX];
	bool has_file[VM_DISKS_MAX];	 /* disk[i] is open */
	bool is_published[VM_DISKS_MAX]; /* disk[i] has its name */

	/* The member that is being read. */
	enum bundle_part part;
	unsigned int which; /* of the disks */
	struct buf small;
	int memory; /* owned; -1: not open */
};

static const struct json_limits config_limits = {
	.bytes = SNAPSHOT_CONFIG_BYTES,
	.depth = 8,
	.values = 16384,
};

/* --- does it fit ----------------------------------------------------- */

static bool is_taken(const struct store_list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!strcmp(list->set[i].name, name))
			return true;
	return false;
}

static bool has_id(const struct store_list *list, const char *id)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!strcmp(list->set[i].id, id))
			return true;
	return false;
}

/* Among those there are: its name is free, its parent is one of them. */
static int fit_in(int dir, struct snapshot_meta *m, struct err *e)
{
	struct store_list list;
	int r = store_list(dir, &list, e);

	if (r)
		return r;
	if (!has_id(&list, m->parent))
		m->parent[0] = '\0';
	if (is_taken(&list, m->name))
		r = err_set(e, -EEXIST,
			    "there is a snapshot '%s' already (import it by "
			    "another --name)",
			    m->name);
	store_list_fini(&list);
	return r;
}

/* The paths are this VM's: what the stream says of them is not used. */
static int fit_disk(struct snapshot_import *k, unsigned int i, struct err *e)
{
	struct snapshot_disk *d = &k->meta.disk[i];
	int at = vm_config_disk(k->order.config, d->id), r;
	bool has_layer = d->layer;

	if (at < 0)
		return err_set(e, -EINVAL,
			       "the snapshot has a disk '%s', the VM has none",
			       d->id);
	free(d->path);
	free(d->layer);
	d->layer = NULL;
	d->path = strdup(k->order.config->disk[at].path);
	if (!d->path)
		return err_sys(e, -ENOMEM, "disk %s", d->id);
	if (!has_layer)
		return 0;
	r = snapshot_layer_path(d->path, k->id, &d->layer, e);
	if (!r)
		r = new_file_open(&k->disk[i], d->layer, e);
	k->has_file[i] = !r;
	return r ? err_prefix(e, "disk %s", d->id) : 0;
}

static int fit_meta(struct snapshot_import *k, struct err *e)
{
	const struct vm_config *c = k->order.config;
	struct snapshot_meta *m = &k->meta;

	if (strcmp(m->uuid, c->uuid) != 0)
		return err_set(e, -EINVAL,
			       "the snapshot is of VM %s (%s), this one is %s",
			       m->vm, m->uuid, c->uuid);
	if (m->disks != c->disks)
		return err_set(e, -EINVAL,
			       "the snapshot has %u disks, the VM has %u",
			       m->disks, c->disks);
	if (k->order.name)
		snprintf(m->name, sizeof(m->name), "%s", k->order.name);
	return fit_in(k->order.dir, m, e);
}

/* What meta.json says is known: a place is made for all of it. */
static int make_place(struct snapshot_import *k, struct err *e)
{
	unsigned int i;
	int r = fit_meta(k, e);

	if (r)
		return r;
	k->set = store_begin(k->order.dir, k->id, e);
	if (k->set < 0)
		return k->set;
	memcpy(k->meta.id, k->id, sizeof(k->id));
	k->meta.base[0] = '\0'; /* all of its memory is in the stream */
	k->meta.expires_ns = 0; /* it was taken out to be kept */
	for (i = 0; i < k->meta.disks && !r; i++)
		r = fit_disk(k, i, e);
	return r;
}

/* --- taking what comes ----------------------------------------------- */

static int begin_memory(struct snapshot_import *k, uint64_t bytes,
			struct err *e)
{
	k->memory = openat(k->set, STORE_MEMORY,
			   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (k->memory < 0 || ftruncate(k->memory, (off_t)bytes) < 0)
		return err_sys(e, -errno, STORE_MEMORY);
	return 0;
}

static int on_begin(void *ctx, enum bundle_part part, unsigned int disk,
		    uint64_t bytes, struct err *e)
{
	struct snapshot_import *k = ctx;

	k->part = part;
	k->which = disk;
	buf_reset(&k->small);
	if (part == BUNDLE_CONFIG)
		return make_place(k, e);
	return part == BUNDLE_MEMORY ? begin_memory(k, bytes, e) : 0;
}

static int write_at(int fd, const uint8_t *bytes, size_t n, uint64_t at)
{
	ssize_t done;

	while (n) {
		done = pwrite(fd, bytes, n, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* What is zero is a hole, as it was. */
static int write_pages(int fd, const uint8_t *bytes, size_t n, uint64_t at)
{
	size_t page;
	int r = 0;

	for (; n && !r; bytes += page, at += page, n -= page) {
		page = PAGE - at % PAGE < n ? PAGE - at % PAGE : n;
		if (!memory_is_zero(bytes, page))
			r = write_at(fd, bytes, page, at);
	}
	return r;
}

static int on_data(void *ctx, uint64_t at, const void *bytes, size_t n,
		   struct err *e)
{
	struct snapshot_import *k = ctx;
	int r;

	if (k->part == BUNDLE_CONFIG || k->part == BUNDLE_STATE)
		return buf_put(&k->small, bytes, n)
			       ? err_sys(e, k->small.error, "the stream")
			       : 0;
	r = k->part == BUNDLE_MEMORY
		    ? write_pages(k->memory, bytes, n, at)
		    : write_at(k->disk[k->which].fd, bytes, n, at);
	return r ? err_sys(e, r, "writing %s",
			   k->part == BUNDLE_MEMORY
				   ? STORE_MEMORY
				   : k->meta.disk[k->which].layer)
		 : 0;
}

static int end_small(struct snapshot_import *k, const char *name, struct err *e)
{
	json_t *json = NULL;
	int r;

	if (k->part == BUNDLE_STATE)
		r = snapshot_check_state(&k->small, e);
	else
		r = json_in_parse(&json, (const char *)k->small.data,
				  k->small.len, &config_limits, name, e);
	json_decref(json);
	return r ? r
		 : file_commit(k->set, name, k->small.data, k->small.len,
			       FILE_DURABLE, e);
}

/* Its checksums are those of what has come. */
static int end_memory(struct snapshot_import *k, struct err *e)
{
	struct ram_map map;
	int r = ram_map_read(&map, k->meta.memory_bytes, k->memory, e);

	if (r)
		return r;
	r = memory_write_map(k->set, &map, e);
	if (!r && fdatasync(k->memory) < 0)
		r = err_sys(e, -errno, STORE_MEMORY);
	ram_map_fini(&map);
	return r;
}

/* It stands alone: whatever it names behind it is not opened. */
static int check_disk(struct snapshot_import *k, struct err *e)
{
	static const char *const nowhere[] = { NULL };
	const struct snapshot_disk *d = &k->meta.disk[k->which];
	struct disk_config config = {
		.path = d->layer,
		.format = DISK_QCOW2,
		.read_only = true,
		.allow_backing = nowhere,
		.locked_fd = k->disk[k->which].fd,
	};
	struct disk *disk;
	uint64_t bytes;
	int r = disk_open(&disk, &config, e);

	if (r)
		return err_prefix(e, "disk %s", d->id);
	bytes = disk_get_info(disk)->bytes;
	disk_close(disk);
	if (bytes == d->bytes)
		return 0;
	return err_set(e, -EBADMSG,
		       "disk %s: its image is of %llu bytes, meta.json says "
		       "%llu",
		       d->id, (unsigned long long)bytes,
		       (unsigned long long)d->bytes);
}

static int on_end(void *ctx, struct err *e)
{
	struct snapshot_import *k = ctx;

	switch (k->part) {
	case BUNDLE_CONFIG:
		return end_small(k, STORE_CONFIG, e);
	case BUNDLE_STATE:
		return end_small(k, STORE_STATE, e);
	case BUNDLE_DISK:
		return check_disk(k, e);
	default:
		return end_memory(k, e);
	}
}

/* --- the end --------------------------------------------------------- */

static int publish_disks(struct snapshot_import *k, struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < k->meta.disks && !r; i++) {
		if (!k->has_file[i])
			continue;
		if (fchmod(k->disk[i].fd, OVERLAY_FROZEN) < 0)
			return err_sys(e, -errno, "%s", k->disk[i].path);
		r = new_file_publish(&k->disk[i], &file_ops_real, e);
		k->is_published[i] = !r;
	}
	return r;
}

int snapshot_import(struct snapshot_import **out,
		    const struct import_order *order,
		    const struct tar_source *source, struct err *e)
{
	struct snapshot_import *k = calloc(1, sizeof(*k));
	const struct bundle_sink sink = { on_begin, on_data, on_end, k };
	int r;

	if (!k)
		return err_sys(e, -ENOMEM, "import");
	k->order = *order;
	k->set = k->memory = -1;
	buf_init(&k->small, MACHINE_STATE_BYTES);
	r = order->name ? name_check(order->name, SNAPSHOT_NAME_MAX, e) : 0;
	if (!r)
		r = bundle_read(source, &sink, &k->meta, e);
	if (!r)
		r = publish_disks(k, e);
	if (!r)
		r = store_write_meta(k->set, &k->meta, e);
	if (r)
		snapshot_import_end(k, false);
	else
		*out = k;
	return r;
}

const struct snapshot_meta *snapshot_imported(const struct snapshot_import *k)
{
	return &k->meta;
}

void snapshot_import_end(struct snapshot_import *k, bool is_adopted)
{
	unsigned int i;

	if (!k)
		return;
	for (i = 0; i < VM_DISKS_MAX; i++) {
		if (k->is_published[i] && !is_adopted)
			unlink(k->disk[i].path);
		if (k->has_file[i])
			new_file_close(&k->disk[i]);
	}
	if (k->memory >= 0)
		close(k->memory);
	if (k->set >= 0) {
		close(k->set);
		if (!is_adopted)
			store_drop(k->order.dir, k->id);
	}
	buf_fini(&k->small);
	snapshot_meta_fini(&k->meta);
	free(k);
}

/* --- adopting -------------------------------------------------------- */

static int read_begun(int dir, const char *id, struct snapshot_meta *m,
		      struct err *e)
{
	int set = store_open_begun(dir, id, e), r;

	if (set < 0)
		return set;
	r = store_read_meta(set, id, m, e);
	close(set);
	return r;
}

int snapshot_adopt(int dir, const char *id, struct snapshot_meta *m,
		   struct err *e)
{
	int r;

	memset(m, 0, sizeof(*m));
	if (strlen(id) != SNAPSHOT_ID_CHARS ||
	    strspn(id, "0123456789abcdef") != SNAPSHOT_ID_CHARS)
		return err_set(e, -EINVAL, "'%.16s' is no snapshot's ID", id);
	r = read_begun(dir, id, m, e);
	if (!r)
		r = fit_in(dir, m, e);
	if (!r)
		r = store_publish(dir, id, e);
	return r;
}
