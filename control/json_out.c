/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text into a buffer (RFC 8259); one thread at a time. */
#include "control/json_out.h"

#include <string.h>

#include "base/utf8.h"

void json_out_init(struct json_out *j, struct buf *to, bool pretty)
{
	*j = (struct json_out){ .to = to, .pretty = pretty };
}

static void new_line(struct json_out *j)
{
	unsigned int i;

	if (!j->pretty)
		return;
	buf_put(j->to, "\n", 1);
	for (i = 0; i < j->level; i++)
		buf_put(j->to, "  ", 2);
}

static void put_escaped(struct buf *to, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[] = "btn\0fr"; /* 8..13 */
	char text[6] = "\\u00";

	if (byte == '"' || byte == '\\') {
		text[1] = (char)byte;
		buf_put(to, text, 2);
	} else if (byte >= 8 && byte <= 13 && byte != 11) {
		text[1] = shorts[byte - 8];
		buf_put(to, text, 2);
	} else {
		text[4] = hex[byte >> 4];
		text[5] = hex[byte & 15];
		buf_put(to, text, 6);
	}
}

static bool is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static void put_string(struct buf *to, const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + len;

	buf_put(to, "\"", 1);
	while (at < end) {
		const uint8_t *from = at;
		size_t n;

		while (at < end && is_plain(*at))
			at++;
		buf_put(to, from, (size_t)(at - from));
		if (at == end)
			break;
		n = utf8_bytes(at, (size_t)(end - at));
		if (n > 1)
			buf_put(to, at, n);
		else if (n == 1)
			put_escaped(to, *at);
		else
			buf_put(to, "\xef\xbf\xbd", 3);
		at += n ? n : 1;
	}
	buf_put(to, "\"", 1);
}

/* The comma, the line and the name in front of a value. */
static void begin(struct json_out *j, const char *key)
{
	if (j->begun)
		buf_put(j->to, ",", 1);
	if (j->level)
		new_line(j);
	j->begun = true;
	if (!key)
		return;
	put_string(j->to, key, strlen(key));
	buf_put(j->to, ": ", j->pretty ? 2 : 1);
}

void jout_open(struct json_out *j, const char *key, char bracket)
{
	begin(j, key);
	buf_put(j->to, &bracket, 1);
	j->level++;
	j->begun = false;
}

void jout_close(struct json_out *j, char bracket)
{
	j->level--;
	if (j->begun)
		new_line(j);
	buf_put(j->to, &bracket, 1);
	j->begun = true;
}

void jout_text(struct json_out *j, const char *key, const char *text)
{
	jout_text_n(j, key, text, strlen(text));
}

void jout_text_n(struct json_out *j, const char *key, const char *text,
		 size_t len)
{
	begin(j, key);
	put_string(j->to, text, len);
}

static void put_number(struct buf *to, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_put(to, digits + at, sizeof(digits) - at);
}

void jout_uint(struct json_out *j, const char *key, uint64_t value)
{
	begin(j, key);
	put_number(j->to, value);
}

void jout_int(struct json_out *j, const char *key, int64_t value)
{
	begin(j, key);
	if (value < 0)
		buf_put(j->to, "-", 1);
	put_number(j->to, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void jout_bool(struct json_out *j, const char *key, bool value)
{
	begin(j, key);
	buf_puts(j->to, value ? "true" : "false");
}

void jout_null(struct json_out *j, const char *key)
{
	begin(j, key);
	buf_puts(j->to, "null");
}

void jout_raw(struct json_out *j, const char *key, const char *json)
{
	begin(j, key);
	buf_puts(j->to, json);
}
