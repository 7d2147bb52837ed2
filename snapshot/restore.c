/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks and a machine as they were. While disks are put back, each one's
 * file has a second name, which snapshot/restore_journal.c has written down.
 */
#include "snapshot/restore_private.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kill_point.h"
#include "disk/layers.h"
#include "snapshot/disks.h"
#include "snapshot/memory.h"
#include "snapshot/store.h"
#include "snapshot/verify.h"
#include "vmm/machine_state.h"
#include "vmm/ram_image.h"

/* --- checking -------------------------------------------------------- */

int restore_part_parse(const char *text, enum restore_part *part,
		       const char **disk, struct err *e)
{
	*disk = strncmp(text, "disk:", 5) ? NULL : text + 5;
	if (!strcmp(text, "all"))
		*part = RESTORE_ALL;
	else if (!strcmp(text, "disk") || (*disk && **disk))
		*part = RESTORE_DISKS;
	else if (!strcmp(text, "ram"))
		*part = RESTORE_MEMORY;
	else
		return err_set(e, -EINVAL,
			       "'%.40s' is not all, disk, disk:ID or ram",
			       text);
	return 0;
}

/* Does this disk's layer come back? */
static bool is_wanted(const struct restore *r, const struct snapshot_disk *d)
{
	const char *only = r->order.disk;

	return d->layer && r->order.part != RESTORE_MEMORY &&
	       (!only || !strcmp(only, d->id));
}

static int check_disk(const struct restore *r, const struct snapshot_disk *d,
		      struct err *e)
{
	int i = vm_config_disk(r->config, d->id);
	const struct vm_disk *disk = i < 0 ? NULL : &r->config->disk[i];

	if (!disk || strcmp(disk->path, d->path) != 0)
		return err_set(e, -EINVAL,
			       "the snapshot has a disk %s at %s, the VM has "
			       "%s",
			       d->id, d->path, disk ? disk->path : "none");
	if (is_wanted(r, d))
		return access(d->layer, R_OK) < 0
			       ? err_sys(e, -errno, "disk %s: layer %s", d->id,
					 d->layer)
			       : 0;
	if (r->order.force || !r->has_machine)
		return 0;
	if (d->layer)
		return err_set(e, -ESTALE,
			       "disk %s has moved on since: its memory alone "
			       "would damage it (--force)",
			       d->id);
	return snapshot_disk_check(d, e);
}

static int check_part(struct restore *r, struct err *e)
{
	const struct snapshot_meta *m = &r->meta;
	const char *disk = r->order.disk;
	unsigned int i;

	r->has_machine =
		m->kind != SNAPSHOT_DISK && r->order.part != RESTORE_DISKS;
	if (r->order.part == RESTORE_MEMORY && !r->has_machine)
		return err_set(e, -EINVAL, "snapshot %s has no memory",
			       m->name);
	if (r->order.part == RESTORE_DISKS && m->kind == SNAPSHOT_MEMORY)
		return err_set(e, -EINVAL, "snapshot %s has no disks", m->name);
	for (i = 0; disk && i < m->disks; i++)
		if (m->disk[i].layer && !strcmp(disk, m->disk[i].id))
			return 0;
	return disk ? err_set(e, -EINVAL, "snapshot %s has no disk '%.32s'",
			      m->name, disk)
		    : 0;
}

static int check_meta(struct restore *r, struct err *e)
{
	const struct snapshot_meta *m = &r->meta;
	unsigned int i;
	int error = check_part(r, e);

	if (error)
		return error;
	if (strcmp(m->uuid, r->config->uuid) != 0)
		return err_set(e, -EINVAL,
			       "snapshot %s is of VM %s (%s), this one is %s",
			       m->name, m->vm, m->uuid, r->config->uuid);
	if (m->disks != r->config->disks)
		return err_set(e, -EINVAL,
			       "snapshot %s has %u disks, the VM has %u",
			       m->name, m->disks, r->config->disks);
	for (i = 0; i < m->disks && !error; i++)
		error = check_disk(r, &m->disk[i], e);
	return error;
}

static int read_machine(struct restore *r, int set, struct err *e)
{
	int error =
		file_read(set, STORE_STATE, MACHINE_STATE_BYTES, &r->state, e);

	if (!error)
		error = snapshot_check_state(&r->state, e);
	return error ? error : memory_open(r->dir, &r->meta, &r->memory, e);
}

static int open_all(struct restore *r, const char *what, struct err *e)
{
	int error = store_find(r->dir, what, &r->meta, e), set;

	if (!error)
		error = check_meta(r, e);
	if (error || !r->has_machine)
		return error;
	set = store_open(r->dir, r->meta.id, e);
	if (set < 0)
		return set;
	error = read_machine(r, set, e);
	if (error)
		err_prefix(e, "snapshot %s", r->meta.name);
	close(set);
	return error;
}

