/* SPDX-License-Identifier: Apache-2.0 */
/* meta.json, written and read. */
#include "snapshot/meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_in.h"
#include "base/name.h"

static const char *const kinds[] = { "full", "disk", "memory" };
static const char *const consistencies[] = { "crash", "live", "quiesced" };

static const struct json_limits limits = {
	.bytes = SNAPSHOT_META_BYTES,
	.depth = 4,
	.values = 2048,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int find(const char *const *names, size_t count, const char *text)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -1;
}

const char *snapshot_kind_text(enum snapshot_kind kind)
{
	return kind < COUNT(kinds) ? kinds[kind] : "?";
}

int snapshot_kind_parse(const char *text)
{
	return find(kinds, COUNT(kinds), text);
}

const char *snapshot_consistency_text(enum snapshot_consistency c)
{
	return c < COUNT(consistencies) ? consistencies[c] : "?";
}

void snapshot_meta_fini(struct snapshot_meta *m)
{
	unsigned int i;

	for (i = 0; i < VM_DISKS_MAX; i++) {
		free(m->disk[i].path);
		free(m->disk[i].layer);
	}
	memset(m, 0, sizeof(*m));
}

/* --- writing --------------------------------------------------------- */

static json_t *disk_json(const struct snapshot_disk *d)
{
	return json_pack("{s:s, s:s, s:s*, s:I, s:I, s:I, s:I}", "id", d->id,
			 "path", d->path, "layer", d->layer, "bytes",
			 (json_int_t)d->bytes, "inode", (json_int_t)d->inode,
			 "file_bytes", (json_int_t)d->file_bytes, "changed_ns",
			 (json_int_t)d->changed_ns);
}

static json_t *disks_json(const struct snapshot_meta *m)
{
	json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < m->disks; i++)
		json_array_append_new(all, disk_json(&m->disk[i]));
	return all;
}

static json_t *labels_json(const struct snapshot_meta *m)
{
	json_t *all = json_object();
	unsigned int i;

	for (i = 0; i < m->labels; i++)
		json_object_set_new(all, m->label[i].key,
				    json_string(m->label[i].value));
	return all;
}

/* NULL: nobody has tried. */
static json_t *verdict_json(const struct snapshot_verdict *v)
{
	if (!v->is_there)
		return NULL;
	return json_pack("{s:b, s:s, s:s, s:I, s:I, s:s}", "passed", v->passed,
			 "how", v->how, "at", v->at, "start_us",
			 (json_int_t)v->start_us, "good_us",
			 (json_int_t)v->good_us, "text", v->text);
}

json_t *snapshot_meta_json(const struct snapshot_meta *m)
{
	char expires[CLOCK_TEXT_BYTES];

	return json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, "
		"s:s*, s:s, s:s, s:s, "
		"s:i, s:I, s:I, s:I, s:I, s:b, s:o*, s:o, s:o}",
		"format", SNAPSHOT_FORMAT, "id", m->id, "name", m->name,
		"parent", m->parent, "base", m->base, "kind",
		snapshot_kind_text(m->kind), "consistency",
		snapshot_consistency_text(m->consistency), "purpose",
		m->purpose, "created", m->created, "created_ns",
		(json_int_t)m->created_ns, "expires",
		m->expires_ns ? clock_rfc3339(m->expires_ns, expires) : NULL,
		"vm", m->vm, "uuid", m->uuid, "amber", m->version, "cpus",
		(int)m->cpus, "memory_bytes", (json_int_t)m->memory_bytes,
		"pages", (json_int_t)m->pages, "pause_ns",
		(json_int_t)m->pause_ns, "took_ns", (json_int_t)m->took_ns,
		"pinned", m->is_pinned, "verdict", verdict_json(&m->verdict),
		"labels", labels_json(m), "disks", disks_json(m));
}

int snapshot_meta_print(const struct snapshot_meta *m, struct buf *out,
			struct err *e)
{
	json_t *json = snapshot_meta_json(m);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	int r = text ? buf_puts(out, text) : -ENOMEM;

