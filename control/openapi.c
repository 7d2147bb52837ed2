/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 3.0 from the tables of routes, problems and configuration keys;
 * pure, any thread.
 */
#include "control/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "control/config_record.h"
#include "control/config_table.h"
#include "control/json_out.h"
#include "control/problem.h"
#include "control/routes.h"
#include "control/version.h"

#define NAME_BYTES   96
#define UPGRADE_PATH "/v1/vm/console/attach"

static const char *type_of(const struct route_param *p)
{
	switch (p->type) {
	case PARAM_BOOL:
		return "boolean";
	case PARAM_NUMBER:
		return "integer";
	case PARAM_LIST:
		return "array";
	case PARAM_TEXT:
	case PARAM_WORD:
		break;
	}
	return "string";
}

static void print_schema(struct json_out *j, const struct route_param *p)
{
	jout_text(j, "type", type_of(p));
	if (p->type == PARAM_NUMBER) {
		jout_uint(j, "minimum", 0);
		jout_uint(j, "maximum", p->max);
	} else if (p->type == PARAM_TEXT || p->type == PARAM_WORD) {
		jout_uint(j, "maxLength", p->max);
	} else if (p->type == PARAM_LIST) {
		jout_uint(j, "minItems", 1);
		jout_uint(j, "maxItems", p->max);
		jout_open(j, "items", '{');
		jout_text(j, "type", "string");
		jout_close(j, '}');
	}
}

static bool has_place(const struct route *route, enum param_place place)
{
	size_t i;

	for (i = 0; i < route->param_count; i++)
		if (route->params[i].place == place)
			return true;
	return false;
}

static void print_query(struct json_out *j, const struct route *route)
{
	size_t i;

	if (!has_place(route, PARAM_QUERY) && !has_place(route, PARAM_PATH))
		return;
	jout_open(j, "parameters", '[');
	for (i = 0; i < route->param_count; i++) {
		const struct route_param *p = &route->params[i];

		if (p->place == PARAM_BODY)
			continue;
		jout_open(j, NULL, '{');
		jout_text(j, "name", p->name);
		jout_text(j, "in", p->place == PARAM_PATH ? "path" : "query");
		if (p->place == PARAM_PATH)
			jout_bool(j, "required", true);
		jout_text(j, "description", p->doc);
		jout_open(j, "schema", '{');
		print_schema(j, p);
		jout_close(j, '}');
		jout_close(j, '}');
	}
	jout_close(j, ']');
}

static void print_body(struct json_out *j, const struct route *route)
{
	size_t i;

	if (!has_place(route, PARAM_BODY))
		return;
	jout_open(j, "requestBody", '{');
	jout_bool(j, "required", false);
	jout_open(j, "content", '{');
	jout_open(j, "application/json", '{');
	jout_open(j, "schema", '{');
	jout_text(j, "type", "object");
	jout_bool(j, "additionalProperties", false);
	jout_open(j, "properties", '{');
	for (i = 0; i < route->param_count; i++) {
		const struct route_param *p = &route->params[i];

		if (p->place != PARAM_BODY)
			continue;
		jout_open(j, p->name, '{');
		print_schema(j, p);
		jout_text(j, "description", p->doc);
		jout_close(j, '}');
	}
	for (i = 0; i < 5; i++)
		jout_close(j, '}');
}

/* The schema of the usual answer, NULL where none is written down. */
static const char *answer_schema(const struct route *route)
{
	if (route->command != ROUTE_NO_COMMAND)
		return "#/components/schemas/result";
	if (strcmp(route->path, "/v1/vm") == 0)
		return "#/components/schemas/status";
	if (strcmp(route->path, "/v1/vm/config") == 0)
		return "#/components/schemas/config";
	return NULL;
}

static void print_usual_answer(struct json_out *j, const struct route *route)
{
	const char *schema = answer_schema(route);

	jout_open(j, "200", '{');
	jout_text(j, "description", "done");
	jout_open(j, "content", '{');
	jout_open(j, route->type, '{');
	if (schema) {
		jout_open(j, "schema", '{');
		jout_text(j, "$ref", schema);
		jout_close(j, '}');
	}
	jout_close(j, '}');
	jout_close(j, '}');
	jout_close(j, '}');
}

static void print_answers(struct json_out *j, const struct route *route)
{
	jout_open(j, "responses", '{');
	if (strcmp(route->path, UPGRADE_PATH) == 0) {
		jout_open(j, "101", '{');
		jout_text(j, "description",
			  "raw console bytes both ways from here on");
		jout_close(j, '}');
	} else {
		print_usual_answer(j, route);
	}
	jout_open(j, "default", '{');
	jout_text(j, "$ref", "#/components/responses/problem");
	jout_close(j, '}');
	jout_close(j, '}');
}

