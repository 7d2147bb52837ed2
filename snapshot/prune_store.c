/* SPDX-License-Identifier: Apache-2.0 */
/* From the store to the rules, and what they say done to the store. */
#include "snapshot/prune_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "snapshot/remove.h"
#include "snapshot/size.h"

#define REMOVED_BYTES 512 /* of what is said of one that went */

struct prune {
	int dir;			 /* borrowed */
	const struct vm_config *config;	 /* borrowed */
	const struct prune_order *order; /* borrowed */
	uint64_t now_ns;
	struct tidy_done done;
	struct store_list list;
	struct snapshot_size *size;    /* owned: list.count */
	struct prune_item *item;       /* owned: the same */
	struct prune_verdict *verdict; /* owned: the same */
};

/* --- who is asked about ---------------------------------------------- */

int prune_label_parse(struct prune_label *out, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');
	size_t len = strlen(text), key = equals ? (size_t)(equals - text) : len;

	if (!key || key > VM_LABEL_MAX ||
	    (equals && strlen(equals + 1) > VM_LABEL_MAX))
		return err_set(e, -EINVAL,
			       "label '%.80s' is not KEY[=VALUE] of at most %d "
			       "characters each",
			       text, VM_LABEL_MAX);
	*out = (struct prune_label){ .any_value = !equals };
	memcpy(out->key, text, key);
	if (equals)
		memcpy(out->value, equals + 1, len - key);
	return 0;
}

static bool carries(const struct snapshot_meta *m, const struct prune_label *l)
{
	unsigned int i;

	for (i = 0; i < m->labels; i++)
		if (!strcmp(m->label[i].key, l->key))
			return l->any_value ||
			       !strcmp(m->label[i].value, l->value);
	return false;
}

static bool is_asked(const struct prune_order *o, const struct snapshot_meta *m)
{
	unsigned int i;

	if (*o->purpose && strcmp(o->purpose, m->purpose) != 0)
		return false;
	for (i = 0; i < o->labels; i++)
		if (!carries(m, &o->label[i]))
			return false;
	return true;
}

/* --- deciding -------------------------------------------------------- */

/* 1 + its number; 0: there is none. */
static size_t find_base(const struct store_list *list, const char *id)
{
	size_t i;

	for (i = 0; *id && i < list->count; i++)
		if (!strcmp(list->set[i].id, id))
			return i + 1;
	return 0;
}

/* The time of anybody's may be over, who is looked at for that. */
static bool is_over(const struct prune *p, const struct snapshot_meta *m,
		    bool is_current)
{
	return p->order->all_expired && m->expires_ns &&
	       m->expires_ns <= p->now_ns && !m->is_pinned && !is_current;
}

static void describe_items(struct prune *p)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	size_t i;

	store_current(p->dir, current);
	for (i = 0; i < p->list.count; i++) {
		const struct snapshot_meta *m = &p->list.set[i];
		bool is_current = !strcmp(m->id, current);

		snapshot_size(p->dir, m, &p->size[i]);
		p->item[i] = (struct prune_item){
			.created_ns = m->created_ns,
			.bytes = p->size[i].total,
			.expires_ns = m->expires_ns,
			.is_pinned = m->is_pinned,
			.is_current = is_current,
			.is_passed_over = !is_asked(p->order, m) &&
					  !is_over(p, m, is_current),
			.base = find_base(&p->list, m->base),
		};
	}
}

static int decide(struct prune *p, struct err *e)
{
	size_t n;
	int r = store_list(p->dir, &p->list, e);

	if (r)
		return r;
	n = p->list.count + 1;
	p->size = calloc(n, sizeof(*p->size));
	p->item = calloc(n, sizeof(*p->item));
	p->verdict = calloc(n, sizeof(*p->verdict));
	if (!p->size || !p->item || !p->verdict)
		return err_sys(e, -ENOMEM, "snapshots");
	describe_items(p);
	r = prune_decide(&p->order->policy, p->item, p->list.count, p->now_ns,
			 p->verdict);
	return r ? err_sys(e, r, "snapshots") : 0;
}

