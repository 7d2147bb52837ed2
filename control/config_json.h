/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: reads and prints a configuration, row by row of the table.
 * What was read and is printed reads back to the same. Any thread.
 */
#ifndef AMBER_CONTROL_CONFIG_JSON_H
#define AMBER_CONTROL_CONFIG_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "control/json_out.h"
#include "vmm/config.h"

/*
 * Fills c (after config_init()) from text; keys that are not there stay as
 * they are. what names the source in errors: "config.json". Unknown keys
 * are refused, naming the nearest. Errors: -EINVAL, -EFBIG, -ENOMEM.
 */
int config_from_json(struct vm_config *c, const char *text, size_t len,
		     const char *what, struct err *e);

/* Prints c: keys in the table's order, unset ones left out, a final line
 * feed. Returns out->error. */
int config_to_json(const struct vm_config *c, struct buf *out);

/* The member "labels": {...}, also when there are none. */
void config_print_labels(struct json_out *j, const struct vm_config *c);

/* dir/config.json; dir is an open directory. */
int config_load(struct vm_config *c, int dir, struct err *e);
int config_save(const struct vm_config *c, int dir, struct err *e);

#endif
