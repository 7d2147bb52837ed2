/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber policy show`: schedule, what was done, what is next, and what pruning
 * would leave. Reads only, whether the VM runs or not. Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_policy.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/limits.h"
#include "snapshot/quota.h"

#define OUT_BYTES (4u << 20)

/* As config.json has it. */
static json_t *policy_json(const struct vm_config *config)
{
	json_t *all, *policy;
	struct buf text;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	config_to_json(config, &text);
	all = json_loads(buf_text(&text), 0, NULL);
	policy = json_incref(json_object_get(all, "snapshots"));
	json_decref(all);
	buf_fini(&text);
	return policy;
}

static uint64_t taken(const struct cli_policy *p)
{
	struct store_list list;
	uint64_t bytes;

	if (store_list(p->vm.dir, &list, NULL))
		return 0;
	bytes = quota_taken(p->vm.dir, &list);
	store_list_fini(&list);
	return bytes;
}

static int look_ahead(const struct cli_policy *p, json_t **answer,
		      struct err *e)
{
	struct prune_order order = p->policy.prune;
	struct prune_report report = { .removed = 0 };
	int r;

	order.is_dry_run = true;
	r = snapshot_prune(p->vm.dir, &p->config, &order, &report, e);
	if (!r)
		*answer = json_pack("{s:s, s:o}", "text", report.text, "prune",
				    report.json);
	return r;
}

/* --- JSON ------------------------------------------------------------ */

static json_t *time_json(uint64_t ns)
{
	char text[CLOCK_TEXT_BYTES];

	if (!ns || ns == POLICY_NEVER)
		return json_null();
	return json_string(clock_rfc3339(ns, text));
}

static void print_json(const struct cli_policy *p, const json_t *answer)
{
	cli_print_json(json_pack(
		"{s:s, s:o, s:o, s:b, s:o, s:I, s:s, s:I, s:O}", "name",
		p->vm.name, "policy", policy_json(&p->config), "due",
		time_json(p->due_ns), "overdue", p->due_ns <= p->now_ns, "ran",
		time_json(p->state.ran_ns), "failures",
		(json_int_t)p->state.failures, "text", p->state.text,
		"taken_bytes", (json_int_t)taken(p), "prune",
		json_object_get(answer, "prune")));
}

/* --- text ------------------------------------------------------------ */

static void print_keys(struct buf *out, const struct vm_config *config)
{
	json_t *all = policy_json(config), *value;
	const char *key;
	bool is_first = true;
	char *text;

	json_object_foreach(all, key, value)
	{
		text = json_dumps(value, JSON_ENCODE_ANY);
		buf_printf(out, "%-13s %s=%s\n", is_first ? "policy:" : "", key,
			   json_is_string(value) ? json_string_value(value)
			   : text		 ? text
						 : "?");
		free(text);
		is_first = false;
	}
	json_decref(all);
}

static void print_due(struct buf *out, const struct cli_policy *p)
{
	char when[CLOCK_TEXT_BYTES], left[TERM_HUMAN_BYTES];

	if (p->due_ns == POLICY_NEVER) {
		buf_printf(out, "%-13s never: there is no schedule\n", "next:");
		return;
	}
	buf_printf(out, "%-13s %s", "next:", clock_rfc3339(p->due_ns, when));
	if (p->due_ns <= p->now_ns)
		buf_printf(out, " (overdue: %s)\n",
			   p->vm.alive ? "its process does it soon, or when "
					 "the VM runs again"
				       : "amber policy run");
	else
		buf_printf(out, " (in %s)\n",
			   term_duration_us((p->due_ns - p->now_ns) / NS_PER_US,
					    left));
}

static void print_last(struct buf *out, const struct cli_policy *p)
{
	const struct policy_state *s = &p->state;
	char when[CLOCK_TEXT_BYTES];

	buf_printf(out, "%-13s %s", "last:",
		   s->ran_ns ? clock_rfc3339(s->ran_ns, when) : "none yet");
	if (s->failures)
		buf_printf(out, "; then %u failed, the last at %s", s->failures,
			   clock_rfc3339(s->failed_ns, when));
	if (*s->text) {
		buf_puts(out, ": ");
		term_put_safe(out, s->text, false);
	}
	buf_puts(out, "\n");
}

static void print_space(struct buf *out, const struct cli_policy *p)
{
	char has[TERM_HUMAN_BYTES], limit[TERM_HUMAN_BYTES];

	buf_printf(out, "%-13s %s", "taken up:", term_bytes(taken(p), has));
	if (p->policy.quota)
		buf_printf(out, " of %s", term_bytes(p->policy.quota, limit));
	buf_puts(out, "\n");
}

static void print_text(const struct cli_policy *p, const json_t *answer)
{
	struct buf out;

	buf_init(&out, OUT_BYTES);
	print_keys(&out, &p->config);
	print_due(&out, p);
	print_last(&out, p);
	print_space(&out, p);
	cli_snapshot_print_verdicts(&p->vm, answer, &out);
	cli_print(&out);
	buf_fini(&out);
}

int cli_policy_show(const struct cli *cli, const char *name)
{
	struct err e = ERR_NONE;
	json_t *answer = NULL;
	struct cli_policy p;
	int r = cli_policy_open(&p, cli, name, &e);

	if (!r && !p.has_policy)
		r = err_set(&e, -ENOENT, "has no policy (--snapshots)");
	if (!r)
		r = look_ahead(&p, &answer, &e);
	if (!r && cli_has(cli, CLI_JSON))
		print_json(&p, answer);
	else if (!r)
		print_text(&p, answer);
	json_decref(answer);
	cli_policy_close(&p);
	if (!r)
		return EXIT_CODE_OK;
	cli_error(name, "%s", e.text);
	return EXIT_CODE_FAILED;
}
