/* SPDX-License-Identifier: Apache-2.0 */
/* Two sets beside each other: descriptions, memory, disks, space. */
#include "snapshot/diff.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_in.h"
#include "disk/disk_tool.h"
#include "snapshot/disks.h"
#include "snapshot/memory_view.h"
#include "snapshot/size.h"

static const struct json_limits config_limits = {
	.bytes = SNAPSHOT_CONFIG_BYTES,
	.depth = 8,
	.values = 16384,
};

/* --- memory ---------------------------------------------------------- */

static int compare_memory(struct snapshot_diff *d, int dir, struct progress *p,
			  struct err *e)
{
	struct memory_view a, b;
	int r;

	if (d->a.kind == SNAPSHOT_DISK || d->b.kind == SNAPSHOT_DISK)
		return 0;
	r = memory_view_open(&a, dir, &d->a, e);
	if (r)
		return r;
	r = memory_view_open(&b, dir, &d->b, e);
	if (!r) {
		r = diff_memory(&a, &b, &d->memory, p, e);
		memory_view_close(&b);
	}
	memory_view_close(&a);
	return r;
}

/* --- disks and space ------------------------------------------------- */

static const struct snapshot_disk *find_disk(const struct snapshot_meta *m,
					     const char *id)
{
	unsigned int i;

	for (i = 0; i < m->disks; i++)
		if (!strcmp(m->disk[i].id, id))
			return &m->disk[i];
	return NULL;
}

/* Layers that are under both, and those under x alone. */
static void count_layers(const struct disk *x, const struct disk *y,
			 uint64_t *shared, uint64_t *only)
{
	unsigned int i, k;

	for (i = 0; i < disk_layers(x); i++) {
		for (k = 0; y && k < disk_layers(y); k++)
			if (!strcmp(disk_layer_path(x, i),
				    disk_layer_path(y, k)))
				break;
		if (y && k < disk_layers(y))
			*shared += disk_layer_taken(x, i);
		else
			*only += disk_layer_taken(x, i);
	}
}

static int compare_open(struct snapshot_diff *d, struct disk *a, struct disk *b,
			struct diff_disk *out, struct progress *p,
			struct err *e)
{
	uint64_t ignored = 0;

	if (a)
		count_layers(a, b, &d->shared, &d->only_a);
	if (b)
		count_layers(b, a, &ignored, &d->only_b);
	return a && b ? diff_disks(a, b, out, p, e) : 0;
}

/* Either may be NULL: the other one has no such disk. */
static int compare_disk(struct snapshot_diff *d, const struct vm_config *config,
			const char *id, const struct snapshot_disk *of_a,
			const struct snapshot_disk *of_b, struct progress *p,
			struct err *e)
{
	struct diff_disk *out = &d->disk[d->disks];
	struct disk *a = NULL, *b = NULL;
	int r = 0;

	snprintf(out->id, sizeof(out->id), "%s", id);
	d->disks++;
	if (of_a && of_a->layer)
		r = snapshot_disk_open(&a, config, of_a, e);
	if (!r && of_b && of_b->layer)
		r = snapshot_disk_open(&b, config, of_b, e);
	if (!r)
		r = compare_open(d, a, b, out, p, e);
	if (r)
		err_prefix(e, "disk %s", out->id);
	disk_close(a);
	disk_close(b);
	return r;
}

static int compare_disks(struct snapshot_diff *d,
			 const struct vm_config *config, struct progress *p,
			 struct err *e)
{
	const struct snapshot_disk *other;
	unsigned int i;
	int r = 0;

	for (i = 0; i < d->a.disks && !r; i++) {
		other = find_disk(&d->b, d->a.disk[i].id);
		r = compare_disk(d, config, d->a.disk[i].id, &d->a.disk[i],
				 other, p, e);
	}
	for (i = 0; i < d->b.disks && !r && d->disks < VM_DISKS_MAX; i++)
		if (!find_disk(&d->a, d->b.disk[i].id))
			r = compare_disk(d, config, d->b.disk[i].id, NULL,
					 &d->b.disk[i], p, e);
	return r;
}

/* What is in their own directories nobody shares. */
static void count_sets(struct snapshot_diff *d, int dir)
{
	struct snapshot_size size;

	snapshot_size(dir, &d->a, &size);
	d->only_a += size.memory + size.state;
	snapshot_size(dir, &d->b, &size);
	d->only_b += size.memory + size.state;
}

/* --- configuration --------------------------------------------------- */

