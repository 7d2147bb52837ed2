/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked assignment of single configuration values; what config_table
 * (options) and config_json (config.json) share. Errors are -EINVAL or
 * -ENOMEM and name the row's key or option as the caller gives it in who.
 * An assignment that fails changes nothing. Any thread.
 */
#ifndef AMBER_CONTROL_CONFIG_VALUE_H
#define AMBER_CONTROL_CONFIG_VALUE_H

#include "control/config_table.h"

/* Name, uuid, policy, text, regex, path (absolute). */
int config_value_text(struct vm_config *c, const struct config_row *row,
		      const char *who, const char *text, struct err *e);
/* Number, bytes. */
int config_value_number(struct vm_config *c, const struct config_row *row,
			const char *who, uint64_t value, struct err *e);
/* on, off */
int config_value_bool(struct vm_config *c, const struct config_row *row,
		      const char *who, const char *text, struct err *e);

/* "on" or "off". */
int config_parse_switch(const char *who, const char *text, bool *on,
			struct err *e);
/* A plain number, or with has_suffix one such as 128M. */
int config_parse_number(const char *who, const char *text, bool has_suffix,
			uint64_t *value, struct err *e);
/* Text that ends in a file or a log: UTF-8, no control characters. */
int config_text_check(const char *who, const char *text, size_t max,
		      struct err *e);
/* A path that may stand in a configuration: absolute, printable, short. */
int config_path_check(const char *who, const char *path, struct err *e);
/* path, or working directory/path when it is relative. */
int config_absolute_path(const char *who, const char *path, char *out,
			 size_t size, struct err *e);

/* One more entry of a list. path is absolute. */
int config_add_kernel(struct vm_config *c, const char *who, const char *path,
		      struct err *e);
int config_add_feature(struct vm_config *c, const char *who, const char *name,
		       struct err *e);
int config_add_label(struct vm_config *c, const char *who, const char *key,
		     const char *value, struct err *e);
int config_add_grant(struct vm_config *c, const char *who, enum vm_role role,
		     bool is_gid, uint32_t id, struct err *e);

/*
 * 1..63 of A-Z a-z 0-9 _ . -, the first a letter or a digit: a VM's name is
 * a directory's name.
 */
int config_name_check(const char *name, struct err *e);

#endif
