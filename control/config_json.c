/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json by the rows of the table. Any thread; no shared state.
 * INV-1: what config_to_json() prints, config_from_json() reads back to the
 * same configuration, which prints the same bytes.
 */
#include "control/config_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_in.h"
#include "control/config_record.h"
#include "control/config_table.h"
#include "control/config_value.h"
#include "control/home.h"
#include "control/json_limits.h"
#include "control/json_out.h"
#include "control/limits.h"

static const struct {
	const char *name;
	enum vm_role role;
} roles[] = {
	{ "viewer", VM_ROLE_VIEWER },
	{ "operator", VM_ROLE_OPERATOR },
	{ "admin", VM_ROLE_ADMIN },
};

#define ROLE_COUNT (sizeof(roles) / sizeof(roles[0]))

/* --- reading --------------------------------------------------------- */

/* One value of one key, with what errors need to name it. */
struct item {
	struct vm_config *c;
	const struct config_row *row;
	json_t *value;
	const char *who; /* "config.json: memory" */
	struct err *e;
};

static int not_a(const struct item *it, const char *wanted)
{
	return err_set(it->e, -EINVAL, "%s: is %s, not %s", it->who,
		       json_in_kind(it->value), wanted);
}

static int read_text(const struct item *it)
{
	if (!json_is_string(it->value))
		return not_a(it, "a string");
	return config_value_text(it->c, it->row, it->who,
				 json_string_value(it->value), it->e);
}

static int read_number(const struct item *it)
{
	uint64_t value;
	int r;

	if (it->row->type != CONFIG_NUMBER && json_is_string(it->value)) {
		r = config_parse_number(it->who, json_string_value(it->value),
					true, &value, it->e);
		if (r)
			return r;
		return config_value_number(it->c, it->row, it->who, value,
					   it->e);
	}
	if (!json_is_integer(it->value))
		return not_a(it, "a whole number");
	if (json_integer_value(it->value) < 0)
		return err_set(it->e, -EINVAL, "%s: is negative", it->who);
	return config_value_number(it->c, it->row, it->who,
				   (uint64_t)json_integer_value(it->value),
				   it->e);
}

static int read_bool(const struct item *it)
{
	if (!json_is_boolean(it->value))
		return not_a(it, "true or false");
	return config_value_bool(it->c, it->row, it->who,
				 json_is_true(it->value) ? "on" : "off", it->e);
}

static int read_list(const struct item *it,
		     int (*add)(struct vm_config *c, const char *who,
				const char *text, struct err *e))
{
	size_t i;
	int r = 0;

	if (!json_is_array(it->value))
		return not_a(it, "an array of strings");
	for (i = 0; i < json_array_size(it->value) && !r; i++) {
		const json_t *entry = json_array_get(it->value, i);

		if (!json_is_string(entry))
			return not_a(it, "an array of strings");
		r = add(it->c, it->who, json_string_value(entry), it->e);
	}
	return r;
}

static int read_labels(const struct item *it)
{
	const char *key;
	json_t *text;
	int r;

	if (!json_is_object(it->value))
		return not_a(it, "an object");
	json_object_foreach(it->value, key, text)
	{
		if (!json_is_string(text))
			return err_set(it->e, -EINVAL,
				       "%s: '%.63s' is %s, not a string",
				       it->who, key, json_in_kind(text));
		r = config_add_label(it->c, it->who, key,
				     json_string_value(text), it->e);
		if (r)
			return r;
	}
	return 0;
}

static int read_ids(const struct item *it, enum vm_role role, bool is_gid,
		    const json_t *ids)
{
	size_t i;
	int r = 0;

	if (!json_is_array(ids))
		return err_set(it->e, -EINVAL, "%s: uids and gids are arrays",
			       it->who);
	for (i = 0; i < json_array_size(ids) && !r; i++) {
		const json_t *id = json_array_get(ids, i);
		json_int_t value = json_integer_value(id);

		/* (uid_t)-1 is nobody's */
		if (!json_is_integer(id) || value < 0 || value >= UINT32_MAX)
			return err_set(it->e, -EINVAL,
				       "%s: an id is a number in 0..%" PRIu32,
				       it->who, UINT32_MAX - 1);
		r = config_add_grant(it->c, it->who, role, is_gid,
				     (uint32_t)value, it->e);
	}
	return r;
}