int restore_open(struct restore **out, int dir, const struct vm_config *config,
		 const struct restore_order *order, struct err *e)
{
	struct restore *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return err_sys(e, -ENOMEM, "restore");
	r->dir = dir;
	r->config = config;
	buf_init(&r->state, MACHINE_STATE_BYTES);
	r->order = *order;
	r->order.what = NULL;
	if (order->disk)
		r->order.disk = r->only = strdup(order->disk);
	error = order->disk && !r->only ? err_sys(e, -ENOMEM, "restore")
					: open_all(r, order->what, e);
	if (error)
		restore_close(r);
	else
		*out = r;
	return error;
}

const struct snapshot_meta *restore_meta(const struct restore *r)
{
	return &r->meta;
}

/* --- going back ------------------------------------------------------ */

/* {path, was}: the disk's file, and its second name. */
static int plan_disk(struct restore *r, const struct snapshot_disk *d,
		     struct err *e)
{
	char was[PATH_MAX + 32], *file;
	json_t *step;

	if (!is_wanted(r, d))
		return 0;
	file = realpath(d->path, NULL);
	if (!file)
		return err_sys(e, -errno, "disk %s: %s", d->id, d->path);
	snprintf(was, sizeof(was), "%s" JOURNAL_WAS "%s", file, r->meta.id);
	step = json_pack("{s:s, s:s}", "path", file, "was", was);
	free(file);
	return json_array_append_new(r->undo.steps, step)
		       ? err_sys(e, -ENOMEM, "%s", d->path)
		       : 0;
}

int restore_plan(struct restore *r, struct err *e)
{
	unsigned int i;
	int error = 0;

	r->undo.steps = json_array();
	for (i = 0; i < r->meta.disks && !error; i++)
		error = plan_disk(r, &r->meta.disk[i], e);
	return error;
}

int restore_begin(struct restore *r, enum file_durability how, struct err *e)
{
	int error = journal_write(r->dir, &r->undo, how, e);

	r->has_begun = !error;
	return error;
}

void restore_undo(struct restore *r)
{
	if (!r->has_begun)
		return;
	/* The next start tries again what fails here. */
	if (!journal_undo(&r->undo, NULL))
		journal_remove(r->dir, FILE_DURABLE, NULL);
	r->has_begun = false;
}

static int put_back(struct restore *r, struct err *e)
{
	unsigned int i, n = 0;
	int error = 0;

	for (i = 0; i < r->meta.disks && !error; i++) {
		const struct snapshot_disk *d = &r->meta.disk[i];

		if (!is_wanted(r, d))
			continue;
		error = journal_keep(json_array_get(r->undo.steps, n++), e);
		KILL_POINT("restore-linked");
		if (!error)
			error = layer_restore(d->path, d->layer, NULL, NULL, e);
		if (error)
			err_prefix(e, "disk %s", d->id);
		KILL_POINT("restore-put-back");
	}
	return error;
}

int restore_load(void *ctx, struct vm_saved *out, struct err *e)
{
	struct restore *r = ctx;
	int error = restore_plan(r, e);

	if (!error && json_array_size(r->undo.steps))
		error = restore_begin(r, FILE_DURABLE, e);
	if (!error)
		error = put_back(r, e);
	if (error || !r->has_machine)
		return error;
	if (buf_put(&out->state, r->state.data, r->state.len))
		return err_sys(e, -ENOMEM, STORE_STATE);
	out->is_other_time = true;
	out->set = store_open(r->dir, r->meta.id, NULL); /* advice: or none */
	return ram_images_copy(&out->memory, &r->memory)
		       ? err_sys(e, -EMFILE, STORE_MEMORY)
		       : 0;
}

/* From here on the disks are what they are now, also after a kill. */
static void commit(struct restore *r)
{
	memcpy(r->undo.done, r->meta.id, sizeof(r->undo.done));
	if (r->has_begun && journal_write(r->dir, &r->undo, FILE_DURABLE, NULL))
		return; /* a kill undoes it: of one moment, too */
	KILL_POINT("restore-decided");
	/* Without disks a power cut forgets where it was, no more. */
	store_set_current(r->dir, r->meta.id,
			  r->has_begun ? FILE_DURABLE : FILE_ATOMIC, NULL);
	if (!r->has_begun)
		return;
	journal_forget(&r->undo);
	KILL_POINT("restore-done");
	journal_remove(r->dir, FILE_DURABLE, NULL);
	r->has_begun = false;
}

void restore_done(void *ctx, bool is_built)
{
	struct restore *r = ctx;

	if (is_built)
		commit(r);
	else
		restore_undo(r);
}

void restore_close(struct restore *r)
{
	unsigned int i;

	if (!r)
		return;
	restore_undo(r); /* of a rewind that did not come about */
	for (i = 0; i < VM_DISKS_MAX; i++)
		overlay_close(r->fresh[i]);
	ram_images_close(&r->memory);
	journal_fini(&r->undo);
	buf_fini(&r->state);
	snapshot_meta_fini(&r->meta);
	free(r->only);
	free(r);
}
