/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot list|show`: read from the VM's directory, whether it runs
 * or not. Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"
#include "snapshot/store.h"

#define OUT_BYTES (4u << 20)
#define PAGE	  4096ULL
#define DEEP	  64 /* where a tree is not drawn deeper */

/* --- order ----------------------------------------------------------- */

struct view {
	const struct store_list *list;
	char current[SNAPSHOT_ID_CHARS + 1];
	struct term_table table;
	bool is_tree;
};

static bool is_there(const struct store_list *list, const char *id)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!strcmp(list->set[i].id, id))
			return true;
	return false;
}

/* --- rows ------------------------------------------------------------ */

static void add_row(struct view *v, const struct snapshot_meta *m,
		    const char *indent)
{
	bool is_current = !strcmp(m->id, v->current);
	char bytes[TERM_HUMAN_BYTES], age[TERM_HUMAN_BYTES];
	char pause[TERM_HUMAN_BYTES];
	uint64_t now = clock_wall_ns();

	term_table_add(&v->table, is_current ? TERM_BOLD : TERM_PLAIN, "%s%s%s",
		       indent, m->name, is_current ? " *" : "");
	term_table_add(&v->table, TERM_DIM, "%s", m->id);
	term_table_add(&v->table, TERM_PLAIN, "%s",
		       snapshot_kind_text(m->kind));
	term_table_add(&v->table, TERM_PLAIN, "%s",
		       m->kind == SNAPSHOT_DISK
			       ? "-"
			       : term_bytes(m->pages * PAGE, bytes));
	term_table_add(
		&v->table, TERM_PLAIN, "%s",
		term_duration_us(now > m->created_ns
					 ? (now - m->created_ns) / NS_PER_US
					 : 0,
				 age));
	term_table_add(&v->table, TERM_PLAIN, "%s",
		       term_duration_us(m->pause_ns / NS_PER_US, pause));
	term_table_add(&v->table, TERM_PLAIN, "%s%s", m->purpose,
		       m->is_pinned ? " (pinned)" : "");
}

/* Children under their parents; one whose parent is gone is a root. */
static void add_below(struct view *v, const char *parent, unsigned int depth)
{
	char indent[2 * DEEP + 4];
	size_t i;

	snprintf(indent, sizeof(indent), "%*s%s", (int)(2 * depth), "",
		 depth ? "- " : "");
	for (i = 0; i < v->list->count; i++) {
		const struct snapshot_meta *m = &v->list->set[i];
		bool is_root = !*m->parent || !is_there(v->list, m->parent);

		if (*parent ? strcmp(m->parent, parent) != 0 : !is_root)
			continue;
		add_row(v, m, indent);
		if (depth < DEEP)
			add_below(v, m->id, depth + 1);
	}
}

static int print_list(const struct cli *cli, const struct store_list *list,
		      const char *current)
{
	struct view v = { .list = list, .is_tree = cli_has(cli, CLI_TREE) };
	struct buf out;
	size_t i;
	int r;

	memcpy(v.current, current, sizeof(v.current));
	term_table_init(&v.table,
			"SNAPSHOT ID KIND >MEMORY >AGE >PAUSE PURPOSE",
			term_has_colour(STDOUT_FILENO));
	if (v.is_tree)
		add_below(&v, "", 0);
	else
		for (i = 0; i < list->count; i++)
			add_row(&v, &list->set[i], "");
	buf_init(&out, OUT_BYTES);
	r = term_table_print(&v.table, &out);
	if (!r)
		cli_print(&out);
	buf_fini(&out);
	term_table_fini(&v.table);
	return r;
}

static void print_json(const struct store_list *list, const char *current)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < list->count; i++)
		json_array_append_new(all, snapshot_meta_json(&list->set[i]));
	cli_print_json(json_pack("{s:s, s:I, s:o}", "current", current,
				 "damaged", (json_int_t)list->damaged,
				 "snapshots", all));
}

int cli_snapshot_list(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	struct store_list list;
	int r = store_list(vm->dir, &list, e);

	(void)status;
	if (r)
		return r;
	store_current(vm->dir, current);
	if (cli_has(cli, CLI_JSON))
		print_json(&list, current);
	else if (list.count)
		r = print_list(cli, &list, current);
	else
		cli_note(vm->name,
			 "has no snapshots (amber snapshot create "
			 "%s)",
			 vm->name);
	if (list.damaged)
		cli_error(vm->name, "%zu snapshot%s can't be read; %s",
			  list.damaged, list.damaged == 1 ? "" : "s", list.why);
	store_list_fini(&list);
	return r;
}

/* --- one ------------------------------------------------------------- */

static void line(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "%-13s ", key);
	term_put_safe(out, value, false);
	buf_puts(out, "\n");
}

static void print_disks(struct buf *out, const struct snapshot_meta *m)
{
	char bytes[TERM_HUMAN_BYTES];
	unsigned int i;

	for (i = 0; i < m->disks; i++) {
		const struct snapshot_disk *d = &m->disk[i];

		buf_printf(out, "%-13s %s, %s\n", i ? "" : "disks:", d->id,
			   term_bytes(d->bytes, bytes));
		line(out, "", d->layer ? d->layer : d->path);
	}
}

static void print_set(struct buf *out, const struct snapshot_meta *m,
		      bool is_current)
{
	char bytes[TERM_HUMAN_BYTES], all[TERM_HUMAN_BYTES];
	char us[TERM_HUMAN_BYTES];
	unsigned int i;

	line(out, "snapshot:", m->name);
	buf_printf(out, "%-13s %s%s\n", "id:", m->id,
		   is_current ? " (the VM has come from it)" : "");
	if (*m->parent)
		line(out, "parent:", m->parent);
	line(out, "created:", m->created);
	buf_printf(out, "%-13s %s, consistency %s%s\n",
		   "kind:", snapshot_kind_text(m->kind),
		   snapshot_consistency_text(m->consistency),
		   m->is_pinned ? ", pinned" : "");
	line(out, "purpose:", m->purpose);
	for (i = 0; i < m->labels; i++)
		buf_printf(out, "%-13s %s=%s\n",
			   i ? "" : "labels:", m->label[i].key,
			   m->label[i].value);
	buf_printf(out, "%-13s %s, %s, %u CPUs, amber %s\n", "of:", m->vm,
		   m->uuid, m->cpus, m->version);
	if (m->kind != SNAPSHOT_DISK)
		buf_printf(out, "%-13s %s of %s\n",
			   "memory:", term_bytes(m->pages * PAGE, bytes),
			   term_bytes(m->memory_bytes, all));
	buf_printf(out, "%-13s %s", "stood still:",
		   term_duration_us(m->pause_ns / NS_PER_US, us));
	buf_printf(out, ", in all %s\n",
		   term_duration_us(m->took_ns / NS_PER_US, us));
	print_disks(out, m);
}

int cli_snapshot_show(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	struct snapshot_meta m;
	struct buf out;
	int r = store_find(vm->dir, cli->args[2], &m, e);

	(void)status;
	if (r)
		return r;
	store_current(vm->dir, current);
	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(snapshot_meta_json(&m));
	} else {
		buf_init(&out, OUT_BYTES);
		print_set(&out, &m, !strcmp(current, m.id));
		cli_print(&out);
		buf_fini(&out);
	}
	snapshot_meta_fini(&m);
	return 0;
}