static int read_role(const struct item *it, enum vm_role role, json_t *lists)
{
	const char *key;
	json_t *ids;
	int r;

	if (!json_is_object(lists))
		return err_set(it->e, -EINVAL,
			       "%s: a role is {\"uids\": [], \"gids\": []}",
			       it->who);
	json_object_foreach(lists, key, ids)
	{
		bool is_gid = strcmp(key, "gids") == 0;

		if (!is_gid && strcmp(key, "uids") != 0)
			return err_set(it->e, -EINVAL,
				       "%s: unknown key '%.32s' (uids, gids)",
				       it->who, key);
		r = read_ids(it, role, is_gid, ids);
		if (r)
			return r;
	}
	return 0;
}

static int read_access(const struct item *it)
{
	json_t *access = it->value, *lists;
	const char *key;
	size_t i;
	int r;

	if (!json_is_object(access))
		return not_a(it, "an object");
	json_object_foreach(access, key, lists)
	{
		for (i = 0; i < ROLE_COUNT; i++)
			if (strcmp(roles[i].name, key) == 0)
				break;
		if (i == ROLE_COUNT)
			return err_set(it->e, -EINVAL,
				       "%s: unknown role '%.32s' (viewer, "
				       "operator, admin)",
				       it->who, key);
		r = read_role(it, roles[i].role, lists);
		if (r)
			return r;
	}
	return 0;
}

static int read_value(const struct item *it)
{
	switch (it->row->type) {
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_RATE:
		return read_number(it);
	case CONFIG_BOOL:
		return read_bool(it);
	case CONFIG_RECORDS:
		return config_record_json(it->c, it->row, it->who, it->value,
					  it->e);
	case CONFIG_KERNELS:
		return read_list(it, config_add_kernel);
	case CONFIG_FEATURES:
		return read_list(it, config_add_feature);
	case CONFIG_LABELS:
		return read_labels(it);
	case CONFIG_ACCESS:
		return read_access(it);
	default:
		return read_text(it);
	}
}

static int read_key(struct vm_config *c, const char *key, json_t *value,
		    const char *what, struct err *e)
{
	const struct config_row *row = config_find_key(key);
	const char *near;
	char who[96];

	if (!row) {
		near = config_nearest_key(key);
		return err_set(e, -EINVAL, "%s: unknown key '%.48s'%s%s%s",
			       what, key, near ? "; did you mean '" : "",
			       near ? near : "", near ? "'?" : "");
	}
	snprintf(who, sizeof(who), "%s: %s", what, row->key);
	return read_value(&(struct item){ c, row, value, who, e });
}

int config_from_json(struct vm_config *c, const char *text, size_t len,
		     const char *what, struct err *e)
{
	json_t *root, *value;
	const char *key;
	int r;

	r = json_in_parse(&root, text, len, &json_config_limits, what, e);
	if (r)
		return r;
	json_object_foreach(root, key, value)
	{
		r = read_key(c, key, value, what, e);
		if (r)
			break;
	}
	json_decref(root);
	return r;
}

/* --- printing -------------------------------------------------------- */

static void print_kernels(struct json_out *j, const struct vm_config *c)
{
	unsigned int i;

	if (!c->kernels)
		return;
	jout_open(j, "kernel", '[');
	for (i = 0; i < c->kernels; i++)
		jout_text(j, NULL, c->kernel[i]);
	jout_close(j, ']');
}

static void print_features(struct json_out *j, const struct vm_config *c)
{
	unsigned int i;

	if (!c->cpu_disables)
		return;
	jout_open(j, "cpu_disable", '[');
	for (i = 0; i < c->cpu_disables; i++)
		jout_text(j, NULL, c->cpu_disable[i]);
	jout_close(j, ']');
}

static void print_ids(struct json_out *j, const struct vm_config *c,
		      enum vm_role role, bool is_gid)
{
	unsigned int i;

	jout_open(j, is_gid ? "gids" : "uids", '[');
	for (i = 0; i < c->grants; i++)
		if (c->grant[i].role == role && c->grant[i].is_gid == is_gid)
			jout_uint(j, NULL, c->grant[i].id);
	jout_close(j, ']');
}

