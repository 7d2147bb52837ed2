/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of a configuration from options and JSON, by their tables. INV-1:
 * a record is added whole or not at all. INV-2: what is printed is read back
 * to the same record.
 */
#include "control/config_record.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_value.h"
#include "control/nearest.h"
#include "control/text.h"
#include "devices/vnet.h"

#define FIELDS_MAX 24
#define RECORD_MAX 1024 /* bytes of a record */
#define OPTION_MAX 4608 /* characters of one item of an option */
#define WHO_BYTES  160

/* Room for any record, aligned for its members. */
union room {
	uint64_t align;
	uint8_t bytes[RECORD_MAX];
};

static void *at(void *record, const struct config_field *f)
{
	return (uint8_t *)record + f->offset;
}

static const void *look(const void *record, const struct config_field *f)
{
	return (const uint8_t *)record + f->offset;
}

/* --- one field ------------------------------------------------------- */

static int set_word(char *to, const struct config_field *f, const char *who,
		    const char *text, struct err *e)
{
	size_t i, len = strlen(text);

	if (!len || len > f->max)
		return err_set(e, -EINVAL, "%s: 1..%llu characters, not %zu",
			       who, (unsigned long long)f->max, len);
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) &&
		    (!i || !strchr("_.-", text[i])))
			return err_set(e, -EINVAL, "%s: bad character %zu", who,
				       i + 1);
	text_copy(to, f->max + 1, text);
	return 0;
}

static int set_text(char *to, const struct config_field *f, const char *who,
		    const char *text, struct err *e)
{
	int r = config_text_check(who, text, f->max, e);

	if (!r)
		text_copy(to, f->max + 1, text);
	return r;
}

static int set_path(char **to, const char *who, const char *text, struct err *e)
{
	char path[PATH_MAX];
	int r = config_absolute_path(who, text, path, sizeof(path), e);
	char *copy;

	if (!r)
		r = config_path_check(who, path, e);
	if (r)
		return r;
	copy = strdup(path);
	if (!copy)
		return err_sys(e, -ENOMEM, "%s", who);
	free(*to);
	*to = copy;
	return 0;
}

static int set_enum(uint32_t *to, const struct config_field *f, const char *who,
		    const char *text, struct err *e)
{
	char all[128] = "";
	uint32_t i;
	size_t n = 0;

	for (i = 0; f->names[i]; i++) {
		if (*f->names[i] && strcmp(f->names[i], text) == 0) {
			*to = i;
			return 0;
		}
		if (*f->names[i] && n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
					      n ? ", " : "", f->names[i]);
	}
	return err_set(e, -EINVAL, "%s: '%.32s' is not one of %s", who, text,
		       all);
}

static int set_number(void *to, const struct config_field *f, const char *who,
		      uint64_t value, struct err *e)
{
	uint32_t narrow = (uint32_t)value;

	if (value < f->min || value > f->max)
		return err_set(e, -EINVAL, "%s: %llu is not in %llu..%llu", who,
			       (unsigned long long)value,
			       (unsigned long long)f->min,
			       (unsigned long long)f->max);
	if (f->type == FIELD_BYTES)
		memcpy(to, &value, sizeof(value));
	else
		memcpy(to, &narrow, sizeof(narrow));
	return 0;
}

/* A unicast address in its usual form; kept in lower case. */
static int set_mac(char *to, const char *who, const char *text, struct err *e)
{
	uint8_t mac[VNET_MAC_BYTES];
	size_t i;

	if (!vnet_mac_parse(text, mac))
		return err_set(e, -EINVAL,
			       "%s: '%.32s' is no address such as "
			       "52:54:00:12:34:56",
			       who, text);
	if (mac[0] & 1)
		return err_set(e, -EINVAL, "%s: '%s' is a group address", who,
			       text);
	for (i = 0; text[i]; i++)
		to[i] = (char)tolower((unsigned char)text[i]);
	to[i] = 0;
	return 0;
}

