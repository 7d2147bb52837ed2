/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked assignment of configuration values. No shared state. INV-1: an
 * assignment that fails leaves the configuration as it was.
 */
#include "control/config_value.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "control/text.h"

#define PAGE_BYTES 4096

static void *member(struct vm_config *c, const struct config_row *row)
{
	return (char *)c + row->offset;
}

int config_name_check(const char *name, struct err *e)
{
	return name_check(name, VM_NAME_MAX, e);
}

static int check_uuid(const char *who, const char *text, struct err *e)
{
	size_t i;

	if (strlen(text) != VM_UUID_BYTES - 1)
		return err_set(e, -EINVAL, "%s: a UUID has 36 characters", who);
	for (i = 0; i < VM_UUID_BYTES - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return err_set(e, -EINVAL,
				       "%s: bad UUID at character %zu", who,
				       i + 1);
	}
	return 0;
}

/* Text that ends in a file, on a command line or in JSON: printable. */
int config_text_check(const char *who, const char *text, size_t max,
		      struct err *e)
{
	size_t len = strlen(text);

	if (len > max)
		return err_set(e, -EINVAL, "%s: %zu bytes, the limit is %zu",
			       who, len, max);
	if (!text_is_utf8(text, len))
		return err_set(e, -EINVAL, "%s: not UTF-8", who);
	if (text_has_control(text))
		return err_set(e, -EINVAL, "%s: has a control character", who);
	return 0;
}

int config_path_check(const char *who, const char *path, struct err *e)
{
	if (!*path)
		return err_set(e, -EINVAL, "%s: the path is empty", who);
	if (*path != '/')
		return err_set(e, -EINVAL, "%s: the path is not absolute", who);
	return config_text_check(who, path, PATH_MAX - 1, e);
}

static int replace(char **to, const char *who, const char *text, struct err *e)
{
	char *copy = strdup(text);

	if (!copy)
		return err_sys(e, -ENOMEM, "%s", who);
	free(*to);
	*to = copy;
	return 0;
}

static int set_name(char *to, const char *who, const char *text, struct err *e)
{
	int r = config_name_check(text, e);

	if (r) {
		err_prefix(e, "%s", who);
		return r;
	}
	text_copy(to, VM_NAME_MAX + 1, text);
	return 0;
}

static int set_clock(enum vm_clock *to, const char *who, const char *text,
		     struct err *e)
{
	int clock = vm_clock_parse(text);

	if (clock < 0)
		return err_set(e, -EINVAL, "%s: '%.32s' is not step or freeze",
			       who, text);
	*to = (enum vm_clock)clock;
	return 0;
}

static int set_policy(enum vm_policy *to, const char *who, const char *text,
		      struct err *e)
{
	int policy = vm_policy_parse(text);

	if (policy < 0)
		return err_set(e, -EINVAL,
			       "%s: '%.32s' is not exit, stop, restart or "
			       "pause",
			       who, text);
	*to = (enum vm_policy)policy;
	return 0;
}

int config_value_text(struct vm_config *c, const struct config_row *row,
		      const char *who, const char *text, struct err *e)
{
	void *to = member(c, row);
	int r;

	switch (row->type) {
	case CONFIG_NAME:
		return set_name(to, who, text, e);
	case CONFIG_UUID:
		r = check_uuid(who, text, e);
		if (!r)
			text_copy(to, VM_UUID_BYTES, text);
		return r;
	case CONFIG_POLICY:
		return set_policy(to, who, text, e);
	case CONFIG_CLOCK:
		return set_clock(to, who, text, e);
	case CONFIG_PATH:
		r = config_path_check(who, text, e);
		return r ? r : replace(to, who, text, e);
	case CONFIG_TEXT:
	case CONFIG_REGEX:
		if (row->min && !*text)
			return err_set(e, -EINVAL, "%s: is empty", who);
		r = config_text_check(who, text, row->max, e);
		return r ? r : replace(to, who, text, e);
	default:
		return err_set(e, -EINVAL, "%s: takes no text", who);
	}
}

int config_parse_switch(const char *who, const char *text, bool *on,
			struct err *e)
{
	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
		return err_set(e, -EINVAL, "%s: '%.32s' is not on or off", who,
			       text);
	*on = strcmp(text, "on") == 0;
	return 0;
}

int config_parse_number(const char *who, const char *text, bool has_suffix,
			uint64_t *value, struct err *e)
{
	if (has_suffix) {
		if (!config_parse_bytes(text, value, e))
			return 0;
		err_prefix(e, "%s", who);
		return -EINVAL;
	}
	if (text_to_number(text, UINT64_MAX, value))
		return 0;
	return err_set(e, -EINVAL, "%s: '%.32s' is no number", who, text);
}

