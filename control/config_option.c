/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration from the command line: the text of one option into the
 * configuration. Any thread; no shared state.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/config_record.h"
#include "control/config_table.h"
#include "control/config_value.h"

int config_absolute_path(const char *who, const char *path, char *out,
			 size_t size, struct err *e)
{
	char here[PATH_MAX] = "";
	int n;

	if (!*path)
		return err_set(e, -EINVAL, "%s: the path is empty", who);
	if (*path != '/' && !getcwd(here, sizeof(here)))
		return err_sys(e, -errno, "%s: working directory", who);
	n = snprintf(out, size, "%s%s%s", here, *path == '/' ? "" : "/", path);
	if (n < 0 || (size_t)n >= size)
		return err_set(e, -EINVAL, "%s: the path is too long", who);
	return 0;
}

static int set_path(struct vm_config *c, const struct config_row *row,
		    const char *who, const char *text, struct err *e)
{
	char path[PATH_MAX];
	int r = config_absolute_path(who, text, path, sizeof(path), e);

	if (r)
		return r;
	if (row->type == CONFIG_KERNELS)
		return config_add_kernel(c, who, path, e);
	return config_value_text(c, row, who, path, e);
}

static int set_number(struct vm_config *c, const struct config_row *row,
		      const char *who, const char *text, struct err *e)
{
	uint64_t value;
	int r = config_parse_number(who, text, row->type != CONFIG_NUMBER,
				    &value, e);

	if (r)
		return r;
	return config_value_number(c, row, who, value, e);
}

/* Takes "a,b,c" apart. Nothing is added when one of them is bad. */
static int add_features(struct vm_config *c, const char *who, const char *text,
			struct err *e)
{
	unsigned int before = c->cpu_disables;
	char name[VM_FEATURE_NAME_MAX + 2];
	int r = 0;

	while (!r) {
		size_t len = strcspn(text, ",");

		/* One character too many is enough to be refused. */
		snprintf(name, sizeof(name), "%.*s",
			 (int)(len < sizeof(name) ? len : sizeof(name)), text);
		r = config_add_feature(c, who, name, e);
		if (!text[len])
			break;
		text += len + 1;
	}
	if (r)
		c->cpu_disables = before;
	return r;
}

static int add_label(struct vm_config *c, const char *who, const char *text,
		     struct err *e)
{
	const char *equals = strchr(text, '=');
	char key[VM_LABEL_MAX + 2];

	if (!equals)
		return err_set(e, -EINVAL, "%s: '%.64s' is not KEY=VALUE", who,
			       text);
	if (equals - text > VM_LABEL_MAX)
		return err_set(e, -EINVAL,
			       "%s: a label's key has 1..%d characters", who,
			       VM_LABEL_MAX);
	memcpy(key, text, (size_t)(equals - text));
	key[equals - text] = 0;
	return config_add_label(c, who, key, equals + 1, e);
}

int config_set(struct vm_config *c, const struct config_row *row,
	       const char *text, struct err *e)
{
	char who[32];

	snprintf(who, sizeof(who), "--%s", row->option ? row->option : "?");
	switch (row->type) {
	case CONFIG_KERNELS:
	case CONFIG_PATH:
		return set_path(c, row, who, text, e);
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_RATE:
		return set_number(c, row, who, text, e);
	case CONFIG_FEATURES:
		return add_features(c, who, text, e);
	case CONFIG_LABELS:
		return add_label(c, who, text, e);
	case CONFIG_BOOL:
		return config_value_bool(c, row, who, text, e);
	case CONFIG_RECORDS:
		return config_record_option(c, row, who, text, e);
	case CONFIG_ACCESS:
		return err_set(e, -EINVAL, "%s is set in config.json only",
			       row->key);
	default:
		return config_value_text(c, row, who, text, e);
	}
}

int config_make_uuid(char uuid[VM_UUID_BYTES], struct err *e)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_sys(e, -errno, "random numbers for a UUID");
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(uuid, VM_UUID_BYTES,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
		 b[10], b[11], b[12], b[13], b[14], b[15]);
	return 0;
}
