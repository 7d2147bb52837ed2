/* SPDX-License-Identifier: Apache-2.0 */
/* One set, pinned, labelled or tried: its description is written anew. */
#include "snapshot/change.h"

#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/utf8.h"
#include "snapshot/store.h"

/* --- labels ---------------------------------------------------------- */

int label_change_parse(struct label_change *out, const char *text,
		       struct err *e)
{
	const char *equals = strchr(text, '=');
	size_t len = strlen(text), key = equals ? (size_t)(equals - text) : len;
	bool removes = !equals && len && text[len - 1] == '-';

	key -= removes;
	if ((!equals && !removes) || !key || key > VM_LABEL_MAX ||
	    (equals && strlen(equals + 1) > VM_LABEL_MAX) ||
	    !name_is_printable(text))
		return err_set(e, -EINVAL,
			       "label '%.80s' is neither KEY=VALUE nor KEY- "
			       "(at most %d characters each)",
			       text, VM_LABEL_MAX);
	*out = (struct label_change){ .removes = removes };
	memcpy(out->label.key, text, key);
	if (equals)
		memcpy(out->label.value, equals + 1, len - key);
	return 0;
}

static unsigned int find_label(const struct snapshot_meta *m, const char *key)
{
	unsigned int i;

	for (i = 0; i < m->labels; i++)
		if (!strcmp(m->label[i].key, key))
			break;
	return i;
}

static void remove_label(struct snapshot_meta *m, unsigned int i)
{
	m->labels--;
	memmove(&m->label[i], &m->label[i + 1],
		(m->labels - i) * sizeof(m->label[0]));
}

static int set_label(struct snapshot_meta *m, const struct label_change *c,
		     bool *changed, struct err *e)
{
	unsigned int i = find_label(m, c->label.key);
	bool is_there = i < m->labels;

	if (c->removes) {
		if (is_there)
			remove_label(m, i);
		*changed |= is_there;
		return 0;
	}
	if (i == SNAPSHOT_LABELS_MAX)
		return err_set(e, -E2BIG,
			       "snapshot %s has %d labels: no more fit",
			       m->name, SNAPSHOT_LABELS_MAX);
	if (is_there && !strcmp(m->label[i].value, c->label.value))
		return 0;
	m->label[i] = c->label;
	m->labels += !is_there;
	*changed = true;
	return 0;
}

static int set_labels(struct snapshot_meta *m, const struct snapshot_change *c,
		      bool *changed, struct err *e)
{
	unsigned int i;
	int r = 0;

	/* Those that go make room for those that come. */
	for (i = 0; i < c->labels && !r; i++)
		if (c->label[i].removes)
			r = set_label(m, &c->label[i], changed, e);
	for (i = 0; i < c->labels && !r; i++)
		if (!c->label[i].removes)
			r = set_label(m, &c->label[i], changed, e);
	return r;
}

/* --- all ------------------------------------------------------------- */

static int apply(struct snapshot_meta *m, const struct snapshot_change *c,
		 bool *changed, struct err *e)
{
	bool pins = c->kind == CHANGE_PIN;

	if (c->kind == CHANGE_LABEL)
		return set_labels(m, c, changed, e);
	if (c->kind == CHANGE_VERDICT) {
		m->verdict = c->verdict;
		utf8_copy_printable(m->verdict.how, sizeof(m->verdict.how),
				    c->verdict.how);
		utf8_copy_printable(m->verdict.text, sizeof(m->verdict.text),
				    c->verdict.text);
		*changed = true;
		return 0;
	}
	*changed = m->is_pinned != pins;
	m->is_pinned = pins;
	return 0;
}

static int rewrite(int dir, struct snapshot_meta *m,
		   const struct snapshot_change *c, bool *changed,
		   struct err *e)
{
	int r = apply(m, c, changed, e);

	return r || !*changed ? r : store_rewrite(dir, m, e);
}

static void describe(struct snapshot_changed *out,
		     const struct snapshot_meta *m,
		     const struct snapshot_change *c, bool changed)
{
	static const char *const done[] = { "pinned", "no longer pinned",
					    "labelled", "tried" };
	static const char *const was[] = { "pinned already", "not pinned",
					   "labelled so already", "tried" };

	*out = (struct snapshot_changed){ .changed = changed };
	out->set = snapshot_meta_json(m);
	snprintf(out->text, sizeof(out->text), "snapshot %s (%s) %s", m->name,
		 m->id, changed ? done[c->kind] : was[c->kind]);
}

int snapshot_change(int dir, const struct snapshot_change *change,
		    struct snapshot_changed *out, struct err *e)
{
	bool changed = false;
	struct snapshot_meta m;
	int r = store_find(dir, change->what, &m, e);

	if (!r)
		r = rewrite(dir, &m, change, &changed, e);
	if (!r)
		describe(out, &m, change, changed);
	snapshot_meta_fini(&m);
	return r;
}
