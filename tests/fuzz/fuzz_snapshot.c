/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a snapshot's meta.json or as the list of a restore: refused
 * with a text, or taken; what was taken prints to something that reads back
 * to the same bytes. The first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/meta.h"
#include "snapshot/restore_journal.h"

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
	else
		as_journal(copy, size - 1);
	free(copy);
	return 0;
}
