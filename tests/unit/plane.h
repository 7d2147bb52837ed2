/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the control plane: a control over the fake VM, and calls that
 * are dispatched without a socket. One thread.
 */
#ifndef AMBER_TESTS_UNIT_PLANE_H
#define AMBER_TESTS_UNIT_PLANE_H

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/config_table.h"
#include "control/control.h"
#include "control/routes.h"
#include "tests/unit/fake_vm.h"

struct plane {
	struct loop *loop;
	struct vm_config config;
	struct control *control;
};

static inline void plane_open_dir(struct plane *p, int dir)
{
	struct control_config config = { .config = &p->config, .dir = dir };
	struct err e = ERR_NONE;

	config_init(&p->config);
	config_finish(&p->config, CONFIG_KEPT);
	snprintf(p->config.name, sizeof(p->config.name), "test");
	ck_assert_int_eq(loop_create(&p->loop, &e), 0);
	config.loop = p->loop;
	ck_assert_int_eq(control_create(&p->control, &config, &e), 0);
}

static inline void plane_open(struct plane *p)
{
	plane_open_dir(p, -1);
}

static inline void plane_close(struct plane *p)
{
	control_destroy(p->control);
	loop_destroy(p->loop);
	vm_config_fini(&p->config);
}

/* Goes to a state without asking the table. */
static inline void plane_state(struct plane *p, enum vm_state state)
{
	fake_vm_enter(p->control->vm, state, VM_CAUSE_NONE, NULL);
}

static unsigned int plane_finished, plane_woken;

static inline void plane_on_finished(struct call *call)
{
	(void)call;
	plane_finished++;
}

static inline void plane_on_wake(struct call *call)
{
	(void)call;
	plane_woken++;
}

static const struct call_carrier plane_carrier = { plane_on_finished,
						   plane_on_wake };

/* Dispatches "METHOD /path?a=b&c=d" with a body; the caller ends the call. */
static inline void plane_call_as(struct plane *p, struct call *call,
				 enum vm_role role, const char *request,
				 const char *body)
{
	struct peer peer = { .uid = 1000, .pid = 42, .role = role };
	struct query_arg args[CALL_PARAMS_MAX];
	char text[512], *path, *query, *next;
	size_t count = 0;

	snprintf(text, sizeof(text), "%s", request);
	path = strchr(text, ' ');
	*path++ = 0;
	query = strchr(path, '?');
	if (query)
		*query++ = 0;
	for (; query && count < CALL_PARAMS_MAX; query = next) {
		char *equals = strchr(query, '=');

		next = strchr(query, '&');
		if (next)
			*next++ = 0;
		if (equals)
			*equals++ = 0;
		args[count++] = (struct query_arg){ query, equals };
	}
	memset(call, 0, sizeof(*call));
	call_init(call, p->control, &plane_carrier, &peer);
	if (dispatch_begin(call, text, path))
		dispatch_run(call, args, count, body, body ? strlen(body) : 0);
}

static inline void plane_call(struct plane *p, struct call *call,
			      const char *request, const char *body)
{
	plane_call_as(p, call, VM_ROLE_ADMIN, request, body);
}

/* The whole of a stream that has an end now; a terminated text. */
static inline char *plane_read(struct call *call)
{
	size_t room = 1 << 21, len = 0;
	char *text = calloc(1, room + 1);
	ssize_t n;

	while ((n = call->stream.read(call->stream.ctx, text + len,
				      room - len)) > 0)
		len += (size_t)n;
	return text;
}

static inline void plane_end_stream(struct call *call)
{
	call->stream.closed(call->stream.ctx);
	call_fini(call);
}

/* The body as JSON; the caller json_decref()s it. */
static inline json_t *plane_json(struct call *call)
{
	json_t *root = json_loadb((const char *)call->body.data, call->body.len,
				  JSON_REJECT_DUPLICATES, NULL);

	ck_assert_ptr_nonnull(root);
	return root;
}

/* Checks that the call was answered with this problem, and ends it. */
static inline void plane_expect_problem(struct call *call, const char *code)
{
	json_t *root;

	ck_assert_int_eq(call->kind, CALL_BYTES);
	ck_assert_str_eq(call->type, PROBLEM_TYPE);
	root = plane_json(call);
	ck_assert_str_eq(json_string_value(json_object_get(root, "code")),
			 code);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "status")),
			 call->status);
	json_decref(root);
	call_fini(call);
}

/* The kind and text of the newest record. */
static inline void plane_expect_record(struct plane *p, const char *kind,
				       const char *text)
{
	const struct events *ev = p->control->events;
	const struct event_record *r = events_get(ev, events_next(ev) - 1);
	json_t *root;

	ck_assert_ptr_nonnull(r);
	ck_assert_str_eq(r->kind, kind);
	root = json_loads(r->json, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(root);
	ck_assert_str_eq(json_string_value(json_object_get(root, "text")),
			 text);
	json_decref(root);
}

#endif
