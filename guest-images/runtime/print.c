/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts on COM1. Every character is an exit, so lines are short and each is
 * sent as one string instruction. fact_*() and print_line() may interrupt
 * one another (an NMI does); the line between line_begin() and line_end() is
 * one, shared: the first CPU builds it, the others leave results in memory.
 */
#include "guest-images/runtime/guest.h"

#define LINE_BYTES 512

struct line {
	unsigned used;
	char text[LINE_BYTES];
};

static struct line shared;

static void put(struct line *l, char c)
{
	if (l->used < LINE_BYTES - 1)
		l->text[l->used++] = c;
}

static void put_text(struct line *l, const char *text)
{
	while (*text)
		put(l, *text++);
}

static void put_key(struct line *l, const char *key)
{
	if (l->used > 0)
		put(l, ' ');
	put_text(l, key);
	put(l, '=');
}

static void put_u64(struct line *l, uint64_t value)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (n > 0)
		put(l, digits[--n]);
}

static void put_hex(struct line *l, uint64_t value)
{
	int shift;

	for (shift = 60; shift >= 0; shift -= 4)
		put(l, "0123456789abcdef"[value >> shift & 15]);
}

static void send(struct line *l)
{
	l->text[l->used++] = '\n'; /* put() left room for it */
	outs(PORT_COM1, l->text, l->used);
	l->used = 0;
}

void line_begin(void)
{
	shared.used = 0;
}

void line_u64(const char *key, uint64_t value)
{
	put_key(&shared, key);
	put_u64(&shared, value);
}

void line_hex(const char *key, uint64_t value)
{
	put_key(&shared, key);
	put_hex(&shared, value);
}

void line_text(const char *key, const char *value)
{
	put_key(&shared, key);
	put_text(&shared, value);
}

void line_end(void)
{
	send(&shared);
}

void fact_u64(const char *key, uint64_t value)
{
	struct line l;

	l.used = 0;
	put_key(&l, key);
	put_u64(&l, value);
	send(&l);
}

void fact_hex(const char *key, uint64_t value)
{
	struct line l;

	l.used = 0;
	put_key(&l, key);
	put_hex(&l, value);
	send(&l);
}

void fact_text(const char *key, const char *value)
{
	struct line l;

	l.used = 0;
	put_key(&l, key);
	put_text(&l, value);
	send(&l);
}

void print_line(const char *text)
{
	struct line l;

	l.used = 0;
	put_text(&l, text);
	send(&l);
}
