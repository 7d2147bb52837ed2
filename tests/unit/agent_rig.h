/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the guest agent: one agent, one fake guest, and how calls
 * end. One thread. Include it once, behind suite.h.
 */
#ifndef AMBER_TESTS_UNIT_AGENT_RIG_H
#define AMBER_TESTS_UNIT_AGENT_RIG_H

#include <stdio.h>

#include "tests/unit/fake_agent.h"

static struct loop *loop;
static struct fake_agent g;

/* How a call ended. */
struct outcome {
	unsigned int count;
	int code;
	char text[ERR_TEXT_BYTES];
	json_t *ret;
};

static inline void on_done(void *ctx, const json_t *ret, const struct err *e)
{
	struct outcome *o = ctx;

	o->count++;
	o->code = e ? e->code : 0;
	snprintf(o->text, sizeof(o->text), "%s", e ? e->text : "");
	json_decref(o->ret);
	o->ret = json_deep_copy(ret);
}

static inline void set_up(void)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	fake_agent_init(&g, loop, 0);
	fake_agent_open(&g);
}

static inline void tear_down(void)
{
	fake_agent_fini(&g);
	loop_destroy(loop);
}

static inline void call(struct outcome *o, const char *command,
			uint64_t timeout_ns)
{
	memset(o, 0, sizeof(*o));
	agent_call(g.agent, command, NULL, timeout_ns, on_done, o);
	fake_agent_read(&g);
}

static inline void expect(struct outcome *o, int code, const char *text)
{
	ck_assert_uint_eq(o->count, 1);
	ck_assert_int_eq(o->code, code);
	ck_assert_msg(strstr(o->text, text) != NULL, "%s", o->text);
	json_decref(o->ret);
	o->ret = NULL;
}

static inline void expect_number(struct outcome *o, int number)
{
	ck_assert_int_eq(json_integer_value(o->ret), number);
	expect(o, 0, "");
}

static inline void wait_for(const struct outcome *o)
{
	while (!o->count)
		loop_step(loop, 1000);
	fake_agent_read(&g);
}

static inline struct agent_status status(void)
{
	struct agent_status s;

	agent_status(g.agent, &s);
	return s;
}

#endif