int config_value_bool(struct vm_config *c, const struct config_row *row,
		      const char *who, const char *text, struct err *e)
{
	return config_parse_switch(who, text, member(c, row), e);
}

int config_value_number(struct vm_config *c, const struct config_row *row,
			const char *who, uint64_t value, struct err *e)
{
	char least[32], most[32];
	uint32_t narrow = (uint32_t)value;
	bool is_bytes = row->type == CONFIG_BYTES || row->type == CONFIG_RATE;

	if (!is_bytes && row->type != CONFIG_NUMBER)
		return err_set(e, -EINVAL, "%s: takes no number", who);
	if (value < row->min || value > row->max)
		return err_set(
			e, -EINVAL, "%s: %llu is not in %s..%s", who,
			(unsigned long long)value,
			config_bytes_text(row->min, least, sizeof(least)),
			config_bytes_text(row->max, most, sizeof(most)));
	if (row->type == CONFIG_BYTES && value % PAGE_BYTES)
		return err_set(e, -EINVAL, "%s: %llu is no multiple of %d", who,
			       (unsigned long long)value, PAGE_BYTES);
	if (is_bytes)
		memcpy(member(c, row), &value, sizeof(value));
	else
		memcpy(member(c, row), &narrow, sizeof(narrow));
	return 0;
}

int config_add_kernel(struct vm_config *c, const char *who, const char *path,
		      struct err *e)
{
	int r = config_path_check(who, path, e);

	if (r)
		return r;
	if (c->kernels == VM_KERNELS_MAX)
		return err_set(e, -EINVAL, "%s: more than %d kernels", who,
			       VM_KERNELS_MAX);
	r = replace(&c->kernel[c->kernels], who, path, e);
	if (!r)
		c->kernels++;
	return r;
}

int config_add_feature(struct vm_config *c, const char *who, const char *name,
		       struct err *e)
{
	size_t len = strlen(name), i;

	if (!len || len > VM_FEATURE_NAME_MAX)
		return err_set(e, -EINVAL,
			       "%s: the name of a CPU feature has 1..%d "
			       "characters",
			       who, VM_FEATURE_NAME_MAX);
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return err_set(e, -EINVAL,
				       "%s: bad name of a CPU feature", who);
	for (i = 0; i < c->cpu_disables; i++)
		if (strcmp(c->cpu_disable[i], name) == 0)
			return 0;
	if (c->cpu_disables == VM_CPU_DISABLE_MAX)
		return err_set(e, -EINVAL, "%s: more than %d CPU features", who,
			       VM_CPU_DISABLE_MAX);
	text_copy(c->cpu_disable[c->cpu_disables++], VM_FEATURE_NAME_MAX + 1,
		  name);
	return 0;
}

static int check_label_key(const char *who, const char *key, struct err *e)
{
	size_t len = strlen(key), i;

	if (!len || len > VM_LABEL_MAX)
		return err_set(e, -EINVAL,
			       "%s: a label's key has 1..%d characters", who,
			       VM_LABEL_MAX);
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)key[i]) &&
		    (!i || !strchr("_./-", key[i])))
			return err_set(e, -EINVAL,
				       "%s: bad character %zu in a label's key",
				       who, i + 1);
	return 0;
}

int config_add_label(struct vm_config *c, const char *who, const char *key,
		     const char *value, struct err *e)
{
	unsigned int i;
	int r = check_label_key(who, key, e);

	if (!r)
		r = config_text_check(who, value, VM_LABEL_MAX, e);
	if (r)
		return r;
	for (i = 0; i < c->labels; i++)
		if (strcmp(c->label[i].key, key) == 0)
			break;
	if (i == VM_LABELS_MAX)
		return err_set(e, -EINVAL, "%s: more than %d labels", who,
			       VM_LABELS_MAX);
	text_copy(c->label[i].key, sizeof(c->label[i].key), key);
	text_copy(c->label[i].value, sizeof(c->label[i].value), value);
	if (i == c->labels)
		c->labels++;
	return 0;
}

int config_add_grant(struct vm_config *c, const char *who, enum vm_role role,
		     bool is_gid, uint32_t id, struct err *e)
{
	unsigned int i, same = 0;

	for (i = 0; i < c->grants; i++) {
		const struct vm_grant *g = &c->grant[i];

		if (g->role != role || g->is_gid != is_gid)
			continue;
		if (g->id == id)
			return 0;
		same++;
	}
	if (same == VM_GRANTS_MAX)
		return err_set(e, -EINVAL, "%s: more than %d %s", who,
			       VM_GRANTS_MAX, is_gid ? "gids" : "uids");
	c->grant[c->grants++] = (struct vm_grant){ role, is_gid, id };
	return 0;
}
