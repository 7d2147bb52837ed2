/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON text into a buffer, member by member, without a tree and
 * without printf: answers are built this way on the hot path. The caller
 * keeps brackets balanced; errors stick in the buffer. One thread at a time.
 */
#ifndef AMBER_CONTROL_JSON_OUT_H
#define AMBER_CONTROL_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json_out {
	struct buf *to; /* borrowed */
	bool pretty;	/* two blanks per level, a member per line */
	bool begun;	/* the present level has a member already */
	unsigned int level;
};

void json_out_init(struct json_out *j, struct buf *to, bool pretty);

/*
 * key is the member's name, NULL inside an array and for the outermost
 * value. bracket is '{' or '['; jout_close() takes '}' or ']'.
 */
void jout_open(struct json_out *j, const char *key, char bracket);
void jout_close(struct json_out *j, char bracket);

/* text may hold any bytes: what is not UTF-8 becomes U+FFFD. */
void jout_text(struct json_out *j, const char *key, const char *text);
void jout_text_n(struct json_out *j, const char *key, const char *text,
		 size_t len);
void jout_uint(struct json_out *j, const char *key, uint64_t value);
void jout_int(struct json_out *j, const char *key, int64_t value);
void jout_bool(struct json_out *j, const char *key, bool value);
void jout_null(struct json_out *j, const char *key);
/* A value that is JSON text already. */
void jout_raw(struct json_out *j, const char *key, const char *json);

#endif