static bool has_role(const struct vm_config *c, enum vm_role role)
{
	unsigned int i;

	for (i = 0; i < c->grants; i++)
		if (c->grant[i].role == role)
			return true;
	return false;
}

static void print_access(struct json_out *j, const struct vm_config *c)
{
	size_t i;

	if (!c->grants)
		return;
	jout_open(j, "access", '{');
	for (i = 0; i < ROLE_COUNT; i++) {
		if (!has_role(c, roles[i].role))
			continue;
		jout_open(j, roles[i].name, '{');
		print_ids(j, c, roles[i].role, false);
		print_ids(j, c, roles[i].role, true);
		jout_close(j, '}');
	}
	jout_close(j, '}');
}

void config_print_labels(struct json_out *j, const struct vm_config *c)
{
	unsigned int i;

	jout_open(j, "labels", '{');
	for (i = 0; i < c->labels; i++)
		jout_text(j, c->label[i].key, c->label[i].value);
	jout_close(j, '}');
}

static void print_row(struct json_out *j, const struct config_row *row,
		      const struct vm_config *c)
{
	const char *at = (const char *)c + row->offset;
	const char *text;
	enum vm_policy policy;
	uint32_t narrow;
	uint64_t wide;

	switch (row->type) {
	case CONFIG_NAME:
	case CONFIG_UUID:
		if (*at)
			jout_text(j, row->key, at);
		break;
	case CONFIG_PATH:
	case CONFIG_TEXT:
	case CONFIG_REGEX:
		memcpy(&text, at, sizeof(text));
		if (text)
			jout_text(j, row->key, text);
		break;
	case CONFIG_NUMBER:
		memcpy(&narrow, at, sizeof(narrow));
		if (narrow || !row->min) /* else: none was given */
			jout_uint(j, row->key, narrow);
		break;
	case CONFIG_BYTES:
		memcpy(&wide, at, sizeof(wide));
		jout_uint(j, row->key, wide);
		break;
	case CONFIG_RATE:
		memcpy(&wide, at, sizeof(wide));
		if (wide)
			jout_uint(j, row->key, wide);
		break;
	case CONFIG_BOOL:
		if (*(const bool *)at)
			jout_bool(j, row->key, true);
		break;
	case CONFIG_RECORDS:
		config_record_print(j, row, c);
		break;
	case CONFIG_CLOCK:
		if (c->clock != VM_CLOCK_STEP)
			jout_text(j, row->key, vm_clock_text(c->clock));
		break;
	case CONFIG_POLICY:
		memcpy(&policy, at, sizeof(policy));
		if (policy != VM_POLICY_DEFAULT)
			jout_text(j, row->key, vm_policy_text(policy));
		break;
	case CONFIG_KERNELS:
		print_kernels(j, c);
		break;
	case CONFIG_FEATURES:
		print_features(j, c);
		break;
	case CONFIG_LABELS:
		if (c->labels)
			config_print_labels(j, c);
		break;
	case CONFIG_ACCESS:
		print_access(j, c);
		break;
	}
}

int config_to_json(const struct vm_config *c, struct buf *out)
{
	const struct config_row *rows;
	struct json_out j;
	size_t count, i;

	rows = config_rows(&count);
	json_out_init(&j, out, true);
	jout_open(&j, NULL, '{');
	for (i = 0; i < count; i++)
		print_row(&j, &rows[i], c);
	jout_close(&j, '}');
	return buf_put(out, "\n", 1);
}

int config_load(struct vm_config *c, int dir, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES + 1);
	r = file_read(dir, VMDIR_CONFIG, LIMIT_JSON_CONFIG_BYTES, &text, e);
	if (!r)
		r = config_from_json(c, buf_text(&text), text.len, VMDIR_CONFIG,
				     e);
	buf_fini(&text);
	return r;
}

int config_save(const struct vm_config *c, int dir, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	r = config_to_json(c, &text);
	if (r)
		err_sys(e, r, "%s", VMDIR_CONFIG);
	else
		r = file_commit(dir, VMDIR_CONFIG, buf_text(&text), text.len,
				FILE_DURABLE, e);
	buf_fini(&text);
	return r;
}
