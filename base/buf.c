/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded byte buffer; one owner at a time; len <= limit always holds. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){ .limit = limit };
}

void buf_fini(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){ .limit = b->limit };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

/* Makes room for len more bytes and a NUL. */
static int reserve(struct buf *b, size_t len)
{
	size_t want, room;
	uint8_t *data;

	if (b->error)
		return b->error;
	if (len > b->limit - b->len)
		return b->error = -ENOSPC;
	want = b->len + len + 1;
	if (want <= b->room)
		return 0;
	room = b->room ? b->room : FIRST_BYTES;
	while (room < want)
		room *= 2;
	data = realloc(b->data, room);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

int buf_put(struct buf *b, const void *bytes, size_t len)
{
	if (reserve(b, len))
		return b->error;
	if (len)
		memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = 0;
	return 0;
}

int buf_puts(struct buf *b, const char *text)
{
	return buf_put(b, text, strlen(text));
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return b->error = -EINVAL;
	if (reserve(b, (size_t)n))
		return b->error;
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

static int put_le(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t le[8];
	size_t i;

	for (i = 0; i < bytes; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	return buf_put(b, le, bytes);
}

int buf_put_u8(struct buf *b, uint8_t v)
{
	return put_le(b, v, 1);
}

int buf_put_u16(struct buf *b, uint16_t v)
{
	return put_le(b, v, 2);
}

int buf_put_u32(struct buf *b, uint32_t v)
{
	return put_le(b, v, 4);
}

int buf_put_u64(struct buf *b, uint64_t v)
{
	return put_le(b, v, 8);
}

const char *buf_text(struct buf *b)
{
	if (b->error || !b->data)
		return "";
	b->data[b->len] = 0;
	return (const char *)b->data;
}