static int set_from_text(void *record, const struct config_field *f,
			 const char *who, const char *text, struct err *e)
{
	void *to = at(record, f);
	uint64_t value;
	int r;

	switch (f->type) {
	case FIELD_PATH:
		return set_path(to, who, text, e);
	case FIELD_WORD:
		return set_word(to, f, who, text, e);
	case FIELD_TEXT:
		return set_text(to, f, who, text, e);
	case FIELD_ENUM:
		return set_enum(to, f, who, text, e);
	case FIELD_BOOL:
		return config_parse_switch(who, text, to, e);
	case FIELD_MAC:
		return set_mac(to, who, text, e);
	default:
		r = config_parse_number(who, text, f->type == FIELD_BYTES,
					&value, e);
		return r ? r : set_number(to, f, who, value, e);
	}
}

static int set_from_json(void *record, const struct config_field *f,
			 const char *who, const json_t *value, struct err *e)
{
	void *to = at(record, f);
	bool is_number = f->type == FIELD_NUMBER || f->type == FIELD_BYTES;

	if (f->type == FIELD_BOOL) {
		if (!json_is_boolean(value))
			return err_set(e, -EINVAL,
				       "%s: is %s, not true or false", who,
				       json_in_kind(value));
		*(bool *)to = json_is_true(value);
		return 0;
	}
	if (is_number && json_is_integer(value)) {
		if (json_integer_value(value) < 0)
			return err_set(e, -EINVAL, "%s: is negative", who);
		return set_number(to, f, who,
				  (uint64_t)json_integer_value(value), e);
	}
	if (!json_is_string(value) || f->type == FIELD_NUMBER)
		return err_set(e, -EINVAL, "%s: is %s, not %s", who,
			       json_in_kind(value),
			       is_number ? "a whole number" : "a string");
	if (f->type == FIELD_PATH && *json_string_value(value) != '/')
		return err_set(e, -EINVAL, "%s: the path is not absolute", who);
	return set_from_text(record, f, who, json_string_value(value), e);
}

/* --- one record ------------------------------------------------------ */

static const struct config_field *find(const struct config_record *rec,
				       const char *key)
{
	size_t i;

	for (i = 0; i < rec->field_count; i++)
		if (strcmp(rec->fields[i].key, key) == 0)
			return &rec->fields[i];
	return NULL;
}

static int unknown_key(const struct config_record *rec, const char *who,
		       const char *key, struct err *e)
{
	const char *keys[FIELDS_MAX];
	const char *near;
	size_t i;

	for (i = 0; i < rec->field_count; i++)
		keys[i] = rec->fields[i].key;
	near = nearest(key, keys, rec->field_count);
	return err_set(e, -EINVAL, "%s: unknown key '%.48s'%s%s%s", who, key,
		       near ? "; did you mean '" : "", near ? near : "",
		       near ? "'?" : "");
}

static void fini_record(const struct config_record *rec, void *record)
{
	size_t i;

	for (i = 0; i < rec->field_count; i++)
		if (rec->fields[i].type == FIELD_PATH)
			free(*(char **)at(record, &rec->fields[i]));
}

static unsigned int *counter(struct vm_config *c,
			     const struct config_record *rec)
{
	return (unsigned int *)(void *)((uint8_t *)c + rec->count);
}

static uint8_t *entry(struct vm_config *c, const struct config_record *rec,
		      unsigned int n)
{
	return (uint8_t *)c + rec->list + n * rec->bytes;
}

/* "disk0", the first that is free. */
static void give_id(struct vm_config *c, const struct config_record *rec,
		    char *id)
{
	unsigned int n, i;

	for (n = 0; n <= rec->max; n++) {
		snprintf(id, DEVICE_ID_MAX + 1, "%s%u", rec->stem, n);
		for (i = 0; i < *counter(c, rec); i++)
			if (!strcmp((char *)entry(c, rec, i) + rec->id, id))
				break;
		if (i == *counter(c, rec))
			return;
	}
}

/* Takes record over; on an error it stays the caller's. */
static int set_record(struct vm_config *c, const struct config_record *rec,
		      const char *who, void *record, struct err *e)
{
	int r = rec->check ? rec->check(record, who, e) : 0;

	if (r)
		return r;
	if (*counter(c, rec))
		fini_record(rec, entry(c, rec, 0));
	memcpy(entry(c, rec, 0), record, rec->bytes);
	*counter(c, rec) = 1;
	return 0;
}

