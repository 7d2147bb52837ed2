/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned columns and human figures for people, tab-free and stable when
 * piped. Pure but for memory; any thread, one at a time per table.
 */
#ifndef AMBER_CONTROL_TERM_TABLE_H
#define AMBER_CONTROL_TERM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "control/cli/term.h"

#define TERM_TABLE_COLUMNS 12
#define TERM_HUMAN_BYTES   24

struct term_cell {
	char *text; /* owned */
	enum term_colour colour;
};

struct term_table {
	unsigned int columns;
	bool right[TERM_TABLE_COLUMNS]; /* aligned to the right */
	bool colour;
	unsigned int width;	/* lines are cut here; 0: never */
	struct term_cell *cell; /* owned; rows * columns, row 0 = titles */
	size_t used, room;
	bool failed; /* out of memory: sticky */
};

/* titles: "NAME STATE >CPU": words; a leading '>' aligns to the right. */
void term_table_init(struct term_table *t, const char *titles, bool colour);
void term_table_fini(struct term_table *t);
/* Appends the next cell, row by row; control characters become '?'. */
void term_table_add(struct term_table *t, enum term_colour colour,
		    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Appends the whole table to out, one line per row. -ENOMEM if it failed. */
int term_table_print(struct term_table *t, struct buf *out);

/* "512 B", "1.5 MiB", "128 MiB"; text holds TERM_HUMAN_BYTES. */
const char *term_bytes(uint64_t bytes, char *text);
/* "850 us", "1.2 ms", "4.5 s", "3 m 20 s", "2 h 5 m", "3 d 4 h". */
const char *term_duration_us(uint64_t us, char *text);
/* "0", "950", "12.3k", "4.1M". */
const char *term_count(double n, char *text);

/*
 * Appends text so that it is harmless on a terminal: bytes below 0x20 and
 * 0x7f become '?', tabs and (if lines) new lines stay.
 */
void term_put_safe(struct buf *out, const char *text, bool lines);

/* The colour for a lifecycle state's name. */
enum term_colour term_state_colour(const char *state);

#endif
