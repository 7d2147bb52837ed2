/* SPDX-License-Identifier: Apache-2.0 */
/* Names that people give to things that become files. Any thread. */
#ifndef AMBER_BASE_NAME_H
#define AMBER_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * 1..max of A-Z a-z 0-9 _ . -, the first a letter or a digit. -EINVAL names
 * the character.
 */
int name_check(const char *name, size_t max, struct err *e);

/* No control characters (below 0x20, 0x7f): it may stand on a terminal. */
bool name_is_printable(const char *text);

#endif
