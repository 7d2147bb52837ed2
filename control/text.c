/* SPDX-License-Identifier: Apache-2.0 */
/* Text questions; pure, any thread. */
#include "control/text.h"

#include <string.h>

static bool follows(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t text_utf8_bytes(const uint8_t *t, size_t len)
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

bool text_is_utf8(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	while (len) {
		size_t n = text_utf8_bytes(at, len);

		if (!n)
			return false;
		at += n;
		len -= n;
	}
	return true;
}

bool text_has_control(const char *text)
{
	for (; *text; text++)
		if ((uint8_t)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

bool text_to_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'),
					   &value))
			return false;
	}
	if (value > max)
		return false;
	*out = value;
	return true;
}

void text_copy(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size) {
		len = size - 1;
		while (len && follows((uint8_t)text[len]))
			len--;
	}
	memcpy(to, text, len);
	to[len] = 0;
}
