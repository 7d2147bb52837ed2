/* SPDX-License-Identifier: Apache-2.0 */
/* Texts from elsewhere: UTF-8, and what may stand in a line. Any thread. */
#ifndef AMBER_BASE_UTF8_H
#define AMBER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes (1..4) of the well-formed UTF-8 character that begins the len bytes
 * at text, 0 if there is none: no overlong form, no surrogate, nothing above
 * U+10FFFF.
 */
size_t utf8_bytes(const uint8_t *text, size_t len);

/* Nothing but well-formed characters, none of them a control character? */
bool utf8_is_printable(const char *text);

/*
 * A copy in size bytes, cut at a whole character, in which '?' stands for each
 * control character and each byte that is not of a well-formed one: JSON can
 * have it, and a terminal.
 */
void utf8_copy_printable(char *to, size_t size, const char *text);

#endif