/* --- telling --------------------------------------------------------- */

static json_t *reasons_json(const struct prune_policy *policy, uint32_t bits)
{
	char text[sizeof("within ") + PRUNE_SPAN_TEXT], span[PRUNE_SPAN_TEXT];
	json_t *all = json_array();
	int i;

	for (i = 0; i < PRUNE_REASONS; i++) {
		if (!(bits & 1u << i))
			continue;
		snprintf(text, sizeof(text), "%s%s%s",
			 prune_reason_text((enum prune_reason)i),
			 i == PRUNE_WITHIN ? " " : "",
			 i == PRUNE_WITHIN
				 ? prune_span_text(&policy->within, span)
				 : "");
		json_array_append_new(all, json_string(text));
	}
	return all;
}

static json_t *verdicts_json(const struct prune *p)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < p->list.count; i++) {
		const struct snapshot_meta *m = &p->list.set[i];

		json_array_append_new(
			all, json_pack("{s:s, s:s, s:I, s:I, s:b, s:o}", "id",
				       m->id, "name", m->name, "created_ns",
				       (json_int_t)m->created_ns, "bytes",
				       (json_int_t)p->size[i].total, "keep",
				       p->verdict[i].keeps, "reasons",
				       reasons_json(&p->order->policy,
						    p->verdict[i].reasons)));
	}
	return all;
}

static void report(const struct prune *p, struct prune_report *out)
{
	bool is_dry = p->order->is_dry_run;
	uint64_t freed = p->done.bytes;
	size_t i;

	*out = (struct prune_report){ .removed = 0 };
	for (i = 0; i < p->list.count; i++) {
		if (p->verdict[i].keeps)
			continue;
		out->removed++;
		freed += p->size[i].memory + p->size[i].state;
	}
	snprintf(out->text, sizeof(out->text),
		 "%zu snapshot%s %s, %zu kept, %llu KiB %s", out->removed,
		 out->removed == 1 ? "" : "s",
		 is_dry ? "would be removed" : "removed",
		 p->list.count - out->removed,
		 (unsigned long long)(freed >> 10),
		 is_dry ? "to be freed" : "freed");
	out->json = json_pack("{s:b, s:I, s:I, s:I, s:o}", "dry_run", is_dry,
			      "removed", (json_int_t)out->removed, "kept",
			      (json_int_t)(p->list.count - out->removed),
			      "freed_bytes", (json_int_t)freed, "snapshots",
			      verdicts_json(p));
}

/* --- doing ----------------------------------------------------------- */

static int remove_one(struct prune *p, const char *id, struct err *e)
{
	const struct removal order = { .what = id };
	char text[REMOVED_BYTES];

	return remove_snapshots(p->dir, p->config, &order, &p->done, text,
				sizeof(text), e);
}

/* The newest first: others' memory may stand on the older ones. */
static int remove_all(struct prune *p, struct err *e)
{
	size_t i, removed = 0;
	int r = 0;

	for (i = p->list.count; i-- > 0 && !r;) {
		if (p->verdict[i].keeps)
			continue;
		r = remove_one(p, p->list.set[i].id, e);
		if (r)
			err_prefix(e, "%zu removed, then %s", removed,
				   p->list.set[i].name);
		removed++;
	}
	return r;
}

int snapshot_prune(int dir, const struct vm_config *config,
		   const struct prune_order *order, struct prune_report *out,
		   struct err *e)
{
	struct prune p = { .dir = dir,
			   .config = config,
			   .order = order,
			   .now_ns = clock_wall_ns() };
	int r;

	if (prune_is_empty(&order->policy))
		return err_set(e, -EINVAL,
			       "nothing says which snapshots are kept "
			       "(--keep-last, --keep-within, --max-bytes, "
			       "--expired...)");
	r = decide(&p, e);
	if (!r && !order->is_dry_run)
		r = remove_all(&p, e);
	if (!r)
		report(&p, out);
	free(p.size);
	free(p.item);
	free(p.verdict);
	store_list_fini(&p.list);
	return r;
}
