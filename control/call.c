/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and answers of a call. Loop thread. */
#include "control/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/routes.h"

void call_init(struct call *call, struct control *control,
	       const struct call_carrier *carrier, const struct peer *peer)
{
	struct buf body = call->body; /* its memory is used again */

	json_decref(call->list);
	*call = (struct call){
		.control = control,
		.carrier = carrier,
		.peer = *peer,
		.began_ns = clock_mono_ns(),
		.body = body,
	};
	if (!body.limit)
		buf_init(&call->body, CALL_ANSWER_BYTES);
	buf_reset(&call->body);
}

void call_fini(struct call *call)
{
	loop_disarm(&call->timer);
	json_decref(call->list);
	call->list = NULL;
	buf_fini(&call->body);
}

static const struct call_value *find(const struct call *call, const char *param)
{
	size_t i;

	for (i = 0; i < call->route->param_count; i++)
		if (strcmp(call->route->params[i].name, param) == 0)
			return &call->value[i];
	return NULL;
}

bool call_has(const struct call *call, const char *param)
{
	const struct call_value *v = find(call, param);

	return v && v->given;
}

char *call_word_at(struct call *call, size_t i)
{
	size_t words = 0;

	while (i--)
		words += call->route->params[i].type == PARAM_WORD;
	return call->word[words];
}

const char *call_word(const struct call *call, const char *param)
{
	struct call *c = (struct call *)(uintptr_t)call;
	size_t i;

	for (i = 0; i < call->route->param_count; i++)
		if (call->route->params[i].type == PARAM_WORD &&
		    !strcmp(call->route->params[i].name, param))
			return call_word_at(c, i);
	return "";
}

uint64_t call_number(const struct call *call, const char *param,
		     uint64_t fallback)
{
	const struct call_value *v = find(call, param);

	return v && v->given ? v->number : fallback;
}

void call_answer(struct call *call, unsigned int status, const char *type)
{
	call->kind = CALL_BYTES;
	call->status = status;
	call->type = type;
}

static void answer_problem(struct call *call, enum problem_code code,
			   const char *detail, const char *state,
			   const char *help)
{
	buf_reset(&call->body);
	call->problem = code;
	problem_print(&call->body, code, detail, state, help);
	call_answer(call, problem_row(code)->status, PROBLEM_TYPE);
}

void call_problem(struct call *call, enum problem_code code, const char *fmt,
		  ...)
{
	char detail[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	answer_problem(call, code, detail, NULL, NULL);
}

void call_answer_json(struct call *call, unsigned int status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text) {
		call_problem(call, PROBLEM_INTERNAL, "out of memory");
		return;
	}
	buf_puts(&call->body, text);
	buf_puts(&call->body, "\n");
	free(text);
	call_answer(call, status, "application/json");
}

void call_wrong_state(struct call *call, const char *detail, const char *state,
		      const char *help)
{
	answer_problem(call, PROBLEM_WRONG_STATE, detail, state, help);
}

void call_set_header(struct call *call, const char *name, uint64_t value)
{
	call_set_header_text(call, name, "%llu", (unsigned long long)value);
}

void call_set_header_text(struct call *call, const char *name, const char *fmt,
			  ...)
{
	struct call_header *h = &call->header[call->headers++];
	va_list ap;

	h->name = name;
	va_start(ap, fmt);
	vsnprintf(h->value, sizeof(h->value), fmt, ap);
	va_end(ap);
}

void call_finish(struct call *call)
{
	loop_disarm(&call->timer);
	call->cancel = NULL;
	call->carrier->finished(call);
}

void call_wake(struct call *call)
{
	call->carrier->wake(call);
}

void call_list_add(struct call **list, struct call *call)
{
	call->next = *list;
	call->prev = NULL;
	if (call->next)
		call->next->prev = call;
	*list = call;
}

void call_list_remove(struct call **list, struct call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		*list = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->next = call->prev = NULL;
}
