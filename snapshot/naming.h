/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of snapshots: made of a template where nobody gave one, and held
 * against a pattern where the VM's configuration has one. Any thread.
 *
 * A template is a name with {vm}, {purpose}, {kind} and {utc}
 * (20261126T085500Z) in it; of the VM's name and of the purpose 20 characters
 * are taken.
 */
#ifndef AMBER_SNAPSHOT_NAMING_H
#define AMBER_SNAPSHOT_NAMING_H

#include "snapshot/meta.h"

#define NAMING_DEFAULT	  "{vm}-{purpose}-{utc}"
#define NAMING_LENGTH_MAX (SNAPSHOT_NAME_MAX - 4) /* "-999" comes behind it */

/* -EINVAL: an unknown {word}, a character no name has, it gets too long. */
int naming_check(const char *template, struct err *e);

/* The name of m by a template that was checked. */
void naming_make(const char *template, const struct snapshot_meta *m,
		 char name[SNAPSHOT_NAME_MAX + 1]);

/* Is it an extended regular expression? -EINVAL with the library's words. */
int naming_check_pattern(const char *pattern, struct err *e);

/* All of the name, by a pattern that was checked. -EINVAL names both. */
int naming_match(const char *pattern, const char *name, struct err *e);

#endif
