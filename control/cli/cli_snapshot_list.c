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
#include "control/cli/cli_words.h"
#include "control/cli/term_table.h"
#include "snapshot/size.h"

#define OUT_BYTES    (4u << 20)
#define PAGE	     4096ULL
#define DEEP	     64 /* where a tree is not drawn deeper */
#define EXPIRY_BYTES (TERM_HUMAN_BYTES + 32)

/* --- order ----------------------------------------------------------- */

struct row {
	const struct snapshot_meta *m; /* borrowed from the list */
	struct snapshot_size size;
};

struct view {
	int dir; /* borrowed */
	struct store_list list;
	struct row *row; /* owned: list.count, in the order asked for */
	char current[SNAPSHOT_ID_CHARS + 1];
	struct term_table table;
};

/* The list is sorted by age: it decides where another order doesn't. */
static int by_age(const struct row *x, const struct row *y)
{
	return x->m < y->m ? -1 : x->m > y->m;
}

static int by_size(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->size.total != y->size.total)
		return x->size.total > y->size.total ? -1 : 1;
	return by_age(x, y);
}

static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->m->name, y->m->name);
}

static int by_kind(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->m->kind != y->m->kind)
		return x->m->kind < y->m->kind ? -1 : 1;
	return by_age(x, y);
}

static int (*const orders[CLI_SORT_COUNT])(const void *a, const void *b) = {
	[CLI_SORT_SIZE] = by_size,
	[CLI_SORT_NAME] = by_name,
	[CLI_SORT_KIND] = by_kind,
};

static int sort_of(const struct cli *cli)
{
	const char *text = cli_value(cli, CLI_SORT);

	return text ? cli_sort_parse(text) : CLI_SORT_AGE;
}

int cli_snapshot_list_check(const struct cli *cli, struct err *e)
{
	if (sort_of(cli) >= 0)
		return 0;
	return err_set(e, -EINVAL,
		       "snapshot list: --sort: '%.32s' is not age, size, name "
		       "or kind",
		       cli_value(cli, CLI_SORT));
}

/* --- rows ------------------------------------------------------------ */

static bool is_there(const struct view *v, const char *id)
{
	size_t i;

	for (i = 0; i < v->list.count; i++)
		if (!strcmp(v->list.set[i].id, id))
			return true;
	return false;
}

static uint64_t age_us(const struct snapshot_meta *m)
{
	uint64_t now = clock_wall_ns();

	return now > m->created_ns ? (now - m->created_ns) / NS_PER_US : 0;
}

/* " (expires in 6 d 23 h)", " (expired)", "" */
static const char *expiry_text(const struct snapshot_meta *m,
			       char text[EXPIRY_BYTES])
{
	uint64_t now = clock_wall_ns();
	char left[TERM_HUMAN_BYTES];

	if (!m->expires_ns)
		return "";
	if (m->expires_ns <= now)
		return " (expired)";
	snprintf(text, EXPIRY_BYTES, " (expires in %s)",
		 term_duration_us((m->expires_ns - now) / NS_PER_US, left));
	return text;
}

static void add_row(struct view *v, const struct row *row, const char *indent)
{
	const struct snapshot_meta *m = row->m;
	bool is_current = !strcmp(m->id, v->current);
	char memory[TERM_HUMAN_BYTES], size[TERM_HUMAN_BYTES];
	char age[TERM_HUMAN_BYTES], pause[TERM_HUMAN_BYTES];
	char expires[EXPIRY_BYTES];
	struct term_table *t = &v->table;

	term_table_add(t, is_current ? TERM_BOLD : TERM_PLAIN, "%s%s%s", indent,
		       m->name, is_current ? " *" : "");
	term_table_add(t, TERM_DIM, "%s", m->id);
	term_table_add(t, TERM_PLAIN, "%s", snapshot_kind_text(m->kind));
	term_table_add(t, TERM_PLAIN, "%s",
		       m->kind == SNAPSHOT_DISK
			       ? "-"
			       : term_bytes(m->pages * PAGE, memory));
	term_table_add(t, TERM_PLAIN, "%s", term_bytes(row->size.total, size));
	term_table_add(t, TERM_PLAIN, "%s", term_duration_us(age_us(m), age));
	term_table_add(t, TERM_PLAIN, "%s",
		       term_duration_us(m->pause_ns / NS_PER_US, pause));
	term_table_add(t, TERM_PLAIN, "%s%s%s", m->purpose,
		       m->is_pinned ? " (pinned)" : "",
		       expiry_text(m, expires));
}

/* Children under their parents; one whose parent is gone is a root. */
static void add_below(struct view *v, const char *parent, unsigned int depth)
{
	char indent[2 * DEEP + 4];
	size_t i;

	snprintf(indent, sizeof(indent), "%*s%s", (int)(2 * depth), "",
		 depth ? "- " : "");
	for (i = 0; i < v->list.count; i++) {
		const struct snapshot_meta *m = v->row[i].m;
		bool is_root = !*m->parent || !is_there(v, m->parent);

		if (*parent ? strcmp(m->parent, parent) != 0 : !is_root)
			continue;
		add_row(v, &v->row[i], indent);
		if (depth < DEEP)
			add_below(v, m->id, depth + 1);
	}
}