/* "GET /v1/vm/ready" -> "get_v1_vm_ready" */
static void operation_id(const struct route *route, char *id, size_t size)
{
	size_t i;

	snprintf(id, size, "%s%s", route->method, route->path);
	for (i = 0; id[i]; i++)
		id[i] = isalnum((unsigned char)id[i])
				? (char)tolower((unsigned char)id[i])
				: '_';
}

static void print_route(struct json_out *j, const struct route *route)
{
	char text[NAME_BYTES];
	size_t i;

	jout_open(j, route->path, '{');
	for (i = 0; i < sizeof(text) - 1 && route->method[i]; i++)
		text[i] = (char)tolower((unsigned char)route->method[i]);
	text[i] = 0;
	jout_open(j, text, '{');
	operation_id(route, text, sizeof(text));
	jout_text(j, "operationId", text);
	jout_text(j, "summary", route->summary);
	jout_text(j, "x-amber-role", authz_role_text(route->role));
	print_query(j, route);
	print_body(j, route);
	print_answers(j, route);
	jout_close(j, '}');
	jout_close(j, '}');
}

static void print_member(struct json_out *j, const char *name, const char *type)
{
	jout_open(j, name, '{');
	jout_text(j, "type", type);
	jout_close(j, '}');
}

static void print_states(struct json_out *j)
{
	int i;

	jout_open(j, "state", '{');
	jout_text(j, "type", "string");
	jout_open(j, "enum", '[');
	for (i = 0; i < VM_STATE_COUNT; i++)
		jout_text(j, NULL, vm_state_text((enum vm_state)i));
	jout_close(j, ']');
	jout_close(j, '}');
}

static void print_problem_codes(struct json_out *j)
{
	int i;

	jout_open(j, "code", '{');
	jout_text(j, "type", "string");
	jout_open(j, "enum", '[');
	for (i = 0; i < PROBLEM_COUNT; i++)
		jout_text(j, NULL, problem_row((enum problem_code)i)->code);
	jout_close(j, ']');
	jout_close(j, '}');
}

/* What each code means and with which status it comes. */
static void print_problem_meanings(struct json_out *j)
{
	int i;

	jout_open(j, "x-amber-codes", '{');
	for (i = 0; i < PROBLEM_COUNT; i++) {
		const struct problem_row *row =
			problem_row((enum problem_code)i);

		jout_open(j, row->code, '{');
		jout_uint(j, "status", row->status);
		jout_text(j, "meaning", row->meaning);
		jout_close(j, '}');
	}
	jout_close(j, '}');
}

/* Every member but state and help is always there (problem_print()). */
static void print_problem_schema(struct json_out *j)
{
	static const char *const always[] = { "type", "title", "status", "code",
					      "detail" };
	size_t i;

	jout_open(j, "problem", '{');
	jout_text(j, "type", "object");
	jout_open(j, "required", '[');
	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		jout_text(j, NULL, always[i]);
	jout_close(j, ']');
	jout_open(j, "properties", '{');
	print_member(j, "type", "string");
	print_member(j, "title", "string");
	print_member(j, "status", "integer");
	print_problem_codes(j);
	print_member(j, "detail", "string");
	print_states(j);
	print_member(j, "help", "string");
	jout_close(j, '}');
	print_problem_meanings(j);
	jout_close(j, '}');
}

static void print_result_schema(struct json_out *j)
{
	jout_open(j, "result", '{');
	jout_text(j, "type", "object");
	jout_open(j, "required", '[');
	jout_text(j, NULL, "changed");
	jout_text(j, NULL, "state");
	jout_text(j, NULL, "duration_us");
	jout_close(j, ']');
	jout_open(j, "properties", '{');
	print_member(j, "changed", "boolean");
	print_states(j);
	print_member(j, "duration_us", "integer");
	print_member(j, "rung", "string");
	print_member(j, "text", "string");
	jout_close(j, '}');
	jout_close(j, '}');
}

static void print_status_schema(struct json_out *j)
{
	static const char *const texts[] = { "name", "uuid", "since", "cause",
					     "reason" };
	static const char *const numbers[] = { "uptime_ms",   "boots",
					       "restarts",    "pid",
					       "cpus",	      "vcpus_parked",
					       "memory_bytes" };
	size_t i;

	jout_open(j, "status", '{');
	jout_text(j, "type", "object");
	jout_open(j, "properties", '{');
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		print_member(j, texts[i], "string");
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		print_member(j, numbers[i], "integer");
	print_states(j);
	print_member(j, "ready", "boolean");
	print_member(j, "actor", "object");
	print_member(j, "labels", "object");
	jout_open(j, "milestone", '{');
	jout_text(j, "type", "integer");
	jout_bool(j, "nullable", true);
	jout_close(j, '}');
	jout_close(j, '}');
	jout_close(j, '}');
}

