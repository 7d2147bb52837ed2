/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to its handler: route, role, parameters, state. Loop
 * thread. INV-1: a handler only sees parameters of its row, in range. INV-2:
 * every refusal of a request that would change something is recorded.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_in.h"
#include "control/control.h"
#include "control/json_limits.h"
#include "control/nearest.h"
#include "control/routes.h"
#include "control/text.h"

static bool changes_something(const struct call *call)
{
	return call->route && strcmp(call->route->method, "POST") == 0;
}

/* What a record calls it: the command, or the end of the path. */
static const char *name_of(const struct call *call)
{
	static const char prefix[] = "/v1/vm/";

	if (strncmp(call->route->path, prefix, sizeof(prefix) - 1) != 0)
		return call->route->path;
	if (call->route->command != ROUTE_NO_COMMAND)
		return vm_command_text((enum vm_command)call->route->command);
	return call->route->path + sizeof(prefix) - 1;
}

void dispatch_refused(struct call *call)
{
	char text[VM_TEXT_MAX + 1];

	if (!changes_something(call))
		return;
	snprintf(text, sizeof(text), "%s: %s", name_of(call),
		 problem_row(call->problem)->code);
	control_note_refused(call->control, &call->peer, call->text, text);
}

bool dispatch_begin(struct call *call, const char *method, const char *path)
{
	uint64_t number = 0;
	const char *allow;
	size_t i;

	call->route = routes_find(method, path, &allow, &number);
	if (!call->route && allow) {
		call->allow = allow;
		call_problem(call, PROBLEM_METHOD_NOT_ALLOWED,
			     "%.64s: the method is %s", path, allow);
		return false;
	}
	if (!call->route) {
		call_problem(call, PROBLEM_NOT_FOUND,
			     "there is no %.128s: GET /v1 lists what there is",
			     path);
		return false;
	}
	if (call->peer.role < call->route->role) {
		call_problem(call, PROBLEM_FORBIDDEN,
			     "uid %lu is %s here, this takes %s",
			     (unsigned long)call->peer.uid,
			     authz_role_text(call->peer.role),
			     authz_role_text(call->route->role));
		dispatch_refused(call);
		return false;
	}
	for (i = 0; i < call->route->param_count; i++)
		if (call->route->params[i].place == PARAM_PATH)
			call->value[i] = (struct call_value){ true, number };
	return true;
}

/* The index of a parameter in the row, or -1 with the call answered. */
static int find_param(struct call *call, const char *name,
		      enum param_place place)
{
	const struct route *route = call->route;
	const char *names[CALL_PARAMS_MAX];
	const char *near;
	size_t i, count = 0;

	for (i = 0; i < route->param_count; i++) {
		if (route->params[i].place != place)
			continue;
		if (strcmp(route->params[i].name, name) == 0)
			return (int)i;
		names[count++] = route->params[i].name;
	}
	near = nearest(name, names, count);
	call_problem(call, PROBLEM_UNKNOWN_FIELD, "%s '%.48s'%s%s%s",
		     place == PARAM_QUERY ? "query parameter" : "body: key",
		     name, near ? " is unknown; did you mean '" : " is unknown",
		     near ? near : "", near ? "'?" : "");
	return -1;
}

static bool bad_value(struct call *call, const struct route_param *p,
		      const char *wanted)
{
	call_problem(call, PROBLEM_BAD_VALUE, "%s: is not %s", p->name, wanted);
	return false;
}

static bool set_number(struct call *call, size_t i, bool is_number,
		       uint64_t number)
{
	const struct route_param *p = &call->route->params[i];
	char wanted[64];

	if (!is_number || number > p->max) {
		snprintf(wanted, sizeof(wanted),
			 "a whole number in 0..%" PRIu64, p->max);
		return bad_value(call, p, wanted);
	}
	call->value[i] = (struct call_value){ true, number };
	return true;
}

static bool set_from_query(struct call *call, size_t i, const char *text)
{
	const struct route_param *p = &call->route->params[i];
	bool is_true, is_number;
	uint64_t number = 0;

	if (p->type == PARAM_NUMBER) {
		is_number = text_to_number(text, UINT64_MAX, &number);
		return set_number(call, i, is_number, number);
	}
	is_true = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
	if (!is_true && strcmp(text, "0") != 0 && strcmp(text, "false") != 0)
		return bad_value(call, p, "0, 1, false or true");
	call->value[i] = (struct call_value){ true, is_true };
	return true;
}

