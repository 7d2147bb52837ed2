/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns and figures for people. Pure but for memory; one thread at a time
 * per table. Invariant: cells are complete rows but for the last one.
 */
#include "control/cli/term_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 256 /* with the NUL; longer texts are cut */
#define GAP	   2   /* blanks between columns */

void term_table_fini(struct term_table *t)
{
	size_t i;

	for (i = 0; i < t->used; i++)
		free(t->cell[i].text);
	free(t->cell);
	*t = (struct term_table){ 0 };
}

static struct term_cell *next_cell(struct term_table *t)
{
	if (t->used == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct term_cell *cell;

		cell = reallocarray(t->cell, room, sizeof(*cell));
		if (!cell)
			return NULL;
		t->cell = cell;
		t->room = room;
	}
	return &t->cell[t->used];
}

void term_table_add(struct term_table *t, enum term_colour colour,
		    const char *fmt, ...)
{
	struct term_cell *cell = next_cell(t);
	char text[CELL_BYTES];
	va_list ap;
	char *p;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (!cell || !(cell->text = strdup(text))) {
		t->failed = true;
		return;
	}
	cell->colour = colour;
	t->used++;
}

void term_table_init(struct term_table *t, const char *titles, bool colour)
{
	*t = (struct term_table){ .colour = colour };
	while (*titles && t->columns < TERM_TABLE_COLUMNS) {
		bool right = *titles == '>';
		size_t len;

		titles += right;
		len = strcspn(titles, " ");
		t->right[t->columns++] = right;
		term_table_add(t, TERM_BOLD, "%.*s", (int)len, titles);
		titles += len + strspn(titles + len, " ");
	}
}

/* Columns on the screen: UTF-8 continuation bytes take none. */
static unsigned int text_width(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void measure(const struct term_table *t, unsigned int *width)
{
	size_t i;

	memset(width, 0, TERM_TABLE_COLUMNS * sizeof(*width));
	for (i = 0; i < t->used; i++) {
		unsigned int w = text_width(t->cell[i].text);
		unsigned int *at = &width[i % t->columns];

		if (w > *at)
			*at = w;
	}
}

/* Appends at most `room` columns of text; returns the columns used. */
static unsigned int put_cut(struct buf *out, const char *text,
			    unsigned int room)
{
	const char *p = text;
	unsigned int n = 0;

	while (*p) {
		if (((unsigned char)*p & 0xc0) != 0x80 && n++ == room) {
			n--;
			break;
		}
		p++;
	}
	buf_put(out, text, (size_t)(p - text));
	return n;
}

static void print_row(const struct term_table *t, size_t row,
		      const unsigned int *width, struct buf *out)
{
	unsigned int left = t->width ? t->width : ~0u;
	unsigned int c, used, pad;

	for (c = 0; c < t->columns && left; c++) {
		const struct term_cell *cell = &t->cell[row * t->columns + c];
		const char *on = term_code(cell->colour, t->colour);
		bool last = c + 1 == t->columns;

		pad = width[c] - text_width(cell->text);
		if (t->right[c] && pad < left) {
			buf_printf(out, "%*s", (int)pad, "");
			left -= pad;
			pad = 0;
		}
		if (cell->colour != TERM_PLAIN)
			buf_puts(out, on);
		used = put_cut(out, cell->text, left);
		if (cell->colour != TERM_PLAIN && *on)
			buf_puts(out, term_code(TERM_PLAIN, t->colour));
		left -= used;
		pad += GAP;
		/* An empty last cell leaves no blanks at the line's end. */
		if (last || pad >= left ||
		    (c + 2 == t->columns && !*cell[1].text))
			break;
		buf_printf(out, "%*s", (int)pad, "");
		left -= pad;
	}
	buf_puts(out, "\n");
}

int term_table_print(struct term_table *t, struct buf *out)
{
	unsigned int width[TERM_TABLE_COLUMNS];
	size_t row;

	if (t->failed || !t->columns || t->used % t->columns)
		return -ENOMEM;
	measure(t, width);
	for (row = 0; row < t->used / t->columns; row++)
		print_row(t, row, width, out);
	return out->error;
}

const char *term_bytes(uint64_t bytes, char *text)
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned int u = 0;

	while (v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	/* 9.96 would print as 10.0: a figure of three digits at most. */
	if (v >= 9.95 || v == (double)(uint64_t)v)
		snprintf(text, TERM_HUMAN_BYTES, "%.0f %s", v, units[u]);
	else
		snprintf(text, TERM_HUMAN_BYTES, "%.1f %s", v, units[u]);
	return text;
}

const char *term_duration_us(uint64_t us, char *text)
{
	uint64_t s = us / 1000000;

	if (us < 1000)
		snprintf(text, TERM_HUMAN_BYTES, "%u us", (unsigned int)us);
	else if (us < 1000000)
		snprintf(text, TERM_HUMAN_BYTES, "%.1f ms", (double)us / 1e3);
	else if (s < 60)
		snprintf(text, TERM_HUMAN_BYTES, "%.1f s", (double)us / 1e6);
	else if (s < 3600)
		snprintf(text, TERM_HUMAN_BYTES, "%u m %u s",
			 (unsigned int)(s / 60), (unsigned int)(s % 60));
	else if (s < 86400)
		snprintf(text, TERM_HUMAN_BYTES, "%u h %u m",
			 (unsigned int)(s / 3600),
			 (unsigned int)(s % 3600 / 60));
	else
		snprintf(text, TERM_HUMAN_BYTES, "%u d %u h",
			 (unsigned int)(s / 86400),
			 (unsigned int)(s % 86400 / 3600));
	return text;
}

const char *term_count(double n, char *text)
{
	if (n < 1000)
		snprintf(text, TERM_HUMAN_BYTES, "%.0f", n);
	else if (n < 999950)
		snprintf(text, TERM_HUMAN_BYTES, "%.1fk", n / 1e3);
	else
		snprintf(text, TERM_HUMAN_BYTES, "%.1fM", n / 1e6);
	return text;
}

void term_put_safe(struct buf *out, const char *text, bool lines)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool harmless = c >= 0x20 && c != 0x7f;

		if (harmless || c == '\t' || (lines && c == '\n'))
			buf_put(out, text, 1);
		else
			buf_puts(out, "?");
	}
}

enum term_colour term_state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum term_colour colour;
	} rows[] = {
		{ "running", TERM_GREEN },    { "paused", TERM_YELLOW },
		{ "suspended", TERM_YELLOW }, { "crashed", TERM_RED },
		{ "io-error", TERM_RED },     { "unresponsive", TERM_RED },
		{ "broken", TERM_RED },	      { "stopped", TERM_DIM },
		{ "defined", TERM_DIM },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].state, state) == 0)
			return rows[i].colour;
	return TERM_BLUE;
}