/* The same. */
static int add_record(struct vm_config *c, const struct config_record *rec,
		      const char *who, void *record, struct err *e)
{
	char *id = (char *)record + rec->id;
	unsigned int i, n = *counter(c, rec);
	int r;

	if (rec->is_single)
		return set_record(c, rec, who, record, e);
	if (n == rec->max)
		return err_set(e, -EINVAL, "%s: more than %u", who, rec->max);
	if (!*id)
		give_id(c, rec, id);
	for (i = 0; i < n; i++)
		if (!strcmp((char *)entry(c, rec, i) + rec->id, id))
			return err_set(e, -EINVAL, "%s: id '%s' is there twice",
				       who, id);
	r = rec->check ? rec->check(record, who, e) : 0;
	if (r)
		return r;
	memcpy(entry(c, rec, n), record, rec->bytes);
	(*counter(c, rec))++;
	return 0;
}

/* --- options --------------------------------------------------------- */

/* Copies up to the next comma; a comma in the text is written twice. */
static const char *next_item(const char *text, char *item, size_t size)
{
	size_t n = 0;

	while (*text) {
		if (*text == ',' && text[1] != ',')
			break;
		text += *text == ',';
		if (n + 1 < size)
			item[n++] = *text;
		text++;
	}
	item[n] = 0;
	return *text ? text + 1 : NULL;
}

/* seen: a bit for each field that was there before. */
static int set_item(const struct config_record *rec, void *record,
		    uint64_t *seen, const char *who, char *item, struct err *e)
{
	char *value = strchr(item, '='), name[WHO_BYTES];
	const struct config_field *f;

	if (value)
		*value++ = 0;
	f = find(rec, item);
	if (!f)
		return unknown_key(rec, who, item, e);
	snprintf(name, sizeof(name), "%.100s: %s", who, f->key);
	if (*seen >> (f - rec->fields) & 1)
		return err_set(e, -EINVAL, "%s: is there twice", name);
	*seen |= UINT64_C(1) << (f - rec->fields);
	if (value)
		return set_from_text(record, f, name, value, e);
	if (f->type != FIELD_BOOL)
		return err_set(e, -EINVAL, "%s: needs a value: %s=...", name,
			       f->key);
	*(bool *)at(record, f) = true;
	return 0;
}

/* What the option begins with: PATH, or KIND or KIND=NAME. */
static int set_head(const struct config_record *rec, void *record,
		    uint64_t *seen, const char *who, char *item, struct err *e)
{
	char *name = rec->has_kind ? strchr(item, '=') : NULL;
	int r;

	*seen = name ? 3 : 1;
	if (name)
		*name++ = 0;
	r = set_from_text(record, &rec->fields[0], who, item, e);
	if (!r && name)
		r = set_from_text(record, &rec->fields[1], who, name, e);
	return r;
}

int config_record_option(struct vm_config *c, const struct config_row *row,
			 const char *who, const char *text, struct err *e)
{
	const struct config_record *rec = row->record;
	char item[OPTION_MAX];
	union room room = { .bytes = { 0 } };
	bool is_head = !rec->is_single;
	uint64_t seen = 0;
	int r = 0;

	rec->init(room.bytes);
	while (text && !r) {
		text = next_item(text, item, sizeof(item));
		r = is_head ? set_head(rec, room.bytes, &seen, who, item, e)
			    : set_item(rec, room.bytes, &seen, who, item, e);
		is_head = false;
	}
	if (!r)
		r = add_record(c, rec, who, room.bytes, e);
	if (r) /* INV-1 */
		fini_record(rec, room.bytes);
	return r;
}

/* --- JSON ------------------------------------------------------------ */

