/* SPDX-License-Identifier: Apache-2.0 */
/* Text questions; pure, any thread. */
#include "control/text.h"

#include <string.h>

#include "base/utf8.h"

bool text_is_utf8(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	while (len) {
		size_t n = utf8_bytes(at, len);

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

/* Inside a character. */
static bool follows(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
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
