/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about text from outside. Pure: any thread. */
#ifndef AMBER_CONTROL_TEXT_H
#define AMBER_CONTROL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is it well-formed UTF-8 (RFC 3629: no overlong form, no surrogate)? */
bool text_is_utf8(const char *text, size_t len);

/* Does it contain a control character (below 0x20, or 0x7f)? */
bool text_has_control(const char *text);

/*
 * Reads a decimal number, the whole text, no sign, no blanks. Returns
 * false when it is no such number or larger than max.
 */
bool text_to_number(const char *text, uint64_t max, uint64_t *out);

/*
 * Copies text into to[size], cut where it doesn't fit (between UTF-8
 * characters), always terminated.
 */
void text_copy(char *to, size_t size, const char *text);

#endif
