/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of the command line: is there one, how wide, raw mode and
 * back, signals as descriptors, colours. One thread (main) enters. Invariant:
 * once term_raw() succeeded, the old settings come back whatever ends the
 * process, SIGKILL excepted.
 */
#ifndef AMBER_CONTROL_TERM_H
#define AMBER_CONTROL_TERM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define TERM_COLUMNS_DEFAULT 80
#define TERM_ROWS_DEFAULT    24

/* May fd be drawn on: a terminal that isn't "dumb". */
bool term_is(int fd);

/* Is colour wanted on fd: a terminal, and NO_COLOR is unset or empty. */
bool term_has_colour(int fd);

/* Columns and rows of fd's terminal; the defaults where it doesn't say. */
void term_size(int fd, unsigned int *columns, unsigned int *rows);

/* Is this process in the foreground of fd's terminal? false: no terminal. */
bool term_is_ours(int fd);

/*
 * Switches fd's terminal to raw mode: each byte at once, no echo, no signal
 * keys. From then on term_restore() runs at exit and before a fatal signal
 * ends the process. Errors: -ENOTTY and what tcsetattr(3) says.
 */
int term_raw(int fd, struct err *e);
/* Like term_raw() but keys only: output processing and Ctrl-C stay. */
int term_keys(int fd, struct err *e);
/*
 * Writes `on` to standard output now and `off` when the terminal is
 * restored, whatever ends the process. Static texts; after term_keys().
 */
void term_screen(const char *on, const char *off);
/* Puts back what term_raw() found. Safe in signal handlers; repeatable. */
void term_restore(void);
/* Raw mode again, after a stop (SIGTSTP, SIGSTOP) and SIGCONT. */
void term_again(void);

/*
 * Turns signals into bytes: after term_signals(), each of SIGINT, SIGTERM,
 * SIGHUP, SIGCONT, SIGWINCH arrives as its number (one byte) on the
 * returned descriptor (non-blocking, owned by this file) and interrupts a
 * blocking call. Returns the descriptor, or a negative errno.
 */
int term_signals(void);
/* The next signal's number; 0 when none is waiting. */
int term_next_signal(void);
/* The default actions again. */
void term_signals_end(void);

enum term_colour {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_BLUE,
	TERM_COLOURS
};

/* The escape sequence that switches the colour on, "" when !wanted. */
const char *term_code(enum term_colour colour, bool wanted);

#endif
