/* SPDX-License-Identifier: Apache-2.0 */
/* The list of layers whose snapshots are gone. */
#include "snapshot/unused.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_in.h"
#include "snapshot/store.h"

#define LIST_BYTES  (8u << 20)
#define LIST_VALUES (1u << 18)

static const struct json_limits limits = { LIST_BYTES, 4, LIST_VALUES };

bool unused_exists(int dir)
{
	return dir >= 0 && !faccessat(dir, STORE_DIR "/" UNUSED_FILE, F_OK, 0);
}

void unused_fini(struct unused *u)
{
	size_t i;

	for (i = 0; i < u->count; i++) {
		free(u->layer[i].layer);
		free(u->layer[i].disk);
	}
	free(u->layer);
	*u = (struct unused){ .count = 0 };
}

static bool has(const struct unused *u, const char *layer)
{
	size_t i;

	for (i = 0; i < u->count; i++)
		if (!strcmp(u->layer[i].layer, layer))
			return true;
	return false;
}

static int add(struct unused *u, const char *layer, const char *disk)
{
	struct unused_layer *more;

	if (has(u, layer))
		return 0;
	more = realloc(u->layer, (u->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	u->layer = more;
	more += u->count;
	*more = (struct unused_layer){ strdup(layer), strdup(disk), false };
	u->count++;
	return more->layer && more->disk ? 0 : -ENOMEM;
}

/* --- reading --------------------------------------------------------- */

static int add_all(struct unused *u, const json_t *all, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < json_array_size(all) && !r; i++) {
		const json_t *one = json_array_get(all, i);
		const char *layer =
			json_string_value(json_object_get(one, "layer"));
		const char *disk =
			json_string_value(json_object_get(one, "disk"));

		if (!layer || !disk || *layer != '/' || *disk != '/')
			return err_set(e, -EBADMSG,
				       UNUSED_FILE ": layer %zu has no paths",
				       i);
		r = add(u, layer, disk);
	}
	return r ? err_sys(e, r, UNUSED_FILE) : 0;
}

int unused_parse(struct unused *u, const char *text, size_t len, struct err *e)
{
	json_t *json;
	int r = json_in_parse(&json, text, len, &limits, UNUSED_FILE, e);

	*u = (struct unused){ .count = 0 };
	if (r)
		return r;
	r = add_all(u, json_object_get(json, "layers"), e);
	json_decref(json);
	return r;
}

int unused_load(int dir, struct unused *out, struct err *e)
{
	int store = file_open_dir(dir, STORE_DIR, NULL), r;
	struct buf text;

	*out = (struct unused){ .count = 0 };
	if (store < 0)
		return store == -ENOENT ? 0 : err_sys(e, store, STORE_DIR);
	buf_init(&text, LIST_BYTES);
	r = file_read(store, UNUSED_FILE, LIST_BYTES, &text, NULL);
	close(store);
	if (!r)
		r = unused_parse(out, (const char *)text.data, text.len, e);
	else if (r != -ENOENT)
		err_sys(e, r, STORE_DIR "/" UNUSED_FILE);
	buf_fini(&text);
	return r == -ENOENT ? 0 : r;
}

/* --- writing --------------------------------------------------------- */

static json_t *list_json(const struct unused *u)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < u->count; i++)
		if (!u->layer[i].is_gone)
			json_array_append_new(
				all, json_pack("{s:s, s:s}", "layer",
					       u->layer[i].layer, "disk",
					       u->layer[i].disk));
	return all;
}

static int write_list(int store, json_t *all, struct err *e)
{
	json_t *json = json_pack("{s:O}", "layers", all);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	int r = text ? file_commit(store, UNUSED_FILE, text, strlen(text),
				   FILE_DURABLE, e)
		     : err_sys(e, -ENOMEM, UNUSED_FILE);

	free(text);
	json_decref(json);
	return r;
}

static int remove_list(int store, struct err *e)
{
	if (unlinkat(store, UNUSED_FILE, 0) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, UNUSED_FILE);
	return fsync(store) < 0 ? err_sys(e, -errno, STORE_DIR) : 0;
}

int unused_save(int dir, const struct unused *u, struct err *e)
{
	int store = file_open_dir(dir, STORE_DIR, e), r;
	json_t *all;

	if (store < 0)
		return store;
	all = list_json(u);
	r = json_array_size(all) ? write_list(store, all, e)
				 : remove_list(store, e);
	json_decref(all);
	close(store);
	return r;
}

/* meta.json is hostile: what it says is not what may be deleted. */
static bool is_layer_of(const char *layer, const char *id)
{
	char end[SNAPSHOT_ID_CHARS + 16];
	size_t len = strlen(layer), n;

	n = (size_t)snprintf(end, sizeof(end), ".%s.qcow2", id);
	return len > n && !strcmp(layer + len - n, end);
}

int unused_note(int dir, const struct snapshot_meta *m, struct err *e)
{
	struct unused u;
	unsigned int i;
	size_t known;
	int r = unused_load(dir, &u, e);

	known = u.count;
	for (i = 0; i < m->disks && !r; i++) {
		if (!m->disk[i].layer || !is_layer_of(m->disk[i].layer, m->id))
			continue;
		r = add(&u, m->disk[i].layer, m->disk[i].path);
		if (r)
			err_sys(e, r, UNUSED_FILE);
	}
	if (!r && u.count > known)
		r = unused_save(dir, &u, e);
	unused_fini(&u);
	return r;
}

static bool names(const struct snapshot_meta *m, const char *layer)
{
	unsigned int i;

	for (i = 0; i < m->disks; i++)
		if (m->disk[i].layer && !strcmp(m->disk[i].layer, layer))
			return true;
	return false;
}

int unused_forget(int dir, const struct snapshot_meta *m, struct err *e)
{
	struct unused u;
	bool changed = false;
	size_t i;
	int r = unused_load(dir, &u, e);

	for (i = 0; i < u.count && !r; i++) {
		u.layer[i].is_gone = names(m, u.layer[i].layer);
		changed |= u.layer[i].is_gone;
	}
	if (!r && changed)
		r = unused_save(dir, &u, e);
	unused_fini(&u);
	return r;
}
