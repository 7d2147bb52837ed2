/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One snapshot, or a tree of them. INV-1: their layers are in the list of
 * unused ones before their names are lost.
 */
#include "snapshot/remove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kill_point.h"
#include "snapshot/disks.h"

struct removing {
	int dir;
	const struct vm_config *config;
	const struct removal *order;
	struct store_list list; /* owned */
	bool *is_doomed;	/* owned; one for each */
	size_t first;		/* the one that was named */
	size_t count, removed;
	struct err *e;
};

/* --- which ----------------------------------------------------------- */

static int find_first(struct removing *r)
{
	struct snapshot_meta m;
	int error = store_find(r->dir, r->order->what, &m, r->e);

	for (r->first = 0; !error && r->first < r->list.count; r->first++)
		if (!strcmp(r->list.set[r->first].id, m.id))
			break;
	snapshot_meta_fini(&m);
	if (!error && r->first == r->list.count)
		error = err_set(r->e, -ENOENT, "no snapshot '%.64s'",
				r->order->what);
	return error;
}

/* What can be told of one that nobody can read: its ID, and the layers that
 * have it in their names. */
static int describe_damaged(const struct removing *r, struct snapshot_meta *m)
{
	unsigned int i;
	int error = 0;

	memset(m, 0, sizeof(*m));
	memcpy(m->id, r->order->what, SNAPSHOT_ID_CHARS + 1);
	memcpy(m->name, m->id, sizeof(m->id));
	memcpy(m->uuid, r->config->uuid, sizeof(m->uuid));
	for (i = 0; i < r->config->disks && !error; i++) {
		struct snapshot_disk *d = &m->disk[m->disks];

		error = snapshot_layer_path(r->config->disk[i].path, m->id,
					    &d->layer, r->e);
		if (error || access(d->layer, F_OK) < 0) {
			free(d->layer);
			d->layer = NULL;
			continue;
		}
		m->disks++;
		d->path = strdup(r->config->disk[i].path);
		if (!d->path)
			error = err_sys(r->e, -ENOMEM, "%s", m->id);
	}
	return error;
}

/* It is named by its ID, and somebody insists. */
static int find_damaged(struct removing *r, int error)
{
	struct snapshot_meta *more;
	int set;

	if (error == -ENOENT || error == -ENOMEM || !r->order->force ||
	    !r->order->what || strlen(r->order->what) != SNAPSHOT_ID_CHARS ||
	    strspn(r->order->what, "0123456789abcdef") != SNAPSHOT_ID_CHARS)
		return error;
	set = store_open(r->dir, r->order->what, NULL);
	if (set < 0)
		return error;
	close(set);
	more = realloc(r->list.set, (r->list.count + 1) * sizeof(*more));
	if (!more)
		return err_sys(r->e, -ENOMEM, "snapshot");
	r->list.set = more;
	r->first = r->list.count++;
	if (r->e)
		*r->e = (struct err)ERR_NONE;
	return describe_damaged(r, &more[r->first]);
}

static bool came_from_doomed(const struct removing *r,
			     const struct snapshot_meta *m)
{
	size_t i;

	for (i = 0; i < r->list.count; i++)
		if (r->is_doomed[i] && (!strcmp(m->parent, r->list.set[i].id) ||
					!strcmp(m->base, r->list.set[i].id)))
			return true;
	return false;
}

static void doom_children(struct removing *r)
{
	bool more;
	size_t i;

	do {
		more = false;
		for (i = 0; i < r->list.count; i++)
			if (!r->is_doomed[i] &&
			    came_from_doomed(r, &r->list.set[i])) {
				r->is_doomed[i] = more = true;
				r->count++;
			}
	} while (more);
}

static int check_pins(const struct removing *r)
{
	size_t i;

	for (i = 0; i < r->list.count && !r->order->force; i++)
		if (r->is_doomed[i] && r->list.set[i].is_pinned)
			return err_set(r->e, -EPERM,
				       "snapshot %s is pinned (--force, or "
				       "amber snapshot unpin)",
				       r->list.set[i].name);
	return 0;
}

static int choose(struct removing *r)
{
	int error = store_list(r->dir, &r->list, r->e);

	if (!error)
		error = find_first(r);
	if (error)
		error = find_damaged(r, error);
	if (error)
		return error;
	r->is_doomed = calloc(r->list.count, sizeof(*r->is_doomed));
	if (!r->is_doomed)
		return err_sys(r->e, -ENOMEM, "snapshot");
	r->is_doomed[r->first] = true;
	r->count = 1;
	if (r->order->children)
		doom_children(r);
	return check_pins(r);
}

