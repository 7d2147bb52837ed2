/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber policy run`: what is due of VMs that have no process. Worker threads,
 * one VM each. INV-1: only who holds the VM's lock changes what is in its
 * directory. INV-2: what was tried is in policy.json before the lock is let go.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_policy.h"
#include "control/cli/cli_snapshot.h"
#include "control/journal.h"
#include "snapshot/changed.h"
#include "snapshot/quota.h"
#include "snapshot/suspend.h"
#include "snapshot/verify.h"

#define TOLD_BYTES 4096

/* What is said of one VM, in the order in which it happened. */
struct told {
	struct cli_result *r; /* borrowed */
	const struct cli *cli;
	const char *outcome; /* static; for --json */
	struct buf text;
};

static void tell(struct told *t, const char *outcome, const char *text)
{
	if (!t->outcome)
		t->outcome = outcome;
	buf_printf(&t->text, "%s%s", t->text.len ? "; " : "", text);
}

static void give_out(struct told *t, const struct cli_policy *p)
{
	char due[CLOCK_TEXT_BYTES];

	if (!t->outcome)
		return;
	if (cli_has(t->cli, CLI_JSON))
		t->r->json = json_pack("{s:s, s:s, s:s, s:s*}", "name",
				       t->r->name, "outcome", t->outcome,
				       "text", buf_text(&t->text), "due",
				       p->due_ns == POLICY_NEVER
					       ? NULL
					       : clock_rfc3339(p->due_ns, due));
	else
		buf_printf(&t->r->out, "%s: %s\n", t->r->name,
			   buf_text(&t->text));
}

/* A journal that can't be written is no reason to have no snapshot. */
static void note(const struct cli_policy *p, const char *kind, const char *text)
{
	struct err e = ERR_NONE;

	if (journal_add(p->vm.dir,
			&(struct event_note){
				.kind = kind,
				.state = VM_STOPPED,
				.cause = vm_cause_text(VM_CAUSE_COMMAND),
				.actor = { .kind = "policy",
					   .uid = getuid(),
					   .pid = getpid() },
				.reason = "scheduled",
				.text = text,
			},
			&e))
		cli_error(p->vm.name, "%s", e.text);
}

/* --- taking ---------------------------------------------------------- */

static int verify(struct cli_policy *p, const struct snapshot_meta *m,
		  struct err *e)
{
	struct verify_figures figures;

	if (!p->policy.verify)
		return 0;
	return snapshot_verify(p->vm.dir, &p->config, m, &figures, e)
		       ? err_prefix(e, "snapshot %s (%s) was taken, but",
				    m->name, m->id)
		       : 0;
}

static void warn(const struct cli_policy *p)
{
	char text[POLICY_TEXT_BYTES];

	quota_warning(p->vm.dir, &p->config, text, sizeof(text));
	if (!*text)
		return;
	note(p, "snapshot-quota", text);
	cli_error(p->vm.name, "%s", text);
}

static int take(struct cli_policy *p, struct told *t, struct err *e)
{
	struct snapshot_order o = { .labels = 0 };
	struct snapshot_meta m = { .disks = 0 };
	char text[POLICY_TEXT_BYTES];
	bool changed = true;
	int r;

	policy_order(&p->policy, p->now_ns, &o);
	/* Ones that are all the same would push out those that are not. */
	r = snapshot_disks_changed(p->vm.dir, &p->config, &changed, e);
	if (!r && changed)
		r = cli_snapshot_take_offline(&p->vm, &o, &m, e);
	if (!r && changed)
		r = verify(p, &m, e);
	if (!r) {
		snprintf(text, sizeof(text), "snapshot %s (%s): disks only",
			 m.name, m.id);
		if (!changed)
			snprintf(text, sizeof(text),
				 "no disk has changed since the current "
				 "snapshot");
		policy_ran(&p->state, p->now_ns, text);
		note(p, changed ? "snapshot" : "policy", text);
		tell(t, changed ? "taken" : "unchanged", text);
	} else {
		policy_failed(&p->state, p->now_ns, e->text);
		note(p, "snapshot-failed", e->text);
	}
	snapshot_meta_fini(&m);
	if (!r && changed)
		warn(p);
	return r;
}

/* --- pruning --------------------------------------------------------- */

static int prune(struct cli_policy *p, struct told *t, struct err *e)
{
	struct prune_report report = { .removed = 0 };
	int r = snapshot_prune(p->vm.dir, &p->config, &p->policy.prune, &report,
			       e);

	if (r) {
		note(p, "snapshot-failed", e->text);
		return r;
	}
	if (report.removed) {
		note(p, "snapshot", report.text);
		tell(t, "pruned", report.text);
	}
	json_decref(report.json);
	return 0;
}

/*
 * Rules hold after a run; an expiry, and rules without a schedule, always; but
 * while new ones turn out to be damaged the old ones may be all there is.
 */
static bool is_prune_due(const struct cli_policy *p, bool has_run)
{
	if (p->policy.verify && p->state.failures && !has_run)
		return false;
	if (policy_has_expired(p->list, p->now_ns))
		return true;
	return p->policy.has_rules && (has_run || !p->policy.has_schedule);
}

/* Else a timer asks: it isn't told the same every time. */
static bool is_named(const struct cli *cli)
{
	return !cli_has(cli, CLI_ALL) && !cli_has(cli, CLI_LABEL);
}

/* --- one VM ---------------------------------------------------------- */

/* Why nothing can be taken, "": it can. */
static const char *hindrance(const struct cli_policy *p)
{
	if (suspend_exists(p->vm.dir))
		return "is suspended, and its memory wants its disks as they "
		       "are: it stays due";
	if (!p->config.disks)
		return "has no disks, and no memory while it is stopped: it "
		       "stays due";
	return "";
}

static int run_locked(struct cli_policy *p, struct told *t, struct err *e)
{
	bool is_due, has_run = false;
	struct err bad = ERR_NONE;
	int r = 0;

	if (cli_policy_look(p, &bad))
		cli_error(p->vm.name, "%s", bad.text);
	is_due = p->due_ns <= p->now_ns;
	if (is_due && *hindrance(p)) {
		if (is_named(t->cli))
			tell(t, "waits", hindrance(p));
	} else if (is_due) {
		r = take(p, t, e);
		has_run = !r || r == -EDQUOT; /* there may be room then */
	}
	if (is_prune_due(p, has_run)) {
		struct err pruning = ERR_NONE;

		if (prune(p, t, &pruning) && !r) {
			*e = pruning;
			r = pruning.code;
		}
	}
	if (is_due || p->is_settled_anew) {
		struct err saving = ERR_NONE;

		if (policy_save(&p->state, p->vm.dir, &saving) && !r) {
			*e = saving;
			r = saving.code;
		}
	}
	p->due_ns = policy_due(&p->policy, &p->state);
	return r;
}

static void run_dry(const struct cli_policy *p, struct told *t)
{
	char text[POLICY_TEXT_BYTES], due[CLOCK_TEXT_BYTES];

	if (p->due_ns == POLICY_NEVER)
		tell(t, "nothing", "has no schedule");
	else if (p->due_ns > p->now_ns) {
		snprintf(text, sizeof(text), "is due at %s",
			 clock_rfc3339(p->due_ns, due));
		tell(t, "nothing", text);
	} else if (*hindrance(p)) {
		tell(t, "waits", hindrance(p));
	} else {
		snprintf(text, sizeof(text),
			 "a snapshot would be taken: it is due since %s",
			 clock_rfc3339(p->due_ns, due));
		tell(t, "due", text);
	}
	if (is_prune_due(p, p->due_ns <= p->now_ns))
		tell(t, "due",
		     "then those that no rule keeps would be "
		     "removed");
}

static int run(struct cli_policy *p, struct told *t, struct err *e)
{
	static const char *const alive =
		"has a process, which does that itself";
	int lock, r;

	if (!p->has_policy) {
		if (is_named(t->cli))
			tell(t, "nothing", "has no policy (--snapshots)");
		return 0;
	}
	if (p->vm.alive) {
		tell(t, "alive", alive);
		return 0;
	}
	if (cli_has(t->cli, CLI_DRY_RUN)) {
		run_dry(p, t);
		return 0;
	}
	lock = cli_snapshot_lock(&p->vm, e);
	if (lock == -EBUSY) { /* somebody was faster */
		tell(t, "alive", alive);
		return 0;
	}
	if (lock < 0)
		return lock;
	r = run_locked(p, t, e);
	close(lock);
	if (!r && !t->outcome && is_named(t->cli))
		run_dry(p, t);
	return r;
}

int cli_policy_run(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct told t = { .r = r, .cli = cli };
	struct cli_policy p;
	int code;

	(void)ctx;
	buf_init(&t.text, TOLD_BYTES);
	code = cli_policy_open(&p, cli, r->name, &r->e);
	if (!code)
		r->e = (struct err)ERR_NONE;
	if (!code)
		code = run(&p, &t, &r->e);
	give_out(&t, &p);
	buf_fini(&t.text);
	cli_policy_close(&p);
	return code;
}
