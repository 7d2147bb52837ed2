/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generated OpenAPI document says all that the tables say. One thread; no
 * KVM.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_table.h"
#include "control/openapi.h"
#include "control/problem.h"
#include "control/routes.h"
#include "tests/unit/suite.h"

#define DOCUMENT_BYTES (1u << 20)

static json_t *document(void)
{
	struct buf out;
	json_t *root;

	buf_init(&out, DOCUMENT_BYTES);
	ck_assert_int_eq(openapi_print(&out), 0);
	root = json_loadb((const char *)out.data, out.len,
			  JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(root);
	buf_fini(&out);
	return root;
}

/* The value at "a|b|c"; fails the test when a step is missing. */
static json_t *at(json_t *from, const char *path)
{
	char copy[256], *step, *rest;

	snprintf(copy, sizeof(copy), "%s", path);
	for (step = strtok_r(copy, "|", &rest); step;
	     step = strtok_r(NULL, "|", &rest)) {
		from = json_object_get(from, step);
		ck_assert_msg(from != NULL, "%s: %s is missing", path, step);
	}
	return from;
}

static json_t *operation(json_t *root, const struct route *route)
{
	json_t *path = json_object_get(at(root, "paths"), route->path);

	return at(path, strcmp(route->method, "GET") == 0 ? "get" : "post");
}

static const json_t *find_param(json_t *op, const struct route_param *p)
{
	json_t *list, *item;
	size_t i;

	if (p->place == PARAM_BODY)
		return json_object_get(at(op, "requestBody|content|"
					      "application/json|schema|"
					      "properties"),
				       p->name);
	list = at(op, "parameters");
	json_array_foreach(list, i,
			   item) if (strcmp(json_string_value(at(item, "name")),
					    p->name) == 0) return at(item,
								     "schema");
	return NULL;
}

START_TEST(every_parameter_of_every_route_is_there_with_its_type)
{
	static const char *const types[] = { "boolean", "integer", "string",
					     "string", "array" };
	json_t *root = document();
	const struct route *routes;
	size_t count, i, n;

	routes = routes_all(&count);
	for (i = 0; i < count; i++) {
		json_t *op = operation(root, &routes[i]);

		for (n = 0; n < routes[i].param_count; n++) {
			const struct route_param *p = &routes[i].params[n];
			const json_t *schema = find_param(op, p);

			ck_assert_msg(schema != NULL, "%s: %s", routes[i].path,
				      p->name);
			ck_assert_str_eq(json_string_value(json_object_get(
						 schema, "type")),
					 types[p->type]);
		}
	}
	json_decref(root);
}
END_TEST

START_TEST(every_route_has_an_answer_a_problem_and_a_name_of_its_own)
{
	json_t *root = document(), *names = json_object();
	const struct route *routes;
	size_t count, i;

	routes = routes_all(&count);
	for (i = 0; i < count; i++) {
		json_t *op = operation(root, &routes[i]);
		json_t *answers = at(op, "responses");
		const char *name = json_string_value(at(op, "operationId"));

		ck_assert_ptr_null(json_object_get(names, name));
		json_object_set_new(names, name, json_true());
		ck_assert_str_eq(json_string_value(at(answers, "default|$ref")),
				 "#/components/responses/problem");
		if (strcmp(routes[i].path, "/v1/vm/console/attach") == 0) {
			at(answers, "101|description");
			continue;
		}
		ck_assert_ptr_nonnull(json_object_get(
			at(answers, "200|content"), routes[i].type));
		if (routes[i].command != ROUTE_NO_COMMAND)
			at(answers, "200|content|application/json|schema|$ref");
	}
	json_decref(names);
	json_decref(root);
}
END_TEST

/* Every "$ref" in value leads to something in root. */
static void check_refs(json_t *root, json_t *value)
{
	const char *key, *ref;
	json_t *item;
	char path[128];
	size_t i;

	json_array_foreach(value, i, item) check_refs(root, item);
	json_object_foreach(value, key, item)
	{
		check_refs(root, item);
		if (strcmp(key, "$ref") != 0)
			continue;
		ref = json_string_value(item);
		ck_assert_int_eq(strncmp(ref, "#/", 2), 0);
		snprintf(path, sizeof(path), "%s", ref + 2);
		for (i = 0; path[i]; i++)
			if (path[i] == '/')
				path[i] = '|';
		at(root, path);
	}
}

START_TEST(every_reference_leads_somewhere)
{
	json_t *root = document();

	check_refs(root, root);
	json_decref(root);
}
END_TEST

START_TEST(the_problem_schema_lists_every_code_and_member)
{
	json_t *root = document();
	json_t *problem = at(root, "components|schemas|problem");

	ck_assert_uint_eq(json_array_size(at(problem, "properties|code|enum")),
			  PROBLEM_COUNT);
	ck_assert_uint_eq(json_object_size(at(problem, "x-amber-codes")),
			  PROBLEM_COUNT);
	ck_assert_uint_eq(json_array_size(at(problem, "required")), 5);
	ck_assert_uint_eq(json_object_size(at(problem, "properties")), 7);
	json_decref(root);
}
END_TEST

START_TEST(every_key_of_the_configuration_has_a_type)
{
	json_t *root = document();
	json_t *keys = at(root, "components|schemas|config|properties");
	const struct config_row *rows;
	size_t count, i;

	rows = config_rows(&count);
	ck_assert_uint_eq(json_object_size(keys), count);
	for (i = 0; i < count; i++)
		at(json_object_get(keys, rows[i].key), "type");
	json_decref(root);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("openapi");
	TCase *t = tcase_create("openapi");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t,
		       every_parameter_of_every_route_is_there_with_its_type);
	tcase_add_test(
		t, every_route_has_an_answer_a_problem_and_a_name_of_its_own);
	tcase_add_test(t, every_reference_leads_somewhere);
	tcase_add_test(t, the_problem_schema_lists_every_code_and_member);
	tcase_add_test(t, every_key_of_the_configuration_has_a_type);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
