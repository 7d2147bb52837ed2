/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, byte by byte; pure. */
#include "base/utf8.h"

#include <string.h>

static bool follows(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t utf8_bytes(const uint8_t *t, size_t len)
{
	if (len >= 1 && t[0] < 0x80)
		return 1;
	if (len >= 2 && t[0] >= 0xc2 && t[0] <= 0xdf && follows(t[1]))
		return 2;
	if (len >= 3 && (t[0] & 0xf0) == 0xe0 && follows(t[1]) &&
	    follows(t[2])) {
		if (t[0] == 0xe0 && t[1] < 0xa0) /* overlong */
			return 0;
		if (t[0] == 0xed && t[1] > 0x9f) /* surrogate */
			return 0;
		return 3;
	}
	if (len >= 4 && t[0] >= 0xf0 && t[0] <= 0xf4 && follows(t[1]) &&
	    follows(t[2]) && follows(t[3])) {
		if (t[0] == 0xf0 && t[1] < 0x90)
			return 0;
		if (t[0] == 0xf4 && t[1] > 0x8f)
			return 0;
		return 4;
	}
	return 0;
}

/* Bytes of the character that begins there, which may be shown; 0: none does.
 */
static size_t printable_bytes(const uint8_t *at, const uint8_t *end)
{
	return *at < 0x20 || *at == 0x7f ? 0
					 : utf8_bytes(at, (size_t)(end - at));
}

bool utf8_is_printable(const char *text)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
	size_t n = 1;

	for (; at < end && n; at += n)
		n = printable_bytes(at, end);
	return n;
}

void utf8_copy_printable(char *to, size_t size, const char *text)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
	size_t n, used = 0;

	for (; at < end; at += n ? n : 1) {
		n = printable_bytes(at, end);
		if (used + (n ? n : 1) >= size)
			break;
		memcpy(to + used, n ? (const char *)at : "?", n ? n : 1);
		used += n ? n : 1;
	}
	to[used] = '\0';
}
