/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded JSON parsing: one pass over the bytes counts depth and values,
 * then jansson builds the tree. No shared state.
 */
#include "base/json_in.h"

#include <stdbool.h>
#include <string.h>

struct shape {
	unsigned int depth, deepest;
	unsigned int values;
	bool in_string, escaped;
};

/*
 * Every value but the first is preceded by a comma, a colon or an opening
 * bracket: so the count of those is a bound for the number of values.
 */
static void look_at(struct shape *s, char c)
{
	if (s->in_string) {
		if (s->escaped)
			s->escaped = false;
		else if (c == '\\')
			s->escaped = true;
		else if (c == '"')
			s->in_string = false;
		return;
	}
	if (c == '"')
		s->in_string = true;
	else if (c == '{' || c == '[') {
		s->values++;
		if (++s->depth > s->deepest)
			s->deepest = s->depth;
	} else if ((c == '}' || c == ']') && s->depth)
		s->depth--;
	else if (c == ',' || c == ':')
		s->values++;
}

static int check_shape(const char *text, size_t len,
		       const struct json_limits *limits, const char *what,
		       struct err *e)
{
	struct shape s = { 0 };
	size_t i;

	if (len > limits->bytes)
		return err_set(e, -EFBIG,
			       "%s: %zu bytes, the limit is %zu bytes", what,
			       len, limits->bytes);
	for (i = 0; i < len; i++) {
		if (!text[i])
			return err_set(e, -EINVAL, "%s: NUL byte at byte %zu",
				       what, i);
		look_at(&s, text[i]);
		if (s.deepest > limits->depth)
			return err_set(e, -EFBIG,
				       "%s: nested deeper than the limit of %u "
				       "at byte %zu",
				       what, limits->depth, i);
		if (s.values > limits->values)
			return err_set(e, -EFBIG,
				       "%s: more than the limit of %u values "
				       "at byte %zu",
				       what, limits->values, i);
	}
	return 0;
}

int json_in_parse(json_t **out, const char *text, size_t len,
		  const struct json_limits *limits, const char *what,
		  struct err *e)
{
	json_error_t why;
	json_t *root;
	int r;

	r = check_shape(text, len, limits, what, e);
	if (r)
		return r;
	root = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES, &why);
	if (!root && json_error_code(&why) == json_error_out_of_memory)
		return err_sys(e, -ENOMEM, "%s", what);
	if (!root)
		return err_set(e, -EINVAL, "%s: line %d, column %d: %s", what,
			       why.line, why.column, why.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return err_set(e, -EINVAL, "%s: it is no JSON object", what);
	}
	*out = root;
	return 0;
}

const char *json_in_kind(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		break;
	}
	return "null";
}
