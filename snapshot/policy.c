/* SPDX-License-Identifier: Apache-2.0 */
/* From texts to a policy. */
#include "snapshot/policy.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "snapshot/naming.h"
#include "snapshot/take.h"

/* --- reading --------------------------------------------------------- */

static int read_span(struct prune_span *out, bool *has, const char *key,
		     const char *text, struct err *e)
{
	*has = *text;
	if (!*has)
		return 0;
	if (prune_span_parse(out, text, e))
		return err_prefix(e, "%s", key);
	if (!out->years && !out->months && !out->days && !out->hours)
		return err_set(e, -EINVAL, "%s: '%s' is no time at all", key,
			       text);
	return 0;
}

static int read_times(struct policy *p, const struct vm_snapshots *s,
		      struct err *e)
{
	struct prune_policy *rules = &p->prune.policy;
	uint64_t us = 0;
	int r;

	p->has_schedule = *s->every;
	if (p->has_schedule &&
	    cron_parse(&p->every, s->every, strlen(s->every), e))
		return err_prefix(e, "every: '%s'", s->every);
	r = read_span(&rules->within, &rules->has_within, "keep_within",
		      s->keep_within, e);
	if (!r)
		r = read_span(&p->expires, &p->has_expiry, "expires",
			      s->expires, e);
	if (!r && *s->max_pause && (!clock_us_parse(s->max_pause, &us) || !us))
		r = err_set(e, -EINVAL,
			    "max_pause: '%s' is no time such as 500us, 50ms "
			    "or 1s",
			    s->max_pause);
	p->max_pause_ns = us * NS_PER_US;
	return r;
}

static void read_rules(struct policy *p, const struct vm_snapshots *s)
{
	struct prune_policy *rules = &p->prune.policy;
	int i;

	for (i = 0; i < PRUNE_RULES; i++)
		rules->keep[i] = s->keep[i];
	rules->max_bytes = s->max_bytes;
	p->has_rules = !prune_is_empty(rules);
	rules->only_expired = p->prune.all_expired = true;
	if (!s->prune_all)
		snprintf(p->prune.purpose, sizeof(p->prune.purpose), "%s",
			 POLICY_PURPOSE);
}

/* Values that are right alone, and make no sense together. */
static int check_sense(const struct policy *p, const struct vm_snapshots *s,
		       struct err *e)
{
	if (p->has_rules && !p->has_schedule && !s->prune_all)
		return err_set(e, -EINVAL,
			       "rules are about what a schedule takes: give "
			       "every, or prune_all=on");
	if (s->quota && s->quota_warn > s->quota)
		return err_set(e, -EINVAL,
			       "quota_warn: %llu is more than quota %llu",
			       (unsigned long long)s->quota_warn,
			       (unsigned long long)s->quota);
	if (p->incremental && p->kind == SNAPSHOT_DISK)
		return err_set(e, -EINVAL,
			       "incremental is about memory, which kind=disk "
			       "has not");
	return 0;
}

static int check_names(const struct vm_snapshots *s, struct err *e)
{
	if (*s->name && naming_check(s->name, e))
		return err_prefix(e, "name");
	if (*s->pattern && naming_check_pattern(s->pattern, e))
		return err_prefix(e, "pattern");
	return 0;
}

int policy_read(struct policy *out, const struct vm_snapshots *s, struct err *e)
{
	struct policy p = {
		.kind = (enum snapshot_kind)s->kind,
		.incremental = s->incremental,
		.only_if_changed = s->only_if_changed,
		.quiesce = s->quiesce,
		.verify = s->verify,
		.quota = s->quota,
		.quota_warn = s->quota_warn,
	};
	int r = read_times(&p, s, e);

	if (r)
		return r;
	read_rules(&p, s);
	r = check_sense(&p, s, e);
	if (!r)
		r = check_names(s, e);
	if (!r)
		*out = p;
	return r;
}

/* --- taking -------------------------------------------------------- */

void policy_order(const struct policy *p, uint64_t now_ns,
		  struct snapshot_order *out)
{
	out->kind = p->kind;
	out->consistency = p->quiesce		      ? SNAPSHOT_QUIESCED
			   : p->kind == SNAPSHOT_DISK ? SNAPSHOT_CRASH
						      : SNAPSHOT_LIVE;
	out->incremental = p->incremental;
	out->max_pause_ns = p->max_pause_ns;
	if (p->has_expiry)
		out->expires_ns = prune_span_after(now_ns, &p->expires);
	snprintf(out->purpose, sizeof(out->purpose), "%s", POLICY_PURPOSE);
}