static int print_table(const struct cli *cli, struct view *v)
{
	struct buf out;
	size_t i;
	int r;

	term_table_init(&v->table,
			"SNAPSHOT ID KIND >MEMORY >SIZE >AGE >PAUSE PURPOSE",
			term_has_colour(STDOUT_FILENO));
	if (cli_has(cli, CLI_TREE))
		add_below(v, "", 0);
	else
		for (i = 0; i < v->list.count; i++)
			add_row(v, &v->row[i], "");
	buf_init(&out, OUT_BYTES);
	r = term_table_print(&v->table, &out);
	if (!r)
		cli_print(&out);
	buf_fini(&out);
	term_table_fini(&v->table);
	return r;
}

static void print_json(const struct view *v)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < v->list.count; i++)
		json_array_append_new(all,
				      snapshot_sized_json(v->dir, v->row[i].m));
	cli_print_json(json_pack("{s:s, s:I, s:o}", "current", v->current,
				 "damaged", (json_int_t)v->list.damaged,
				 "snapshots", all));
}

static int make_rows(const struct cli *cli, struct view *v)
{
	int sort = sort_of(cli);
	size_t i, n = v->list.count;

	v->row = calloc(n + 1, sizeof(*v->row));
	if (!v->row)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		v->row[i].m = &v->list.set[i];
		snapshot_size(v->dir, v->row[i].m, &v->row[i].size);
	}
	if (orders[sort])
		qsort(v->row, n, sizeof(*v->row), orders[sort]);
	return 0;
}

int cli_snapshot_list(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	struct view v = { .dir = vm->dir };
	int r = store_list(vm->dir, &v.list, e);

	(void)status;
	if (r)
		return r;
	store_current(vm->dir, v.current);
	r = make_rows(cli, &v);
	if (!r && cli_has(cli, CLI_JSON))
		print_json(&v);
	else if (!r && v.list.count)
		r = print_table(cli, &v);
	else if (!r)
		cli_note(vm->name,
			 "has no snapshots (amber snapshot create %s)",
			 vm->name);
	if (v.list.damaged)
		cli_error(vm->name,
			  "%zu snapshot%s can't be read; %s (amber snapshot "
			  "delete %s ID --force removes it)",
			  v.list.damaged, v.list.damaged == 1 ? "" : "s",
			  v.list.why, vm->name);
	free(v.row);
	store_list_fini(&v.list);
	return r ? err_sys(e, r, "snapshots") : 0;
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

static void print_size(struct buf *out, const struct snapshot_size *size)
{
	char total[TERM_HUMAN_BYTES], memory[TERM_HUMAN_BYTES];
	char layers[TERM_HUMAN_BYTES];

	buf_printf(out, "%-13s %s: memory %s, layers of disks %s\n",
		   "on disk:", term_bytes(size->total, total),
		   term_bytes(size->memory, memory),
		   term_bytes(size->layers, layers));
}

static void print_verdict(struct buf *out, const struct snapshot_verdict *v)
{
	char start[TERM_HUMAN_BYTES], good[TERM_HUMAN_BYTES];

	if (!v->is_there)
		return;
	buf_printf(out, "%-13s ", "tried:");
	if (v->passed)
		buf_printf(out,
			   "%s, came back: running after %s, good (%s) after "
			   "%s\n",
			   v->at, term_duration_us(v->start_us, start), v->how,
			   term_duration_us(v->good_us, good));
	else
		buf_printf(out, "%s, FAILED (%s): %s\n", v->at, v->how,
			   v->text);
}

static void print_set(struct buf *out, const struct snapshot_meta *m,
		      const struct snapshot_size *size, bool is_current)
{
	char bytes[TERM_HUMAN_BYTES], all[TERM_HUMAN_BYTES];
	char us[TERM_HUMAN_BYTES];
	char when[CLOCK_TEXT_BYTES], expires[EXPIRY_BYTES];
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
	if (m->expires_ns)
		buf_printf(out, "%-13s %s%s\n",
			   "expires:", clock_rfc3339(m->expires_ns, when),
			   expiry_text(m, expires));
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
	print_size(out, size);
	buf_printf(out, "%-13s %s", "stood still:",
		   term_duration_us(m->pause_ns / NS_PER_US, us));
	buf_printf(out, ", in all %s\n",
		   term_duration_us(m->took_ns / NS_PER_US, us));
	print_disks(out, m);
	print_verdict(out, &m->verdict);
}

int cli_snapshot_show(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	struct snapshot_size size;
	struct snapshot_meta m;
	struct buf out;
	int r = store_find(vm->dir, cli->args[2], &m, e);

	(void)status;
	if (r)
		return r;
	store_current(vm->dir, current);
	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(snapshot_sized_json(vm->dir, &m));
	} else {
		buf_init(&out, OUT_BYTES);
		snapshot_size(vm->dir, &m, &size);
		print_set(&out, &m, &size, !strcmp(current, m.id));
		cli_print(&out);
		buf_fini(&out);
	}
	snapshot_meta_fini(&m);
	return 0;
}
