/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a snapshot's meta.json, as the list of a restore or of unused
 * layers, as a map of memory or as a working set: refused with a text, or
 * taken; what was taken prints to something that reads back to the same. The
 * first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/meta.h"
#include "snapshot/restore_journal.h"
#include "snapshot/unused.h"
#include "vmm/ram_map.h"
#include "vmm/ram_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PRINTED_BYTES (16u << 20)

static void must(bool fine)
{
	if (!fine)
		abort();
}

/* What is opened, shown in lists and used as a name is what it is to be. */
static void look_at_meta(const struct snapshot_meta *m)
{
	unsigned int i;

	must(strlen(m->id) == SNAPSHOT_ID_CHARS);
	must(!*m->parent || strlen(m->parent) == SNAPSHOT_ID_CHARS);
	must(*m->name && !strchr(m->name, '/'));
	must(m->disks <= VM_DISKS_MAX && m->labels <= SNAPSHOT_LABELS_MAX);
	for (i = 0; i < m->disks; i++) {
		must(m->disk[i].path && *m->disk[i].path == '/');
		must(!m->disk[i].layer || *m->disk[i].layer == '/');
	}
}

static void as_meta(const char *text, size_t len)
{
	struct snapshot_meta m, again;
	struct buf first, second;
	struct err e = ERR_NONE;

	if (snapshot_meta_parse(&m, text, len, &e)) {
		must(e.code < 0 && *e.text);
		snapshot_meta_fini(&m);
		return;
	}
	look_at_meta(&m);
	buf_init(&first, PRINTED_BYTES);
	buf_init(&second, PRINTED_BYTES);
	must(!snapshot_meta_print(&m, &first, &e));
	must(!snapshot_meta_parse(&again, buf_text(&first), first.len, &e));
	must(!snapshot_meta_print(&again, &second, &e));
	must(first.len == second.len &&
	     !memcmp(first.data, second.data, first.len));
	buf_fini(&first);
	buf_fini(&second);
	snapshot_meta_fini(&again);
	snapshot_meta_fini(&m);
}

static void look_at_step(const json_t *step)
{
	const char *path = journal_text(step, "path");
	const char *was = journal_text(step, "was");

	must(*path == '/' && !strncmp(was, path, strlen(path)));
	was += strlen(path);
	must(!strchr(was, '/') && !strncmp(was, JOURNAL_WAS, 5));
}

static void as_journal(const char *text, size_t len)
{
	struct journal j, again;
	struct err e = ERR_NONE;
	char *printed;
	size_t i;

	if (journal_parse(&j, text, len, &e)) {
		must(e.code < 0 && *e.text);
		return;
	}
	for (i = 0; i < json_array_size(j.steps); i++)
		look_at_step(json_array_get(j.steps, i));
	must(!*j.done || strspn(j.done, "0123456789abcdef") == 8);
	printed = journal_print(&j);
	must(printed != NULL);
	must(!journal_parse(&again, printed, strlen(printed), &e));
	must(json_equal(j.steps, again.steps) && !strcmp(j.done, again.done));
	free(printed);
	journal_fini(&again);
	journal_fini(&j);
}

static void as_unused(const char *text, size_t len)
{
	struct err e = ERR_NONE;
	struct unused u;
	size_t i;

	if (unused_parse(&u, text, len, &e))
		must(e.code < 0 && *e.text);
	for (i = 0; i < u.count; i++)
		must(*u.layer[i].layer == '/' && *u.layer[i].disk == '/');
	unused_fini(&u);
}

static void as_map(const char *bytes, size_t len)
{
	struct err e = ERR_NONE;
	struct ram_map map, again;
	struct buf first;

	if (ram_map_load(&map, (const uint8_t *)bytes, len, &e)) {
		must(e.code < 0 && *e.text);
		return;
	}
	must(map.granule >= RAM_GRANULE_MIN && map.granule <= RAM_GRANULE_MAX);
	buf_init(&first, RAM_MAP_BYTES);
	must(!ram_map_save(&map, &first, &e));
	must(!ram_map_load(&again, first.data, first.len, &e));
	must(map.count == again.count &&
	     !memcmp(map.hash, again.hash, map.count * sizeof(*map.hash)));
	buf_fini(&first);
	ram_map_fini(&again);
	ram_map_fini(&map);
}

/* What is advised about lies in the memory, and nowhere twice. */
static void look_at_set(const struct ram_set *set)
{
	uint32_t i;

	must(set->count <= RAM_SET_RANGES);
	for (i = 0; i < set->count; i++) {
		must(set->range[i].from < set->range[i].to);
		must(set->range[i].to <= set->bytes);
		must(!i || set->range[i].from > set->range[i - 1].to);
	}
}

static void as_set(const char *bytes, size_t len)
{
	struct err e = ERR_NONE;
	struct ram_set set, again;
	struct buf first;

	if (ram_set_load(&set, (const uint8_t *)bytes, len, &e)) {
		must(e.code < 0 && *e.text);
		return;
	}
	look_at_set(&set);
	buf_init(&first, RAM_SET_BYTES);
	must(!ram_set_save(&set, &first, &e));
	must(!ram_set_load(&again, first.data, first.len, &e));
	must(set.count == again.count && set.bytes == again.bytes);
	buf_fini(&first);
	ram_set_fini(&again);
	ram_set_fini(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size < 2)
		return 0;
	copy = malloc(size - 1); /* so that ASan sees its exact end */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 'm')
		as_meta(copy, size - 1);
	else if (data[0] == 'u')
		as_unused(copy, size - 1);
	else if (data[0] == 'r')
		as_map(copy, size - 1);
	else if (data[0] == 'w')
		as_set(copy, size - 1);
	else
		as_journal(copy, size - 1);
	free(copy);
	return 0;
}