	if (!r)
		r = buf_puts(out, "\n");
	free(text);
	json_decref(json);
	return r ? err_sys(e, r, "meta.json") : 0;
}

/* --- reading --------------------------------------------------------- */

struct reader {
	const json_t *json;
	struct err *e;
	int error; /* sticky */
};

static void bad(struct reader *r, const char *key, const char *wanted)
{
	if (!r->error)
		r->error = err_set(r->e, -EBADMSG, "meta.json: %s: is not %s",
				   key, wanted);
}

static const char *string(struct reader *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r->json, key));

	if (!s || !name_is_printable(s))
		bad(r, key, "a printable string");
	return s ? s : "";
}

static void text(struct reader *r, const char *key, char *to, size_t size)
{
	const char *s = string(r, key);
	char wanted[48];

	if (strlen(s) < size) {
		memcpy(to, s, strlen(s) + 1);
		return;
	}
	snprintf(wanted, sizeof(wanted), "a string of at most %zu bytes",
		 size - 1);
	bad(r, key, wanted);
}

static uint64_t number(struct reader *r, const char *key, uint64_t max)
{
	const json_t *n = json_object_get(r->json, key);
	json_int_t value = json_integer_value(n);
	char wanted[64];

	if (json_is_integer(n) && value >= 0 && (uint64_t)value <= max)
		return (uint64_t)value;
	snprintf(wanted, sizeof(wanted), "a whole number in 0..%llu",
		 (unsigned long long)max);
	bad(r, key, wanted);
	return 0;
}

/* Its value is a directory's name, or none. */
static void id(struct reader *r, const char *key, char *to, bool may_be_none)
{
	text(r, key, to, SNAPSHOT_ID_CHARS + 1);
	if (may_be_none && !*to)
		return;
	if (strspn(to, "0123456789abcdef") != SNAPSHOT_ID_CHARS)
		bad(r, key, "eight hexadecimal digits");
}

static unsigned int choice(struct reader *r, const char *key,
			   const char *const *names, size_t count)
{
	int i = find(names, count, string(r, key));

	if (i < 0)
		bad(r, key, "a known one");
	return i < 0 ? 0 : (unsigned int)i;
}

/* It is opened, and stands in messages. */
static char *path(struct reader *r, const char *key)
{
	const char *s = string(r, key);

	if (*s != '/')
		bad(r, key, "an absolute path");
	return strdup(s);
}

static void read_disk(struct reader *all, const json_t *json,
		      struct snapshot_disk *d)
{
	struct reader r = { .json = json, .e = all->e };

	text(&r, "id", d->id, sizeof(d->id));
	d->path = path(&r, "path");
	if (json_object_get(json, "layer"))
		d->layer = path(&r, "layer");
	d->bytes = number(&r, "bytes", INT64_MAX);
	d->inode = number(&r, "inode", INT64_MAX);
	d->file_bytes = number(&r, "file_bytes", INT64_MAX);
	d->changed_ns = number(&r, "changed_ns", INT64_MAX);
	if (!all->error)
		all->error = r.error;
}

static void read_disks(struct reader *r, struct snapshot_meta *m)
{
	const json_t *all = json_object_get(r->json, "disks");
	size_t i;

	if (!json_is_array(all) || json_array_size(all) > VM_DISKS_MAX) {
		bad(r, "disks", "a list of disks");
		return;
	}
	m->disks = (unsigned int)json_array_size(all);
	for (i = 0; i < m->disks; i++)
		read_disk(r, json_array_get(all, i), &m->disk[i]);
}

static void read_labels(struct reader *r, struct snapshot_meta *m)
{
	json_t *all = json_object_get(r->json, "labels");
	const json_t *value;
	const char *key, *s;

	if (!json_is_object(all) ||
	    json_object_size(all) > SNAPSHOT_LABELS_MAX) {
		bad(r, "labels", "an object of few labels");
		return;
	}
	json_object_foreach(all, key, value)
	{
		struct vm_label *label = &m->label[m->labels];

		s = json_string_value(value);
		if (!s || strlen(key) > VM_LABEL_MAX ||
		    strlen(s) > VM_LABEL_MAX || !name_is_printable(key) ||
		    !name_is_printable(s)) {
			bad(r, "labels", "short printable texts");
			return;
		}
		memcpy(label->key, key, strlen(key) + 1);
		memcpy(label->value, s, strlen(s) + 1);
		m->labels++;
	}
}