static int read_object(struct vm_config *c, const struct config_record *rec,
		       const char *who, json_t *object, struct err *e)
{
	union room room = { .bytes = { 0 } };
	const struct config_field *f;
	char name[WHO_BYTES];
	const char *key;
	json_t *value;
	int r = 0;

	if (!json_is_object(object))
		return err_set(e, -EINVAL, "%s: is %s, not an object", who,
			       json_in_kind(object));
	rec->init(room.bytes);
	json_object_foreach(object, key, value)
	{
		f = find(rec, key);
		snprintf(name, sizeof(name), "%.100s: %s", who,
			 f ? f->key : "");
		r = f ? set_from_json(room.bytes, f, name, value, e)
		      : unknown_key(rec, who, key, e);
		if (r)
			break;
	}
	if (!r)
		r = add_record(c, rec, who, room.bytes, e);
	if (r) /* INV-1 */
		fini_record(rec, room.bytes);
	return r;
}

int config_record_json(struct vm_config *c, const struct config_row *row,
		       const char *who, json_t *list, struct err *e)
{
	char name[WHO_BYTES];
	size_t i;
	int r = 0;

	if (row->record->is_single)
		return read_object(c, row->record, who, list, e);
	if (!json_is_array(list))
		return err_set(e, -EINVAL, "%s: is %s, not an array of objects",
			       who, json_in_kind(list));
	for (i = 0; i < json_array_size(list) && !r; i++) {
		snprintf(name, sizeof(name), "%.64s[%zu]", who, i);
		r = read_object(c, row->record, name, json_array_get(list, i),
				e);
	}
	return r;
}

static bool has_default(const struct config_field *f, const void *value,
			const void *unset)
{
	char *const *path = value;

	switch (f->type) {
	case FIELD_PATH:
		return !*path;
	case FIELD_WORD:
	case FIELD_TEXT:
	case FIELD_MAC:
		return strcmp(value, unset) == 0;
	case FIELD_BOOL:
		return *(const bool *)value == *(const bool *)unset;
	case FIELD_BYTES:
		return memcmp(value, unset, sizeof(uint64_t)) == 0;
	default:
		return memcmp(value, unset, sizeof(uint32_t)) == 0;
	}
}

static void print_field(struct json_out *j, const struct config_field *f,
			const void *value)
{
	char *const *path = value;
	uint32_t narrow;
	uint64_t wide;

	switch (f->type) {
	case FIELD_PATH:
		jout_text(j, f->key, *path);
		break;
	case FIELD_BOOL:
		jout_bool(j, f->key, *(const bool *)value);
		break;
	case FIELD_BYTES:
		memcpy(&wide, value, sizeof(wide));
		jout_uint(j, f->key, wide);
		break;
	case FIELD_NUMBER:
		memcpy(&narrow, value, sizeof(narrow));
		jout_uint(j, f->key, narrow);
		break;
	case FIELD_ENUM:
		memcpy(&narrow, value, sizeof(narrow));
		jout_text(j, f->key, f->names[narrow]);
		break;
	default:
		jout_text(j, f->key, value);
	}
}

static void print_record(struct json_out *j, const struct config_record *rec,
			 const char *key, const uint8_t *record,
			 const uint8_t *unset)
{
	size_t i;

	jout_open(j, key, '{');
	for (i = 0; i < rec->field_count; i++) {
		const struct config_field *f = &rec->fields[i];
		bool is_head = !i && !rec->is_single;

		if (is_head || !has_default(f, look(record, f), look(unset, f)))
			print_field(j, f, look(record, f));
	}
	jout_close(j, '}');
}

void config_record_print(struct json_out *j, const struct config_row *row,
			 const struct vm_config *c)
{
	const struct config_record *rec = row->record;
	const uint8_t *list = (const uint8_t *)c + rec->list;
	union room unset = { .bytes = { 0 } };
	unsigned int count, n;

	memcpy(&count, (const uint8_t *)c + rec->count, sizeof(count));
	if (!count)
		return;
	rec->init(unset.bytes);
	if (rec->is_single) {
		print_record(j, rec, row->key, list, unset.bytes);
		return;
	}
	jout_open(j, row->key, '[');
	for (n = 0; n < count; n++, list += rec->bytes)
		print_record(j, rec, NULL, list, unset.bytes);
	jout_close(j, ']');
}