static const char *config_type(const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_RATE:
		return "integer";
	case CONFIG_BOOL:
		return "boolean";
	case CONFIG_KERNELS:
	case CONFIG_FEATURES:
		return "array";
	case CONFIG_RECORDS:
		return row->record->is_single ? "object" : "array";
	case CONFIG_LABELS:
	case CONFIG_ACCESS:
		return "object";
	default:
		return "string";
	}
}

static const char *field_type(const struct config_field *f)
{
	switch (f->type) {
	case FIELD_BOOL:
		return "boolean";
	case FIELD_NUMBER:
	case FIELD_BYTES:
		return "integer";
	default:
		return "string";
	}
}

static void print_field(struct json_out *j, const struct config_field *f)
{
	size_t i;

	jout_open(j, f->key, '{');
	jout_text(j, "type", field_type(f));
	jout_text(j, "description", f->help);
	if (f->type == FIELD_NUMBER || f->type == FIELD_BYTES) {
		jout_uint(j, "minimum", f->min);
		jout_uint(j, "maximum", f->max);
	}
	if (f->names) {
		jout_open(j, "enum", '[');
		for (i = 0; f->names[i]; i++)
			if (*f->names[i])
				jout_text(j, NULL, f->names[i]);
		jout_close(j, ']');
	}
	jout_close(j, '}');
}

static void print_record(struct json_out *j, const struct config_record *rec)
{
	size_t i;

	if (!rec->is_single) {
		jout_open(j, "items", '{');
		jout_text(j, "type", "object");
	}
	jout_bool(j, "additionalProperties", false);
	jout_open(j, "properties", '{');
	for (i = 0; i < rec->field_count; i++)
		print_field(j, &rec->fields[i]);
	jout_close(j, '}');
	if (!rec->is_single)
		jout_close(j, '}');
}

static void print_config_key(struct json_out *j, const struct config_row *row)
{
	const char *type = config_type(row);

	jout_open(j, row->key, '{');
	jout_text(j, "type", type);
	jout_text(j, "description", row->help);
	if (strcmp(type, "integer") == 0) {
		jout_uint(j, "minimum", row->min);
		jout_uint(j, "maximum", row->max);
	} else if (row->record) {
		print_record(j, row->record);
	} else if (strcmp(type, "array") == 0) {
		print_member(j, "items", "string");
	}
	jout_close(j, '}');
}

static void print_config_schema(struct json_out *j)
{
	const struct config_row *rows;
	size_t count, i;

	rows = config_rows(&count);
	jout_open(j, "config", '{');
	jout_text(j, "type", "object");
	jout_bool(j, "additionalProperties", false);
	jout_open(j, "properties", '{');
	for (i = 0; i < count; i++)
		print_config_key(j, &rows[i]);
	jout_close(j, '}');
	jout_close(j, '}');
}

static void print_components(struct json_out *j)
{
	jout_open(j, "components", '{');
	jout_open(j, "responses", '{');
	jout_open(j, "problem", '{');
	jout_text(j, "description", "refused or failed");
	jout_open(j, "content", '{');
	jout_open(j, PROBLEM_TYPE, '{');
	jout_open(j, "schema", '{');
	jout_text(j, "$ref", "#/components/schemas/problem");
	jout_close(j, '}');
	jout_close(j, '}');
	jout_close(j, '}');
	jout_close(j, '}');
	jout_close(j, '}');
	jout_open(j, "schemas", '{');
	print_problem_schema(j);
	print_result_schema(j);
	print_status_schema(j);
	print_config_schema(j);
	jout_close(j, '}');
	jout_close(j, '}');
}

int openapi_print(struct buf *out)
{
	const struct route *routes;
	struct json_out j;
	size_t count, i;

	routes = routes_all(&count);
	json_out_init(&j, out, false);
	jout_open(&j, NULL, '{');
	jout_text(&j, "openapi", "3.0.3");
	jout_open(&j, "info", '{');
	jout_text(&j, "title", "amber, the control socket of a VM");
	jout_text(&j, "version", AMBER_VERSION);
	jout_close(&j, '}');
	jout_open(&j, "paths", '{');
	for (i = 0; i < count; i++)
		print_route(&j, &routes[i]);
	jout_close(&j, '}');
	print_components(&j);
	jout_close(&j, '}');
	return buf_put(out, "\n", 1);
}
