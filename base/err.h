/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values: a negative errno plus one line of text that says what,
 * where and which value. No state, no threads: the caller owns the struct.
 */
#ifndef AMBER_BASE_ERR_H
#define AMBER_BASE_ERR_H

#include <errno.h>

#define ERR_TEXT_BYTES 512

struct err {
	int code;		   /* 0 or a negative errno */
	char text[ERR_TEXT_BYTES]; /* always terminated, never empty if code */
};

/* An empty error; the usual way to declare one: struct err e = ERR_NONE; */
#define ERR_NONE                      \
	{                             \
		.code = 0, .text = "" \
	}

/*
 * Stores code (a negative errno) and the formatted text, cut at
 * ERR_TEXT_BYTES - 1 bytes, and returns code. e may be NULL: then only the
 * code is passed on.
 */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Like err_set() and appends ": " and strerror(-code): for failed system
 * calls.
 */
int err_sys(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Puts "prefix: " in front of the text that is there, so that a caller can
 * add the place it knows. Returns e->code. e may be NULL: returns 0 then.
 */
int err_prefix(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
