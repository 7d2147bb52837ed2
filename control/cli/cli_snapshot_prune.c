/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot prune`: by the VM's process, or here under the lock of a VM
 * that has none; both give the same JSON, which is printed. Main thread.
 */
#include "control/cli/cli_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "control/config_value.h"
#include "control/text.h"
#include "snapshot/prune_store.h"

#define OUT_BYTES   (4u << 20)
#define WHY_BYTES   512
#define RULE_OPT(n) ((enum cli_opt)(CLI_KEEP_LAST + (n)))

/* --- options --------------------------------------------------------- */

static int take_rules(const struct cli *cli, struct prune_policy *p,
		      struct err *e)
{
	int rule, r = 0;

	for (rule = 0; rule < PRUNE_RULES && !r; rule++) {
		const char *text = cli_value(cli, RULE_OPT(rule));
		uint64_t n = 0;

		if (text && !strcmp(text, "unlimited"))
			n = PRUNE_KEEP_MAX;
		else
			r = cli_number(cli, RULE_OPT(rule), 1, PRUNE_KEEP_MAX,
				       &n, e);
		p->keep[rule] = (unsigned int)n;
	}
	return r;
}

static int take_limits(const struct cli *cli, struct prune_policy *p,
		       struct err *e)
{
	const char *within = cli_value(cli, CLI_KEEP_WITHIN);
	const char *bytes = cli_value(cli, CLI_MAX_BYTES);
	int r = 0;

	p->only_expired = cli_has(cli, CLI_EXPIRED);
	p->has_within = within;
	if (within && prune_span_parse(&p->within, within, e))
		return err_prefix(e, "snapshot prune: --keep-within");
	if (bytes)
		r = config_parse_number("snapshot prune: --max-bytes", bytes,
					true, &p->max_bytes, e);
	if (!r && bytes && !p->max_bytes)
		r = err_set(e, -EINVAL,
			    "snapshot prune: --max-bytes: nothing would stay");
	return r;
}

static int take_order(const struct cli *cli, struct prune_order *o,
		      struct err *e)
{
	const char *purpose = cli_value(cli, CLI_PURPOSE);
	size_t i;
	int r = take_rules(cli, &o->policy, e);

	if (!r)
		r = take_limits(cli, &o->policy, e);
	if (!r && purpose && strlen(purpose) > SNAPSHOT_PURPOSE_MAX)
		r = err_set(e, -EINVAL, "snapshot prune: --purpose: too long");
	for (i = 0; i < cli->givens && !r; i++) {
		if (cli->given[i].id != CLI_SNAPSHOT_LABEL)
			continue;
		if (o->labels == SNAPSHOT_LABELS_MAX)
			return err_set(e, -EINVAL,
				       "snapshot prune: more than %d labels",
				       SNAPSHOT_LABELS_MAX);
		r = prune_label_parse(&o->label[o->labels++],
				      cli->given[i].value, e);
	}
	if (r)
		return r;
	text_copy(o->purpose, sizeof(o->purpose), purpose ? purpose : "");
	o->is_dry_run = cli_has(cli, CLI_DRY_RUN);
	return 0;
}

int cli_snapshot_prune_check(const struct cli *cli, struct err *e)
{
	struct prune_order o = { .labels = 0 };
	int r = take_order(cli, &o, e);

	if (!r && prune_is_empty(&o.policy))
		r = err_set(e, -EINVAL,
			    "snapshot prune: which are kept? (--keep-last, "
			    "--keep-daily, --keep-within, --max-bytes, "
			    "--expired...)");
	return r;
}

/* --- asking ---------------------------------------------------------- */

static json_t *body_of(const struct cli *cli, const struct prune_order *o)
{
	const char *within = cli_value(cli, CLI_KEEP_WITHIN);
	json_t *body = json_pack("{s:b, s:b, s:s, s:I}", "dry_run",
				 o->is_dry_run, "expired",
				 o->policy.only_expired, "purpose", o->purpose,
				 "max_bytes", (json_int_t)o->policy.max_bytes);
	char name[32];
	int rule;

	for (rule = 0; rule < PRUNE_RULES; rule++) {
		snprintf(name, sizeof(name), "keep_%s",
			 prune_rule_text((enum prune_rule)rule));
		json_object_set_new(body, name,
				    json_integer(o->policy.keep[rule]));
	}
	if (within)
		json_object_set_new(body, "keep_within", json_string(within));
	if (o->labels)
		json_object_set_new(body, "labels", cli_snapshot_labels(cli));
	return body;
}

static int prune_locked(const struct cli *cli, struct cli_vm *vm,
			const struct prune_order *o, json_t **answer,
			struct err *e)
{
	struct prune_report report = { .removed = 0 };
	struct vm_config config;
	int r;

	config_init(&config);
	r = config_load(&config, vm->dir, e);
	if (!r) {
		config_finish(&config, CONFIG_KEPT);
		r = snapshot_prune(vm->dir, &config, o, &report, e);
	}
	if (!r && report.removed && !o->is_dry_run &&
	    !cli_has(cli, CLI_NO_MERGE))
		cli_snapshot_merge(vm, &config, false);
	vm_config_fini(&config);
	if (!r)
		*answer = json_pack("{s:b, s:s, s:o}", "changed",
				    report.removed && !o->is_dry_run, "text",
				    report.text, "prune", report.json);
	return r;
}

static int prune_offline(const struct cli *cli, struct cli_vm *vm,
			 const struct prune_order *o, json_t **answer,
			 struct err *e)
{
	int lock = cli_snapshot_lock(vm, e), r;

	if (lock < 0)
		return lock;
	r = prune_locked(cli, vm, o, answer, e);
	close(lock);
	return r;
}

/* --- printing -------------------------------------------------------- */

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static void join_reasons(const json_t *reasons, char *out, size_t size)
{
	size_t i, len = 0;

	*out = '\0';
	for (i = 0; i < json_array_size(reasons) && len < size; i++)
		len += (size_t)snprintf(
			out + len, size - len, "%s%s", i ? ", " : "",
			json_string_value(json_array_get(reasons, i)));
}

static void add_row(struct term_table *t, const json_t *s)
{
	bool keeps = json_is_true(json_object_get(s, "keep"));
	char age[TERM_HUMAN_BYTES], bytes[TERM_HUMAN_BYTES], why[WHY_BYTES];
	uint64_t now = clock_wall_ns(), created = number(s, "created_ns");

	join_reasons(json_object_get(s, "reasons"), why, sizeof(why));
	term_table_add(t, TERM_PLAIN, "%s", string(s, "name"));
	term_table_add(t, TERM_DIM, "%s", string(s, "id"));
	term_table_add(
		t, TERM_PLAIN, "%s",
		term_duration_us(
			now > created ? (now - created) / NS_PER_US : 0, age));
	term_table_add(t, TERM_PLAIN, "%s",
		       term_bytes(number(s, "bytes"), bytes));
	term_table_add(t, keeps ? TERM_GREEN : TERM_RED, "%s",
		       keeps ? "keep" : "remove");
	term_table_add(t, TERM_PLAIN, "%s", why);
}

void cli_snapshot_print_verdicts(const struct cli_vm *vm, const json_t *answer,
				 struct buf *out)
{
	const json_t *all =
		json_object_get(json_object_get(answer, "prune"), "snapshots");
	size_t i, count = json_array_size(all);
	struct term_table table;

	term_table_init(&table, "SNAPSHOT ID >AGE >SIZE VERDICT REASONS",
			term_has_colour(STDOUT_FILENO));
	for (i = 0; i < count; i++)
		add_row(&table, json_array_get(all, i));
	if (count)
		term_table_print(&table, out);
	buf_printf(out, "%s: %s\n", vm->name, string(answer, "text"));
	term_table_fini(&table);
}

int cli_snapshot_prune(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e)
{
	struct prune_order o = { .labels = 0 };
	json_t *answer = NULL;
	struct buf out;
	int r = take_order(cli, &o, e);

	(void)status;
	if (r)
		return r;
	r = vm->alive ? cli_snapshot_ask(cli, vm, "/v1/vm/snapshot/prune",
					 body_of(cli, &o), &answer, e)
		      : prune_offline(cli, vm, &o, &answer, e);
	if (r)
		return r;
	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(answer);
		return 0;
	}
	buf_init(&out, OUT_BYTES);
	cli_snapshot_print_verdicts(vm, answer, &out);
	cli_print(&out);
	buf_fini(&out);
	json_decref(answer);
	return 0;
}