/* --- going ----------------------------------------------------------- */

static int note(struct removing *r, struct err *e)
{
	int error = 0;
	size_t i;

	for (i = 0; i < r->list.count && !error; i++)
		if (r->is_doomed[i] &&
		    !strcmp(r->list.set[i].uuid, r->config->uuid))
			error = unused_note(r->dir, &r->list.set[i], e);
	return error;
}

/* One that no other of them stands on; there is one: parents make no circle,
 * and if they did, any would do. */
static size_t next(const struct removing *r)
{
	size_t i, k, any = r->first;

	for (i = r->list.count; i-- > 0;) {
		if (!r->is_doomed[i])
			continue;
		any = i;
		for (k = 0; k < r->list.count; k++)
			if (k != i && r->is_doomed[k] &&
			    (!strcmp(r->list.set[k].parent,
				     r->list.set[i].id) ||
			     !strcmp(r->list.set[k].base, r->list.set[i].id)))
				break;
		if (k == r->list.count)
			return i;
	}
	return any;
}

static int remove_all(struct removing *r)
{
	int error = 0;
	size_t i;

	while (r->removed < r->count && !error) {
		i = next(r);
		error = store_remove(r->dir, &r->list.set[i], r->e);
		r->is_doomed[i] = false;
		r->removed += !error;
	}
	return error;
}

/*
 * On a full disk the list can't be written before there is room, and deleting
 * is what makes it: then the layers are put down afterwards, and a kill in
 * between leaves them.
 */
static int go(struct removing *r)
{
	bool *doomed = calloc(r->list.count, sizeof(*doomed));
	int error, noted;

	if (!doomed)
		return err_sys(r->e, -ENOMEM, "snapshot");
	memcpy(doomed, r->is_doomed, r->list.count * sizeof(*doomed));
	noted = error = note(r, r->e);
	if (error == -ENOSPC || error == -EDQUOT)
		error = 0;
	KILL_POINT("remove-noted");
	if (!error)
		error = remove_all(r);
	if (noted && r->removed) {
		memcpy(r->is_doomed, doomed, r->list.count * sizeof(*doomed));
		note(r, NULL);
	}
	free(doomed);
	return error;
}

/* --- telling --------------------------------------------------------- */

static void describe(const struct removing *r, const struct tidy_done *done,
		     char *text, size_t bytes)
{
	const struct snapshot_meta *m = &r->list.set[r->first];
	char more[48] = "", layers[160];

	tidy_describe(done, layers, sizeof(layers));
	if (r->count > 1)
		snprintf(more, sizeof(more), " and %zu that came from it",
			 r->count - 1);
	snprintf(text, bytes, "snapshot %s (%s)%s deleted%s%s", m->name, m->id,
		 more, *layers ? "; " : "", layers);
}

int remove_snapshots(int dir, const struct vm_config *config,
		     const struct removal *order, struct tidy_done *done,
		     char *text, size_t bytes, struct err *e)
{
	struct removing r = {
		.dir = dir, .config = config, .order = order, .e = e
	};
	struct err why = ERR_NONE;
	int error = choose(&r);

	*text = '\0';
	if (!error)
		error = go(&r);
	if (r.removed && tidy_all(dir, config, done, &why))
		memcpy(done->why, why.text, sizeof(done->why));
	if (!error)
		describe(&r, done, text, bytes);
	else if (r.removed)
		snprintf(text, bytes, "%zu of %zu snapshots deleted", r.removed,
			 r.count);
	free(r.is_doomed);
	store_list_fini(&r.list);
	return error;
}

int remove_every_snapshot(int dir, const struct vm_config *config,
			  struct tidy_done *done, struct err *e)
{
	struct removing r = { .dir = dir, .config = config, .e = e };
	int error = store_list(dir, &r.list, e);
	size_t i;

	if (!error && r.list.count) {
		r.is_doomed = calloc(r.list.count, sizeof(*r.is_doomed));
		if (!r.is_doomed)
			error = err_sys(e, -ENOMEM, "snapshots");
	}
	for (i = 0; r.is_doomed && i < r.list.count; i++)
		r.is_doomed[i] = true;
	r.count = r.list.count;
	if (!error && r.count)
		error = go(&r);
	if (r.removed && !error)
		error = tidy_all(dir, config, done, e);
	free(r.is_doomed);
	store_list_fini(&r.list);
	return error;
}