static int read_config(int dir, const struct snapshot_meta *m, json_t **out,
		       struct err *e)
{
	int set = store_open(dir, m->id, e), r;
	struct buf text;

	if (set < 0)
		return set;
	buf_init(&text, SNAPSHOT_CONFIG_BYTES);
	r = file_read(set, STORE_CONFIG, SNAPSHOT_CONFIG_BYTES, &text, e);
	if (!r)
		r = json_in_parse(out, (const char *)text.data, text.len,
				  &config_limits, STORE_CONFIG, e);
	if (r)
		err_prefix(e, "snapshot %s", m->name);
	buf_fini(&text);
	close(set);
	return r;
}

static void note_key(json_t *diff, const char *key, json_t *a, json_t *b)
{
	if (json_equal(a, b))
		return;
	json_object_set_new(diff, key,
			    json_pack("{s:o, s:o}", "a",
				      a ? json_incref(a) : json_null(), "b",
				      b ? json_incref(b) : json_null()));
}

static json_t *config_diff(json_t *a, json_t *b)
{
	json_t *diff = json_object();
	void *i;

	for (i = json_object_iter(a); i; i = json_object_iter_next(a, i)) {
		const char *key = json_object_iter_key(i);

		note_key(diff, key, json_object_iter_value(i),
			 json_object_get(b, key));
	}
	for (i = json_object_iter(b); i; i = json_object_iter_next(b, i)) {
		const char *key = json_object_iter_key(i);

		if (!json_object_get(a, key))
			note_key(diff, key, NULL, json_object_iter_value(i));
	}
	return diff;
}

static int compare_configs(struct snapshot_diff *d, int dir, struct err *e)
{
	json_t *a = NULL, *b = NULL;
	int r = read_config(dir, &d->a, &a, e);

	if (!r)
		r = read_config(dir, &d->b, &b, e);
	if (!r)
		d->config = config_diff(a, b);
	json_decref(a);
	json_decref(b);
	return r;
}

/* --- all ------------------------------------------------------------- */

int snapshot_diff(struct snapshot_diff *out, int dir,
		  const struct vm_config *config, const char *a, const char *b,
		  struct progress *progress, struct err *e)
{
	int r;

	memset(out, 0, sizeof(*out));
	r = store_find(dir, a, &out->a, e);
	if (!r)
		r = store_find(dir, b, &out->b, e);
	if (!r)
		r = compare_configs(out, dir, e);
	if (!r)
		r = compare_memory(out, dir, progress, e);
	if (!r)
		r = compare_disks(out, config, progress, e);
	if (!r)
		count_sets(out, dir);
	return r;
}

void snapshot_diff_fini(struct snapshot_diff *d)
{
	snapshot_meta_fini(&d->a);
	snapshot_meta_fini(&d->b);
	json_decref(d->config);
	d->config = NULL;
}

static json_t *memory_json(const struct diff_memory *m)
{
	uint64_t pages = m->changed + m->only_a + m->only_b;

	if (!m->is_there)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "same",
			 (json_int_t)m->same, "changed", (json_int_t)m->changed,
			 "only_a", (json_int_t)m->only_a, "only_b",
			 (json_int_t)m->only_b, "pages", (json_int_t)pages,
			 "bytes", (json_int_t)(pages * DIFF_PAGE));
}

static json_t *disk_json(const struct diff_disk *d)
{
	if (!d->is_there)
		return json_pack("{s:s, s:n}", "id", d->id, "clusters");
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "id", d->id, "clusters",
			 (json_int_t)d->clusters, "bytes", (json_int_t)d->bytes,
			 "bytes_a", (json_int_t)d->bytes_a, "bytes_b",
			 (json_int_t)d->bytes_b);
}

static json_t *name_json(const struct snapshot_meta *m)
{
	return json_pack("{s:s, s:s, s:s}", "id", m->id, "name", m->name,
			 "created", m->created);
}

json_t *snapshot_diff_json(const struct snapshot_diff *d)
{
	json_t *disks = json_array();
	unsigned int i;

	for (i = 0; i < d->disks; i++)
		json_array_append_new(disks, disk_json(&d->disk[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:O, s:{s:I, s:I, s:I}}", "a",
			 name_json(&d->a), "b", name_json(&d->b), "memory",
			 memory_json(&d->memory), "disks", disks, "config",
			 d->config, "space", "shared", (json_int_t)d->shared,
			 "only_a", (json_int_t)d->only_a, "only_b",
			 (json_int_t)d->only_b);
}
