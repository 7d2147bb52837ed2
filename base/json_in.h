/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in for JSON from outside (requests, config.json, state.json):
 * size, depth and number of values are bounded before a tree is built, so
 * that hostile text costs neither memory nor stack. Duplicate keys, NaN,
 * numbers out of range, NUL, lone surrogates and bad UTF-8 are refused with
 * the place and the cause. Any thread; no shared state.
 */
#ifndef AMBER_BASE_JSON_IN_H
#define AMBER_BASE_JSON_IN_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

struct json_limits {
	size_t bytes;
	unsigned int depth;  /* of nested arrays and objects */
	unsigned int values; /* of every kind, the outermost included */
};

/*
 * Parses text, which must be one JSON object. what names the source in
 * errors ("body", "config.json"). The caller json_decref()s *out. Errors:
 * -EFBIG (size, depth, values), -EINVAL (all else), -ENOMEM.
 */
int json_in_parse(json_t **out, const char *text, size_t len,
		  const struct json_limits *limits, const char *what,
		  struct err *e);

/* "a string", "a number"... of a value, for error texts. */
const char *json_in_kind(const json_t *value);

#endif