static bool read_query(struct call *call, const struct query_arg *args,
		       size_t count)
{
	size_t n;
	int i;

	for (n = 0; n < count; n++) {
		i = find_param(call, args[n].name, PARAM_QUERY);
		if (i < 0)
			return false;
		if (call->value[i].given) {
			call_problem(call, PROBLEM_BAD_REQUEST,
				     "query parameter '%s' is there twice",
				     args[n].name);
			return false;
		}
		if (!set_from_query(call, (size_t)i,
				    args[n].value ? args[n].value : ""))
			return false;
	}
	return true;
}

static bool set_text(struct call *call, size_t i, const char *text)
{
	const struct route_param *p = &call->route->params[i];
	char wanted[64];

	if (strlen(text) > p->max) {
		snprintf(wanted, sizeof(wanted),
			 "a string of at most %" PRIu64 " bytes", p->max);
		return bad_value(call, p, wanted);
	}
	if (p->type == PARAM_WORD)
		text_copy(call_word_at(call, i), CALL_WORD_BYTES, text);
	else
		text_copy(call->text, sizeof(call->text), text);
	call->value[i].given = true;
	return true;
}

static bool set_list(struct call *call, size_t i, const json_t *list)
{
	const struct route_param *p = &call->route->params[i];
	size_t n, count = json_array_size(list);
	char wanted[64];

	for (n = 0; n < count; n++)
		if (!json_is_string(json_array_get(list, n)))
			break;
	if (!count || count > p->max || n < count) {
		snprintf(wanted, sizeof(wanted),
			 "a list of 1..%" PRIu64 " strings", p->max);
		return bad_value(call, p, wanted);
	}
	call->list = json_deep_copy(list);
	if (!call->list) {
		call_problem(call, PROBLEM_INTERNAL, "out of memory");
		return false;
	}
	call->value[i].given = true;
	return true;
}

static bool set_from_json(struct call *call, size_t i, const json_t *value)
{
	const struct route_param *p = &call->route->params[i];

	switch (p->type) {
	case PARAM_BOOL:
		if (!json_is_boolean(value))
			return bad_value(call, p, "true or false");
		call->value[i] =
			(struct call_value){ true, json_is_true(value) };
		return true;
	case PARAM_NUMBER:
		return set_number(call, i,
				  json_is_integer(value) &&
					  json_integer_value(value) >= 0,
				  (uint64_t)json_integer_value(value));
	case PARAM_TEXT:
	case PARAM_WORD:
		if (!json_is_string(value))
			return bad_value(call, p, "a string");
		return set_text(call, i, json_string_value(value));
	case PARAM_LIST:
		return set_list(call, i, value);
	}
	return false;
}

static bool read_body(struct call *call, const void *body, size_t len)
{
	struct err e = ERR_NONE;
	json_t *root, *value;
	const char *key;
	bool fine = true;
	int i;

	if (!len)
		return true;
	if (!changes_something(call)) {
		call_problem(call, PROBLEM_BAD_REQUEST,
			     "this call takes no body");
		return false;
	}
	if (json_in_parse(&root, body, len, &json_body_limits, "body", &e)) {
		call_problem(call,
			     e.code == -ENOMEM ? PROBLEM_INTERNAL
					       : PROBLEM_BAD_JSON,
			     "%s", e.text);
		return false;
	}
	json_object_foreach(root, key, value)
	{
		i = find_param(call, key, PARAM_BODY);
		fine = i >= 0 && set_from_json(call, (size_t)i, value);
		if (!fine)
			break;
	}
	json_decref(root);
	return fine;
}

/* Is the command possible in this state? Those that overrule go on. */
static bool check_state(struct call *call)
{
	enum vm_command command = (enum vm_command)call->route->command;
	const struct lifecycle_rule *rule;
	struct vm_status status;

	if (call_number(call, "emergency", 0) || call_number(call, "force", 0))
		return true;
	vm_status(call->control->vm, &status);
	rule = lifecycle_rule(status.state, command);
	if (rule->verdict != LIFECYCLE_REFUSE ||
	    (call->route->or_stopped &&
	     (status.state == VM_STOPPED || status.state == VM_DEFINED)))
		return true;
	control_answer_wrong_state(call, command, status.state, rule->help);
	return false;
}

void dispatch_run(struct call *call, const struct query_arg *args,
		  size_t arg_count, const void *body, size_t body_len)
{
	bool fine = read_query(call, args, arg_count) &&
		    read_body(call, body, body_len);

	if (fine && call->control->is_ending && changes_something(call)) {
		call_problem(call, PROBLEM_ENDING, "%s",
			     call->control->end.text);
		fine = false;
	}
	if (!fine) {
		dispatch_refused(call);
		return;
	}
	if (call->route->command != ROUTE_NO_COMMAND && !check_state(call)) {
		dispatch_refused(call);
		return;
	}
	call->route->handler(call);
}