static void read_verdict(struct reader *all, struct snapshot_verdict *v)
{
	struct reader r = { .json = json_object_get(all->json, "verdict"),
			    .e = all->e };

	if (!r.json || all->error)
		return;
	v->is_there = true;
	v->passed = json_is_true(json_object_get(r.json, "passed"));
	text(&r, "how", v->how, sizeof(v->how));
	text(&r, "at", v->at, sizeof(v->at));
	v->start_us = number(&r, "start_us", INT64_MAX);
	v->good_us = number(&r, "good_us", INT64_MAX);
	text(&r, "text", v->text, sizeof(v->text));
	all->error = r.error;
}

static void read_all(struct reader *r, struct snapshot_meta *m)
{
	id(r, "id", m->id, false);
	id(r, "parent", m->parent, true);
	id(r, "base", m->base, true);
	if (*m->base && !strcmp(m->base, m->id))
		bad(r, "base", "another one");
	text(r, "name", m->name, sizeof(m->name));
	if (!r->error && name_check(m->name, SNAPSHOT_NAME_MAX, NULL))
		bad(r, "name", "a snapshot's name");
	m->kind = choice(r, "kind", kinds, COUNT(kinds));
	m->consistency =
		choice(r, "consistency", consistencies, COUNT(consistencies));
	text(r, "purpose", m->purpose, sizeof(m->purpose));
	text(r, "created", m->created, sizeof(m->created));
	m->created_ns = number(r, "created_ns", INT64_MAX);
	if (json_object_get(r->json, "expires") &&
	    !clock_rfc3339_parse(string(r, "expires"), &m->expires_ns))
		bad(r, "expires", "a time such as 2026-11-23T23:47:05Z");
	text(r, "vm", m->vm, sizeof(m->vm));
	text(r, "uuid", m->uuid, sizeof(m->uuid));
	text(r, "amber", m->version, sizeof(m->version));
	m->cpus = (uint32_t)number(r, "cpus", VM_CPUS_MAX);
	m->memory_bytes = number(r, "memory_bytes", VM_MEMORY_MAX_BYTES);
	m->pages = number(r, "pages", VM_MEMORY_MAX_BYTES / 4096);
	m->pause_ns = number(r, "pause_ns", INT64_MAX);
	m->took_ns = number(r, "took_ns", INT64_MAX);
	m->is_pinned = json_is_true(json_object_get(r->json, "pinned"));
	read_verdict(r, &m->verdict);
	read_labels(r, m);
	read_disks(r, m);
}

static int check_format(const json_t *json, struct err *e)
{
	json_int_t format = json_integer_value(json_object_get(json, "format"));

	if (format > SNAPSHOT_FORMAT)
		return err_set(e, -ENOTSUP,
			       "meta.json has format %" JSON_INTEGER_FORMAT
			       ", this amber knows %d",
			       format, SNAPSHOT_FORMAT);
	if (format < 1)
		return err_set(e, -EBADMSG, "meta.json: format: is not %d",
			       SNAPSHOT_FORMAT);
	return 0;
}

int snapshot_meta_parse(struct snapshot_meta *m, const char *bytes, size_t len,
			struct err *e)
{
	struct reader r = { .e = e };
	json_t *json;
	int error;

	memset(m, 0, sizeof(*m));
	error = json_in_parse(&json, bytes, len, &limits, "meta.json", e);
	if (error)
		return error == -ENOMEM ? error
					: (e ? e->code = -EBADMSG : -EBADMSG);
	r.json = json;
	r.error = check_format(json, e);
	if (!r.error)
		read_all(&r, m);
	json_decref(json);
	return r.error;
}
